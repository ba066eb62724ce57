"""Waits of a paid teacher's run: they are told of, and end when somebody wants to stop."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from datagen.pipeline.runs import annotations, paid, records, rules, written
from paid.teacher_server import teaching
from pumice.datagen.generation import Generation, generate
from pumice.errors import ServerError, UsageError
from pumice.paid.limits import Limits


def asked(tmp_path: Path, url: str, **more: Any) -> Generation:
    return rules(tmp_path / "out", annotations(tmp_path / "table.jsonl", 30), "detail", paid=paid(url, **more), tries=1)


@pytest.mark.parametrize(
    ("limits", "faults"),
    [
        (Limits(first_wait_s=600, longest_wait_s=600), {"error": 1.0}),
        (Limits(requests_per_minute=1), {}),
        (Limits(tokens_per_minute=700), {}),
    ],
)
def test_a_wish_to_stop_is_met_while_all_wait(tmp_path: Path, limits: Limits, faults: dict[str, float]) -> None:
    with teaching(written, faults=faults, most_faults=10**6) as teacher:
        began = time.monotonic()
        generation = asked(tmp_path, teacher.url, limits=limits)
        assert not generate(generation, stop=lambda: time.monotonic() - began > 1.5).finished
        assert time.monotonic() - began < 10
        assert len(records(tmp_path / "out")) == teacher.books.answered.total() <= 1


def test_a_server_that_fails_is_told_of_at_once_and_not_each_time(tmp_path: Path) -> None:
    told: list[str] = []
    with teaching(written, faults={"error": 1.0}, most_faults=10**6) as teacher, pytest.raises(ServerError):
        generate(asked(tmp_path, teacher.url, say=told.append))
    assert len(told) == 1 and "status 500" in told[0] and "trying again" in told[0]


def test_a_failure_among_answers_is_not_told_of(tmp_path: Path) -> None:
    told: list[str] = []
    with teaching(written) as teacher:
        teacher.fault_of = lambda key, number: "error" if teacher.books.asked.total() == 20 else "none"  # type: ignore[method-assign]
        generate(
            asked(tmp_path, teacher.url, say=told.append, concurrency=1, limits=Limits(attempts=2, first_wait_s=0.01))
        )
        assert teacher.books.faults["error"] == 1
    assert told == []


def test_a_minute_too_short_for_one_request_is_refused(tmp_path: Path) -> None:
    with teaching(written) as teacher:
        with pytest.raises(UsageError, match=r"one request may take \d+ tokens.* 10 tokens a minute"):
            generate(asked(tmp_path, teacher.url, limits=Limits(tokens_per_minute=10)))
        assert not teacher.books.asked
