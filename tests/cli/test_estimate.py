"""``pumice estimate`` and ``pumice train --dry-run``: the same words, and nothing is done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pumice.cli.main import main
from train import small


def test_both_doors_say_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pumice.train.machine.available_memory", lambda _: 8 << 30)
    path = str(small.written(tmp_path))
    machine = ["--flops", "1e9", "--mfu", "0.5", "--price", "2.5"]
    assert main(["estimate", path, *machine]) == 0
    said = capsys.readouterr()
    assert main(["train", path, "--dry-run", *machine]) == 0
    assert capsys.readouterr() == said and said.err == ""
    assert "steps      3 of 4 rows" in said.out and "at 2.50 an hour" in said.out and "50% of 1 GFLOP/s" in said.out
    assert not (tmp_path / "run").exists()


def test_without_figures_this_machine_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(small.written(tmp_path))
    assert main(["estimate", path, "--json", "--set", "epochs=3"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["steps"] == 9 and values["machine"]["peak"] > 1e8 and values["cost"] is None
    assert main(["estimate", path, "--json", "--set", "peak_flops=7e9"]) == 0
    assert json.loads(capsys.readouterr().out)["machine"]["peak"] == 7e9


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["estimate", "--price", "-1"], "--price must be above 0"),
        (["estimate", "--flops", "0"], "--flops must be above 0"),
        (["estimate", "--mfu", "1.5"], "--mfu is a share"),
        (["train", "--dry-run", "--mfu", "nan"], "--mfu must be above 0"),
        (["train", "--price", "2"], "belong to --dry-run"),
        (["train", "--device", "h100"], "belong to --dry-run"),
        (["estimate", "--rows", "0"], "--rows must be above 0"),
        (["estimate", "--images", "-1"], "--images must be at least 0"),
        (["estimate", "--processes", "0"], "--processes must be above 0"),
        (["estimate", "--device", "abacus"], "unknown device"),
    ],
)
def test_wrong_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    command, *options = words
    assert main([command, str(small.written(tmp_path)), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_published_recipe_without_its_files(capsys: pytest.CaptureFixture[str]) -> None:
    path = str(Path(__file__).parent.parent.parent / "recipes" / "llava-1.5-7b-finetune-lora.toml")
    assert main(["estimate", path]) == 3
    assert "which is not on this disk" in capsys.readouterr().err
    told = ["--shape", "llava-1.5-7b", "--rows", "665298", "--tokens", "800", "--longest", "2048", "--processes", "8"]
    rest = ["--device", "h100", "--price", "20", "--set", "micro=2", "--set", "dtype=bfloat16"]
    assert main(["estimate", path, *told, *rest]) == 0
    said = capsys.readouterr().out
    for words in ("665298 rows, 800 tokens each, at most 2048", "shared by 8 processes", "8 x 989 TFLOP/s", "20.00 an"):
        assert words in said, words


def test_a_recipe_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", "missing.toml"]) == 2
    assert "cannot read recipe" in capsys.readouterr().err
