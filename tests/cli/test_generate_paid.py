"""``pumice generate`` with a paid teacher that cannot be asked as it is said, or whose price nobody knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from datagen.pipeline.runs import annotations
from paid.teacher_server import teaching
from pumice.cli.main import main

PRICES = 'date = 2026-11-01\n[models]\n"teacher" = { input = 2.5, output = 10.0 }\n'


def words(tmp_path: Path, url: str, *more: str) -> list[str]:
    table = annotations(tmp_path / "table.jsonl", 2)
    where = ("generate", "caps-boxes", str(table), "-o", str(tmp_path / "out"))
    return [*where, "--teacher", url, "--teacher-model", "teacher", *more]


@pytest.mark.parametrize("url", ["", "localhost:9911", "ftp://127.0.0.1/v1", "http://"])
def test_an_address_that_cannot_be_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], url: str) -> None:
    assert main(words(tmp_path, url)) == 2
    assert "--teacher: expected a URL" in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize("seconds", ["-1", "0", "nan", "inf"])
def test_a_time_that_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], seconds: str) -> None:
    assert main(words(tmp_path, "http://127.0.0.1:9/v1", "--timeout", seconds)) == 2
    assert f"expected seconds above 0, found {seconds}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_budget_too_small_for_one_request_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "prices.toml").write_text(PRICES)
    with teaching(lambda _: "") as teacher:
        more = ("--budget", "0.0001", "--prices", str(tmp_path / "prices.toml"))
        assert main(words(tmp_path, teacher.url, *more)) == 1
    said = capsys.readouterr().err
    assert "the budget of $0.00010 is too small for one request, which could cost $0.0" in said


def test_an_estimate_names_the_day_of_the_price(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "prices.toml").write_text(PRICES)
    more = ("--estimate", "--prices", str(tmp_path / "prices.toml"))
    assert main(words(tmp_path, "http://127.0.0.1:9/v1", *more)) == 0
    assert "prices of 2026-11-01" in capsys.readouterr().out


def test_costs_that_nobody_knows_are_not_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with teaching(lambda _: "Only this.", faults={"cut": 1.0}, most_faults=1) as teacher:
        teacher.fault_of = lambda key, number: "cut" if number < 2 else "forbidden"  # type: ignore[method-assign]
        assert main(words(tmp_path, teacher.url)) == 5
        assert "trying again" in capsys.readouterr().err
        assert "unknown: the model has no price" in (tmp_path / "out" / "report.html").read_text()
        teacher.fault_of = lambda key, number: "none"  # type: ignore[method-assign]
        main(words(tmp_path, teacher.url, "-q"))
    out = capsys.readouterr().out
    assert "cost: unknown" in out and "6 sendings without a reply, at unknown cost" in out and "$" not in out
