"""What a run leaves to later ones: more scenes in its folder, its ledger for others, and a folder that was damaged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from datagen.pipeline.runs import annotations, complete, contents, paid, ran, rules, stopping, written
from paid.teacher_server import teaching
from pumice.datagen.folder import LEDGER, RECORDS
from pumice.datagen.generation import Generation, generate
from pumice.datagen.report import cost_facts
from pumice.datagen.supply import Supply
from pumice.errors import UsageError
from pumice.paid.answers import BudgetError, LedgerError
from pumice.paid.ledger import Ledger


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return annotations(tmp_path_factory.mktemp("table") / "table.jsonl", 40)


def some(generation: Generation, count: int | None) -> Generation:
    """The same about so many scenes."""
    return replace(generation, supply=replace(generation.supply, count=count))


def asked(folder: Path, table: Path, url: str, **more: Any) -> Generation:
    """A run of a paid teacher."""
    server = {name: more.pop(name) for name in ("budget", "batches") if name in more}
    return rules(folder, table, "conversation,detail", paid=paid(url, **server), **more)


@pytest.mark.parametrize("stopped", [False, True])
def test_more_scenes_go_into_the_same_folder(table: Path, tmp_path: Path, stopped: bool) -> None:
    generation = rules(tmp_path / "out", table)
    ran(some(rules(tmp_path / "whole", table), 30))
    with stopping(9 if stopped else 10**9) as stop:
        assert generate(some(generation, 12), stop=stop).finished is not stopped
    before = (tmp_path / "out" / RECORDS).read_text(encoding="utf-8").removesuffix("\n]\n")
    assert ran(some(generation, 30)).tally.scenes == 30
    assert (tmp_path / "out" / RECORDS).read_text(encoding="utf-8").startswith(before)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert generate(some(generation, 30)).idle
    with pytest.raises(UsageError, match=r"source\.count was 30, now 12"):
        generate(some(generation, 12))
    assert ran(some(generation, None)).tally.scenes == 40


def test_more_scenes_than_there_are_change_nothing(table: Path, tmp_path: Path) -> None:
    generation = rules(tmp_path / "out", table)
    ran(some(generation, 40))
    before = contents(tmp_path / "out")
    assert ran(some(generation, 50)).tally.scenes == 40
    assert contents(tmp_path / "out") == before


def test_scenes_from_another_place_are_another_run(table: Path, tmp_path: Path) -> None:
    generation = some(rules(tmp_path / "out", table), 5)
    ran(generation)
    with pytest.raises(UsageError, match=r"source\.first was 0, now 1"):
        generate(replace(generation, supply=replace(generation.supply, first=1, count=9)))
    with pytest.raises(UsageError, match="tries was 2, now 7") as refused:
        generate(replace(generation, plan=replace(generation.plan, tries=7), supply=Supply("caps-boxes", (table,))))
    hint = str(refused.value.hint)
    assert "--count may be larger" in hint and "--ledger" not in hint, "nothing was paid"


def test_a_paid_run_grows_without_paying_twice(table: Path, tmp_path: Path) -> None:
    with teaching(written) as teacher:
        generation = asked(tmp_path / "out", table, teacher.url)
        ran(some(generation, 10))
        ran(some(generation, 25))
        assert teacher.books.answered.total() == 50 and max(teacher.books.answered.values()) == 1
    complete(tmp_path / "out", 50)


@pytest.mark.parametrize("batches", [False, True])
def test_another_run_takes_over_what_was_paid_for(table: Path, tmp_path: Path, batches: bool) -> None:
    with teaching(written) as teacher:
        first = some(asked(tmp_path / "first", table, teacher.url), 20)
        ran(first)
        changed = asked(tmp_path / "second", table, teacher.url, tries=3, verify="off", distinct=False, batches=batches)
        with pytest.raises(UsageError) as refused:
            generate(replace(changed, folder=first.folder))
        books = first.folder / LEDGER
        assert f"--ledger {books}" in str(refused.value.hint)
        ended = ran(replace(changed, ledger=books))
        assert teacher.books.answered.total() == 80 and max(teacher.books.answered.values()) == 1
        assert ended.totals is not None and ended.totals.answered == 80 == ended.tally.samples
        assert not (changed.folder / LEDGER).exists()
        assert generate(replace(changed, ledger=books)).idle
        with pytest.raises(UsageError, match="there is no ledger"):
            generate(changed)


def test_the_budget_counts_what_is_in_a_shared_ledger(table: Path, tmp_path: Path) -> None:
    with teaching(written) as teacher:
        first = some(asked(tmp_path / "first", table, teacher.url), 20)
        totals = ran(first).totals
        assert totals is not None and totals.cost is not None
        second = asked(tmp_path / "second", table, teacher.url, ledger=first.books, budget=totals.cost, tries=3)
        part = ran(some(second, 10))
        costs = dict(cost_facts(part.tally, part.totals))
        assert costs["cost"] == f"${totals.cost:,.4f}"
        assert costs["of that, for replies of this run"] == f"${part.tally.cost:,.4f}" and part.tally.samples == 20
        assert costs["cost of a sample"] == f"${part.tally.cost / 20:,.5f}"
        whole = ran(some(second, 20))
        assert whole.tally.samples == 40 and len(cost_facts(whole.tally, whole.totals)) == len(costs) - 1
        with pytest.raises(BudgetError):
            generate(second)
        assert teacher.books.answered.total() == 40


def test_two_runs_with_one_ledger_wait_for_each_other(table: Path, tmp_path: Path) -> None:
    with teaching(written) as teacher:
        first = some(asked(tmp_path / "first", table, teacher.url), 5)
        ran(first)
        second = replace(first, folder=tmp_path / "second", ledger=first.books)
        with Ledger(first.books), pytest.raises(LedgerError, match="in use"):
            generate(second)
        ran(second)
        assert teacher.books.answered.total() == 10


def test_a_ledger_that_is_not_there_is_not_begun(table: Path, tmp_path: Path) -> None:
    with teaching(written) as teacher:
        generation = asked(tmp_path / "out", table, teacher.url)
        with pytest.raises(UsageError, match="there is no ledger"):
            generate(replace(generation, ledger=tmp_path / "typo.sqlite"))
        assert not (tmp_path / "typo.sqlite").exists() and not teacher.books.asked
        ran(replace(generation, folder=tmp_path / "new"))
        (tmp_path / "new" / LEDGER).unlink()
        with pytest.raises(UsageError, match="there is no ledger"):
            generate(replace(generation, folder=tmp_path / "new"))
    with pytest.raises(UsageError, match="--ledger"):
        replace(generation, paid=None, ledger=tmp_path / "first.sqlite")


@pytest.mark.parametrize("name", ["records.json", "progress.json"])
def test_a_damaged_folder_is_made_again_from_its_ledger(table: Path, tmp_path: Path, name: str) -> None:
    with teaching(written) as teacher:
        generation = asked(tmp_path / "out", table, teacher.url)
        ran(generation)
        before = contents(tmp_path / "out")
        (tmp_path / "out" / name).write_text("")
        with pytest.raises(UsageError, match=name) as refused:
            generate(generation)
        assert "remove progress.json" in str(refused.value.hint)
        (tmp_path / "out" / name).unlink()
        (tmp_path / "out" / "progress.json").unlink(missing_ok=True)
        ran(generation)
        assert teacher.books.answered.total() == 80
    assert contents(tmp_path / "out") == before


def test_records_that_were_removed_are_missed(table: Path, tmp_path: Path) -> None:
    generation = rules(tmp_path / "out", table)
    ran(generation)
    (tmp_path / "out" / RECORDS).unlink()
    with pytest.raises(UsageError, match="removed"):
        generate(generation)
    assert not (tmp_path / "out" / RECORDS).exists()


def test_a_file_is_no_folder(table: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a file, expected a folder"):
        generate(rules(table, table))
