"""``pumice generate`` and ``pumice data balance``: what they print, write and refuse."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from datagen.pipeline.runs import PROMPTS, annotations, contents, records, written
from paid.teacher_server import teaching
from pumice.cli.main import main

PRICES = '[models]\n"teacher" = { input = 2.5, output = 10.0 }\n'
SERVER = ("--teacher", "http://127.0.0.1:9/v1", "--teacher-model", "teacher")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return annotations(tmp_path / "table.jsonl", 12)


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    """A user's own, which a test's teacher understands."""
    for kind, prompt in PROMPTS.prompts.items():
        (tmp_path / "prompts" / kind).mkdir(parents=True)
        (tmp_path / "prompts" / kind / "system_message.txt").write_text(prompt.system)
    return tmp_path / "prompts"


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    path = tmp_path / "prices.toml"
    path.write_text("date = 2026-01-01\n" + PRICES)
    return path


def test_the_offline_teacher(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["generate", "caps-boxes", str(table), "-o", str(tmp_path / "out"), "--kinds", "conversation=2,detail"]
    assert main(words) == 0
    captured = capsys.readouterr()
    made = records(tmp_path / "out")
    assert 20 < len(made) <= 36
    rows = {line.split()[0]: line.split()[1:] for line in captured.out.splitlines() if line}
    assert rows["all"][:2] == ["36", str(len(made))] and rows["detail"][0] == "12"
    assert rows["teacher:"][0] == "rules," and captured.out.endswith(
        "records.json\n" + f"{tmp_path / 'out' / 'report.html'}\n"
    )
    assert captured.err == ""
    before = contents(tmp_path / "out")
    assert main(words) == 0
    again = capsys.readouterr()
    assert (
        again.out == captured.out and again.err == "nothing was left to do\n" and contents(tmp_path / "out") == before
    )
    assert main(["data", "doctor", str(tmp_path / "out" / "records.json"), "--json", "-q"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert set(found["counts"]) == {"missing-image"}, "its records are fine, only there are no pictures"


def test_a_paid_teacher(
    table: Path, prompts: Path, prices: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with teaching(written) as teacher:
        words = [
            *("generate", "caps-boxes", str(table), "-o", str(tmp_path / "out"), "--prompts", str(prompts)),
            *("--teacher", teacher.url, "--teacher-model", "teacher", "--prices", str(prices)),
            *("--set", "top_p=0.9", "--temperature", "0.5", "--max-tokens", "300"),
        ]
        assert main([*words, "--estimate"]) == 0
        told = capsys.readouterr().out
        assert "all" in told and "$" in told and not (tmp_path / "out").exists() and not teacher.books.asked
        assert main([*words, "--budget", "0.0001"]) == 1
        assert "budget" in capsys.readouterr().err and not teacher.books.answered
        assert main([*words, "--budget", "5", "--rpm", "6000", "--concurrency", "5"]) == 0
        assert teacher.books.answered.total() == 36 and teacher.books.most_in_flight <= 5
    out = capsys.readouterr().out
    assert "requests answered: 36 of 36" in out and "cost: $" in out
    told = json.loads((tmp_path / "out" / "run.json").read_text())
    assert told["parameters"] == {"max_tokens": 300, "temperature": 0.5, "top_p": 0.9} and told["teacher"] == "teacher"
    assert len(records(tmp_path / "out")) == 36


def test_a_price_that_nobody_knows_is_not_nothing(
    table: Path, prompts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["generate", "caps-boxes", str(table), "-o", str(tmp_path / "out"), "--prompts", str(prompts), *SERVER]
    assert main([*words, "--estimate"]) == 0
    captured = capsys.readouterr()
    assert "unknown" in captured.out and "--prices" in captured.err
    assert main([*words, "--budget", "1"]) == 2
    assert "price" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--kinds", "conversatoin"], "did you mean conversation?"),
        (["--kinds", ""], "no kind"),
        (["--budget", "3"], "without --teacher"),
        (["--ledger", "nowhere.sqlite"], "the rules ask nobody"),
        ([*SERVER, "--ledger", "nowhere.sqlite"], "there is no ledger nowhere.sqlite"),
        (["--batch"], "without --teacher"),
        (["--teacher", "http://127.0.0.1:9/v1"], "--teacher-model"),
        ([*SERVER, "--workers", "2"], "--workers"),
        ([*SERVER, "--ray"], "--ray"),
        (["--ray", "--workers", "2"], "exclude"),
        ([*SERVER, "--set", "top_p"], "NAME=JSON"),
        ([*SERVER, "--set", "stop=["], "NAME=JSON"),
        ([*SERVER, "--prompts", "nowhere"], "nowhere"),
        ([*SERVER, "--prices", "nowhere.toml"], "nowhere.toml"),
        (["--first", "12"], "there are 12 scenes"),
        (["--images", "nowhere"], "nowhere"),
        (["--verify", "mostly"], "mostly"),
        (["--tries", "0"], "--tries"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_made(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], expected: str
) -> None:
    assert main(["generate", "caps-boxes", str(table), "-o", str(tmp_path / "out"), *flags]) == 2
    captured = capsys.readouterr()
    assert expected in captured.err and "Traceback" not in captured.err and captured.out == ""
    assert not (tmp_path / "out" / "records.json").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["world"], "--count"),
        (["world", "a.json", "--count", "3"], "has no files"),
        (["world", "--count", "3", "--images", "."], "its own pictures"),
        (["coco"], "need a file"),
        (["coco", "nowhere.json"], "nowhere.json"),
        (["pictures"], "pictures"),
    ],
)
def test_sources_that_make_no_sense_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    assert main(["generate", *words, "-o", str(tmp_path / "out")]) == 2
    assert expected in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_run_without_a_sample_is_no_success(
    table: Path, prompts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, pictures = ["generate", "caps-boxes", str(table)], tmp_path / "pictures"
    pictures.mkdir()
    assert main([*source, "-o", str(tmp_path / "one"), "--images", str(pictures)]) == 1
    assert "--images has the picture of no scene" in capsys.readouterr().err
    assert main([*source, "-o", str(tmp_path / "two"), "--kinds", "detail=0.0001"]) == 0
    assert "no sample was wanted" in capsys.readouterr().err
    with teaching(lambda messages: "I'm sorry, but I can't help with that.") as teacher:
        server = ["--teacher", teacher.url, "--teacher-model", "teacher", "--prompts", str(prompts)]
        for _ in range(2):
            assert main([*source, "-o", str(tmp_path / "three"), *server]) == 1
            captured = capsys.readouterr()
            assert "most of them for refusal" in captured.err and "rejections.jsonl" in captured.err
            assert "records.json" in captured.out
    assert records(tmp_path / "three") == []


def test_paid_answers_go_into_another_folder(table: Path, prompts: Path, tmp_path: Path) -> None:
    with teaching(written) as teacher:
        words = ["generate", "caps-boxes", str(table), "--prompts", str(prompts)]
        words += ["--teacher", teacher.url, "--teacher-model", "teacher"]
        assert main([*words, "-o", str(tmp_path / "one")]) == 0
        books = ["--ledger", str(tmp_path / "one" / "ledger.sqlite")]
        assert main([*words, "-o", str(tmp_path / "two"), "--tries", "5", *books]) == 0
        assert teacher.books.answered.total() == 36
    assert records(tmp_path / "two") == records(tmp_path / "one")


def test_a_wrong_key(table: Path, prompts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["generate", "caps-boxes", str(table), "-o", str(tmp_path / "out"), "--prompts", str(prompts)]
    with teaching(written, key="right") as teacher, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PUMICE_API_KEY", "wrong")
        assert main([*words, "--teacher", teacher.url, "--teacher-model", "teacher"]) == 7
        patch.setenv("PUMICE_API_KEY", "right")
        assert main([*words, "--teacher", teacher.url, "--teacher-model", "teacher"]) == 0
    assert len(records(tmp_path / "out")) == 36


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has other signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_in_order_and_it_goes_on(table: Path, tmp_path: Path, number: int, code: int) -> None:
    big = annotations(tmp_path / "big.jsonl", 1500)
    words = ["generate", "caps-boxes", str(big), "-o", str(tmp_path / "out"), "--kinds", "counting,grounding"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "pumice", *words]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    while not (tmp_path / "out" / "progress.json").exists():
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code, said
    assert "Traceback" not in said
    before = records(tmp_path / "out")
    assert 0 < len(before) < 2500
    assert main(words) == 0
    assert records(tmp_path / "out")[: len(before)] == before


def test_captions_are_balanced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "captions.csv"
    rows = "".join(f"{number}.jpg,A {'dog' if number % 4 else 'cat'} on a bench.\n" for number in range(40))
    table.write_text("image,caption\n" + rows)
    words = ["data", "balance", str(table), "-o", str(tmp_path / "out.json"), "--most", "8"]
    assert main(words) == 0
    captured = capsys.readouterr()
    made = json.loads((tmp_path / "out.json").read_text())
    assert 8 <= len(made) <= 24 and captured.out == f"{tmp_path / 'out.json'}\n"
    assert captured.err.startswith(f"{len(made)} of 40 captions, for 3 of 3 phrases; 'bench' is in {len(made)}")
    assert main(words) == 2 and "--overwrite" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0
    assert main(["data", "balance", str(tmp_path / "nowhere.csv"), "-o", str(tmp_path / "x.json")]) == 2
    assert "nowhere.csv" in capsys.readouterr().err
