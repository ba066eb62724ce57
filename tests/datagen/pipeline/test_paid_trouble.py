"""A paid teacher whose server is at fault, or one question: what is given up, and what must not be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datagen.pipeline.runs import annotations, complete, contents, lines, paid, ran, records, rules, written
from paid.teacher_server import teaching
from pumice.datagen.folder import REJECTIONS
from pumice.datagen.generation import Generation, generate
from pumice.datagen.unfit import UnfitError
from pumice.errors import ServerError
from pumice.paid.limits import Limits

THREE = "conversation,detail,reasoning"


def asked(folder: Path, url: str, scenes: int, **more: Any) -> Generation:
    """A run about so many pictures, asked once for each sample."""
    table = annotations(folder.parent / "table.jsonl", scenes)
    return rules(folder, table, THREE, paid=paid(url, **more), tries=1)


def test_a_question_that_no_batch_answers_is_given_up_alone(tmp_path: Path) -> None:
    with teaching(written, most_faults=10**6) as teacher:
        bad: set[str] = set()

        def fault_of(key: str, number: int) -> str:
            bad.update([key] if not bad else [])
            return "error" if key in bad else "none"

        teacher.fault_of = fault_of  # type: ignore[method-assign]
        ended = ran(asked(tmp_path / "out", teacher.url, 6, batches=True, limits=Limits(attempts=4)))
        assert [teacher.books.asked[key] for key in bad] == [4] and teacher.batches.made == 4
        assert set(teacher.books.answered.values()) == {1}
    assert ended.tally.given_up == {"no-answer": 1} and ended.tally.samples == 17
    complete(tmp_path / "out", 18)


def test_questions_that_come_too_late_in_every_batch_are_given_up_in_the_end(tmp_path: Path) -> None:
    with teaching(written) as teacher:
        teacher.batches.expired = 9
        ended = ran(asked(tmp_path / "out", teacher.url, 6, batches=True, limits=Limits(attempts=3)))
    assert ended.tally.given_up == {"no-answer": 9} and ended.tally.samples == 9
    complete(tmp_path / "out", 18)


def test_a_run_that_is_gone_on_with_gives_up_its_last_question_too(tmp_path: Path) -> None:
    with teaching(written) as teacher:
        teacher.fault_of = lambda key, number: "error" if key == next(iter(teacher.books.asked)) else "none"  # type: ignore[method-assign]
        generation = asked(tmp_path / "out", teacher.url, 2, batches=True)
        assert not generate(generation, stop=lambda: teacher.batches.made > 1).finished
        assert teacher.books.answered.total() == 5
        ended = ran(generation)
    assert ended.tally.given_up == {"no-answer": 1} and ended.tally.samples == 5


def test_an_outage_of_batches_gives_nothing_up(tmp_path: Path) -> None:
    with teaching(written, faults={"error": 1.0}, most_faults=10**6) as teacher:
        with pytest.raises(ServerError, match="none was answered"):
            generate(asked(tmp_path / "out", teacher.url, 6, batches=True))
        assert teacher.batches.made == 1
        teacher.faults = {}
        assert ran(asked(tmp_path / "out", teacher.url, 6, batches=True)).tally.samples == 18


@pytest.mark.parametrize("batches", [False, True])
@pytest.mark.parametrize(("scenes", "concurrency"), [(1, 20), (4, 1), (4, 64), (30, 5)])
def test_a_server_that_refuses_everything_is_no_reason_to_give_up(
    tmp_path: Path, scenes: int, concurrency: int, batches: bool
) -> None:
    with teaching(written) as teacher:
        ran(asked(tmp_path / "whole", teacher.url, scenes))
    with teaching(written, faults={"forbidden": 1.0}, most_faults=1) as teacher:
        generation = asked(tmp_path / "out", teacher.url, scenes, concurrency=concurrency, batches=batches)
        with pytest.raises(UnfitError, match="Your prompt was flagged") as caught:
            generate(generation)
        assert caught.value.exit_code == 5 and "--set" in str(caught.value.hint)
        assert records(tmp_path / "out") == [] == lines(tmp_path / "out", REJECTIONS)
        assert batches or teacher.books.asked.total() <= 8 + concurrency
        teacher.most_faults = 0
        ran(generation)
    made = contents(tmp_path / "out") if not batches else {}
    assert all(made[name] == contents(tmp_path / "whole")[name] for name in made)
    assert len(records(tmp_path / "out")) == 3 * scenes


@pytest.mark.parametrize("batches", [False, True])
def test_some_refusals_at_the_beginning_are_those_of_single_questions(tmp_path: Path, batches: bool) -> None:
    with teaching(written, latency_s=0.1) as teacher:
        first: list[str] = []

        def fault_of(key: str, number: int) -> str:
            first.extend([key] if len(first) < 5 else [])
            return "forbidden" if key in first else "none"

        teacher.fault_of = fault_of  # type: ignore[method-assign]
        ended = ran(asked(tmp_path / "out", teacher.url, 6, batches=batches))
    assert ended.tally.given_up == {"refused-by-server": 5} and ended.tally.samples == 13


def test_a_server_that_is_down_gives_up_nothing_however_little_is_asked(tmp_path: Path) -> None:
    limits = Limits(attempts=2, first_wait_s=0.01)
    with teaching(written, faults={"error": 1.0}, most_faults=10**6) as teacher:
        generation = rules(
            *(tmp_path / "out", annotations(tmp_path / "table.jsonl", 1), "detail"),
            paid=paid(teacher.url, limits=limits),
        )
        with pytest.raises(ServerError):
            generate(generation)
        teacher.faults = {}
        assert ran(generation).tally.samples == 1
