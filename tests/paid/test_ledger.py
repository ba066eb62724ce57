"""The books: one process at a time, what is written is safe, and what cannot be written is said."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paid.asking import request
from pumice.errors import UsageError
from pumice.paid.answers import Answer, LedgerError, RefusedForGoodError, Usage
from pumice.paid.journal import connect
from pumice.paid.ledger import Ledger

ANSWER = Answer("Two dice.", "stop", Usage(20, 3, 5), 0.25, "chatcmpl-1", "teacher-2026", 1.5)


async def asked(ledger: Ledger, number: int, answer: Answer | None = ANSWER) -> int:
    """One sending, answered unless ``answer`` is None."""
    attempt = ledger.number()
    await ledger.begin(attempt, request(number), 0.5, 20)
    if answer is not None:
        await ledger.record(attempt, request(number), answer)
    return attempt


def test_an_answer_comes_back_as_it_was(tmp_path: Path) -> None:
    texts = ["", "Würfel 骰子 🎲", "a\0b", "x" * 100_000, "'; DROP TABLE requests; --"]

    async def write() -> None:
        with Ledger(tmp_path / "deep" / "ledger") as ledger:
            for number, text in enumerate(texts):
                await asked(ledger, number, Answer(text, *list(vars(ANSWER).values())[1:]))

    asyncio.run(write())
    with Ledger(tmp_path / "deep" / "ledger") as ledger:
        for number, text in enumerate(texts):
            found = ledger.find(request(number))
            assert found == Answer(text, *list(vars(ANSWER).values())[1:-1], from_ledger=True)
        assert ledger.find(request(99)) is None and ledger.refusal(request(0).key) is None


def test_it_survives_a_loss_of_power(tmp_path: Path) -> None:
    base = connect(tmp_path / "ledger")
    assert base.execute("PRAGMA synchronous").fetchone() == (2,), "each commit reaches the disk"
    assert base.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    base.close()


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger"), pytest.raises(LedgerError, match="in use"):
        Ledger(tmp_path / "ledger")
    Ledger(tmp_path / "ledger").close()


def test_a_place_that_takes_no_file_is_not_the_files_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "ledger").mkdir()
    for path in (tmp_path / "file" / "ledger", tmp_path / "ledger"):
        with pytest.raises(UsageError, match="cannot be used as a ledger") as refused:
            Ledger(path)
        assert "free space" in str(refused.value.hint)


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 4096])
def test_other_files_are_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="cannot be used as a ledger"):
        Ledger(path)
    assert path.read_bytes() == content
    path.unlink()
    Ledger(path).close()


def test_a_folder_and_another_version_are_no_ledger(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        Ledger(tmp_path)
    with sqlite3.connect(tmp_path / "ledger") as base:
        base.execute("PRAGMA user_version = 99")
    with sqlite3.connect(tmp_path / "other") as base:
        base.execute("CREATE TABLE requests (number)")
    with pytest.raises(UsageError, match="a database of something else"):
        Ledger(tmp_path / "other")
    with pytest.raises(UsageError, match="version 99"):
        Ledger(tmp_path / "ledger")


def test_what_was_on_its_way_is_unsure_when_it_is_opened_again(tmp_path: Path) -> None:
    async def half() -> None:
        with Ledger(tmp_path / "ledger") as ledger:
            await asked(ledger, 1)
            await asked(ledger, 2, None)
            assert ledger.totals().in_flight == 0.5 and ledger.totals().unsure == 0

    asyncio.run(half())
    with Ledger(tmp_path / "ledger") as ledger:
        totals = ledger.totals()
        assert (totals.in_flight, totals.unsure, totals.at_risk, totals.cost) == (0.0, 1, 0.5, 0.25)
        assert totals.at_most == 0.75 and totals.requests == 2 and totals.answered == 1
        assert ledger.number() == 3, "numbers go on"


def test_a_second_answer_is_charged_and_the_first_one_kept(tmp_path: Path) -> None:
    async def twice() -> None:
        with Ledger(tmp_path / "ledger") as ledger:
            await asked(ledger, 1)
            await asked(ledger, 1, Answer("Other words.", *list(vars(ANSWER).values())[1:]))
            found, totals = ledger.find(request(1)), ledger.totals()
            assert found and found.text == ANSWER.text
            assert (totals.requests, totals.answered, totals.attempts, totals.cost) == (1, 1, 2, 0.5)
            attempt = await asked(ledger, 1, None)
            await ledger.record_refusal(attempt, request(1), RefusedForGoodError("no"), 0.1)
            assert ledger.find(request(1)) and ledger.totals().failed == 0
            attempt = await asked(ledger, 2, None)
            await ledger.record_refusal(attempt, request(2), RefusedForGoodError("no"), 0.1)
            assert str(ledger.refusal(request(2).key)) == "no" and ledger.totals().failed == 1

    asyncio.run(twice())


def test_who_cannot_write_says_so_and_harms_nobody_else(tmp_path: Path) -> None:
    async def write() -> None:
        with Ledger(tmp_path / "ledger") as ledger:
            poison = Answer("half of a pair: \ud83c", *list(vars(ANSWER).values())[1:])
            results = await asyncio.gather(
                *(asked(ledger, number, poison if number % 10 == 3 else ANSWER) for number in range(50)),
                return_exceptions=True,
            )
            assert [number for number, each in enumerate(results) if isinstance(each, LedgerError)] == [
                3,
                13,
                23,
                33,
                43,
            ]
            assert ledger.totals().answered == 45
            with sqlite3.connect(tmp_path / "ledger") as other:
                other.execute("DROP TABLE attempts")
            with pytest.raises(LedgerError, match="cannot be written"):
                await asked(ledger, 60)
            with pytest.raises(LedgerError, match="cannot be read"):
                ledger.totals()
        with pytest.raises(LedgerError, match="closed"):
            await ledger.begin(99, request(1), None, 1)

    asyncio.run(write())


def test_who_is_cancelled_has_written_all_the_same(tmp_path: Path) -> None:
    async def write() -> None:
        with Ledger(tmp_path / "ledger") as ledger:
            attempts = [await asked(ledger, number, None) for number in range(20)]
            tasks = [
                asyncio.create_task(ledger.record(attempt, request(number), ANSWER))
                for number, attempt in enumerate(attempts)
            ]
            await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            assert all(
                isinstance(each, asyncio.CancelledError)
                for each in await asyncio.gather(*tasks, return_exceptions=True)
            )

    asyncio.run(write())
    with Ledger(tmp_path / "ledger") as ledger:
        assert ledger.totals().answered == 20


@settings(max_examples=25, deadline=None)
@given(
    fates=st.lists(
        st.tuples(
            st.integers(0, 5),
            st.sampled_from(["answered", "refused", "free", "unsure", "spoilt", "open"]),
            st.one_of(st.none(), st.floats(0, 10)),
        ),
        max_size=30,
    )
)
def test_totals_are_the_sum_of_what_happened(
    fates: list[tuple[int, str, float | None]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("books") / "ledger"
    usage = Usage(20, 3, 5)

    async def write() -> None:
        with Ledger(path) as ledger:
            for number, fate, cost in fates:
                attempt = await asked(ledger, number, None)
                if fate == "answered":
                    await ledger.record(attempt, request(number), Answer("x", "stop", usage, cost, None, "m", 1.0))
                elif fate == "refused":
                    await ledger.record_refusal(attempt, request(number), RefusedForGoodError("no", code="c"), 0.1)
                elif fate != "open":
                    spoilt = fate == "spoilt"
                    ledger.record_loss(attempt, fate, "why", 0.1, usage if spoilt else None, cost if spoilt else None)  # type: ignore[arg-type]

    asyncio.run(write())
    with Ledger(path) as ledger:
        totals = ledger.totals()
        charged = [(fate, cost) for _, fate, cost in fates if fate in ("answered", "spoilt")]
        answered = {number for number, fate, _ in fates if fate == "answered"}
        refused = {number for number, fate, _ in fates if fate == "refused"}
        unsure = sum(fate in ("unsure", "open") for _, fate, _ in fates)
        assert totals.attempts == len(fates) and totals.requests == len({number for number, _, _ in fates})
        assert totals.answered == len(answered) and totals.failed == len(refused - answered)
        assert totals.prompt_tokens == 20 * len(charged) and totals.cached_tokens == 5 * len(charged)
        assert totals.unsure == unsure and totals.at_risk == 0.5 * unsure
        assert totals.unpriced == sum(cost is None for _, cost in charged)
        known = [cost for _, cost in charged if cost is not None]
        assert totals.cost is None if charged and not known else totals.cost == pytest.approx(sum(known))
        for number in range(6):
            assert (ledger.find(request(number)) is not None) == (number in answered)
            assert ledger.refusal(request(number).key) is None, "the next run asks again"
