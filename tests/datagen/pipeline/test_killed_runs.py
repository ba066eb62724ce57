"""Runs that are killed again and again: the output is an unbroken run's, and nothing was paid for twice."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from datagen.pipeline.runs import annotations, complete, contents, paid, ran, records, rules, started, written
from paid.teacher_server import teaching
from pumice.datagen.folder import LEDGER, REPORT
from pumice.datagen.generation import Generation, generate
from pumice.paid.ledger import Ledger

TIMES = 10
PICTURES = 100
THREE = "conversation,detail,reasoning"


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return annotations(tmp_path_factory.mktemp("table") / "table.jsonl", PICTURES)


def kill_at_random(generation: Generation, until: Callable[[random.Random], None]) -> None:
    """Ten processes that go on with it, each killed; then one that comes to the end."""
    dice = random.Random(11)
    for _ in range(TIMES):
        process = started(generation)
        until(dice)
        process.kill()
        process.join()
        if (generation.folder / "records.json").exists():
            records(generation.folder)  # a whole list, whenever it is looked at
    process = started(generation)
    process.join()
    assert process.exitcode == 0 and generate(generation).idle


@pytest.mark.slow
def test_rules_that_are_killed_write_what_an_unbroken_run_writes(table: Path, tmp_path: Path) -> None:
    whole = ran(rules(tmp_path / "whole", table))
    generation = rules(tmp_path / "out", table)
    marks = iter(sorted(random.Random(5).randrange(1, whole.tally.samples) for _ in range(TIMES)))

    def further(dice: random.Random) -> None:
        mark, end = next(marks), time.monotonic() + 60
        path = generation.folder / "records.json"
        while time.monotonic() < end and not (path.exists() and path.read_bytes().count(b"\n") >= mark):
            time.sleep(0.005)
        time.sleep(dice.uniform(0, 0.02))

    kill_at_random(generation, further)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    complete(tmp_path / "out", whole.tally.ordered)
    assert (tmp_path / "out" / REPORT).read_bytes() == (tmp_path / "whole" / REPORT).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("batches", [False, True])
def test_a_paid_run_that_is_killed_pays_for_nothing_twice(table: Path, tmp_path: Path, batches: bool) -> None:
    """Live, what was in flight when a process was killed may have been charged, and the ledger says so."""
    faults = {"limited": 0.05, "error": 0.1, "refusal": 0.05, "nonsense": 0.05, "long": 0.03}
    with teaching(written, faults=faults, latency_s=0.005) as teacher:
        whole = ran(rules(tmp_path / "whole", table, THREE, paid=paid(teacher.url), tries=1))
    with teaching(written, faults=faults, latency_s=0.005) as teacher:
        generation = rules(tmp_path / "out", table, THREE, paid=paid(teacher.url, batches=batches), tries=1)
        teacher.batches.looks = 12
        began = time.monotonic()

        def a_while(dice: random.Random) -> None:
            before = teacher.books.asked.total() + sum(teacher.batches.looked.values())
            while teacher.books.asked.total() + sum(teacher.batches.looked.values()) == before:
                time.sleep(0.002)
                done = not batches and teacher.books.answered.total() >= 3 * PICTURES
                if done or time.monotonic() - began > 200:
                    break
            time.sleep(dice.uniform(0, 0.08))

        kill_at_random(generation, a_while)
        with Ledger(tmp_path / "out" / LEDGER) as ledger:
            totals = ledger.totals()
        books = teacher.books
        assert totals.answered == 3 * PICTURES <= books.answered.total() <= totals.answered + totals.unsure
        if batches:
            assert max(books.answered.values()) == 1 and totals.unsure == 0
    complete(tmp_path / "out", 3 * PICTURES)
    if not batches:
        assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    else:  # at half the price
        assert records(tmp_path / "out") == records(tmp_path / "whole")
    assert whole.tally.given_up.keys() >= {"refusal", "no-pairs", "cut-off"}
