"""``pumice data``: what is printed, what is written, and the exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from images.pictures import noise
from pumice.cli.main import main

ROOT = Path(__file__).parent.parent.parent
TABLE = "image,question,answer\na.png,What is this?,A cup.\n,Two plus two?,Four.\n"


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Records of a table, with their picture."""
    noise(64, 48).save(tmp_path / "a.png")
    (tmp_path / "table.csv").write_text(TABLE)
    target = tmp_path / "records.jsonl"
    assert main(["data", "convert", str(tmp_path / "table.csv"), str(target), "--images", str(tmp_path)]) == 0
    return target


def spoil(path: Path, **changes: Any) -> None:
    """Add a faulty copy of the first record."""
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, json.dumps({**json.loads(lines[0]), "id": "9", **changes})]))


def test_convert(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [json.loads(line)["id"] for line in made.read_text().splitlines()] == ["1", "2"]
    capsys.readouterr()
    assert main(["data", "convert", str(made), str(made.with_suffix(".json"))]) == 0
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == (f"{made.with_suffix('.json')}\n", "2 records\n")
    assert main(["data", "convert", str(made), str(made.with_suffix(".json"))]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["data", "convert", str(made), str(made.with_suffix(".json")), "--overwrite"]) == 0


def test_clean_data(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["data", "doctor", str(made)]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith(f"{made}: 2 records, 1 pictures, ") and printed.out.endswith("0 errors, 0 warnings\n")
    assert printed.err == ""


def test_faults_and_exit_codes(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    spoil(made, conversations=[{"from": "human", "value": "<image>"}, {"from": "gpt", "value": "A cup, again."}])
    assert main(["data", "doctor", str(made)]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"warning: {made}:3 [9] empty-question: turn 1 is an empty question\n")
    assert "0 errors, 1 warnings" in out
    spoil(made, image="b.png")
    assert main(["data", "doctor", str(made)]) == 2
    out = capsys.readouterr().out
    assert f"error: {made}:4 [9] missing-image: there is no file {made.parent / 'b.png'}\n" in out
    assert "1 missing-image: a picture that is not there\n        check --images" in out


def test_json(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(30):
        spoil(made, image="b.png")
    capsys.readouterr()
    assert main(["data", "doctor", str(made), "--json"]) == 2
    report = json.loads(capsys.readouterr().out)
    assert (report["records"], report["pictures"], report["errors"]) == (32, 1, 30)
    assert report["counts"]["missing-image"] == 30 == report["errors"]
    first = report["findings"][0]
    assert (first["kind"], first["severity"], first["line"], first["id"]) == ("missing-image", "error", 3, "9")
    assert first["file"] == str(made) and first["fix"]
    assert main(["data", "doctor", str(made)]) == 2
    out = capsys.readouterr().out
    assert out.count("missing-image: there") == 20 and "and 28 more; --show 0" in out
    assert main(["data", "doctor", str(made), "--show", "0"]) == 2
    assert capsys.readouterr().out.count("missing-image: there") == 30


def test_report_against_and_limits(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, asked = made.parent / "report.html", made.parent / "asked.jsonl"
    asked.write_text('{"image": "a.png", "text": "What is this?"}')
    options = ["--report", str(page), "--against", str(asked), "--template", "vicuna_v1", "-q"]
    assert main(["data", "doctor", str(made), *options]) == 2
    assert "leaked-question" in capsys.readouterr().out
    text = page.read_text(encoding="utf-8")
    assert text.count("data:image/png;base64,") == 4 and "leaked-question" in text
    assert main(["data", "doctor", str(made), "--max-tokens", "10"]) == 2
    assert capsys.readouterr().out.count("] too-long: ") == 2


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["data"], 2),
        (["data", "mend"], 2),
        (["data", "doctor", "missing.json"], 2),
        (["data", "doctor", "missing.json", "-m", "./missing", "--offline"], 3),
        (["data", "doctor", "missing.json", "--template", "none-such"], 2),
        (["data", "doctor", "missing.json", "--images", "missing"], 2),
        (["data", "convert", "missing.csv", "r.json"], 2),
        (["data", "convert", "missing.csv", "r.json", "--from", "yaml"], 2),
    ],
)
def test_mistakes(words: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == code
    assert capsys.readouterr().err.startswith("error: ")


def test_help_is_light() -> None:
    code = (
        "import sys; from pumice.cli.main import main\n"
        "for words in (['data'], ['data', 'convert'], ['data', 'doctor']): assert main([*words, '--help']) == 0\n"
        "assert not {'torch', 'numpy', 'PIL', 'rich', 'matplotlib'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for text in ("convert", "doctor", "Exit codes:", "--against", "--merge"):
        assert text in done.stdout
