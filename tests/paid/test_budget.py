"""Budgets: never exceeded, used as far as possible, and nobody waits for ever."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pumice.errors import UsageError
from pumice.paid.answers import BudgetError
from pumice.paid.budget import Budget


@settings(max_examples=80, deadline=None)
@given(
    most=st.floats(0.01, 10),
    requests=st.lists(st.tuples(st.floats(0.001, 1), st.floats(0, 1), st.integers(0, 5)), max_size=60),
)
def test_whatever_happens_it_is_kept(most: float, requests: list[tuple[float, float, int]]) -> None:
    """bound, the part of it that is spent, and how many steps it takes."""
    budget = Budget(most)
    outcomes: list[bool] = []

    async def one(bound: float, part: float, steps: int) -> None:
        try:
            reservation = await budget.reserve(bound)
        except BudgetError:
            outcomes.append(False)
            return
        assert budget.spent + budget.held <= most + 1e-9
        for _ in range(steps):
            await asyncio.sleep(0)
        budget.settle(reservation, bound * part)
        outcomes.append(True)

    async def run() -> None:
        await asyncio.wait_for(asyncio.gather(*(one(*each) for each in requests)), 20)

    asyncio.run(run())
    assert len(outcomes) == len(requests) and budget.held == 0 and budget.spent <= most + 1e-9
    if not all(outcomes):  # whoever was refused would have been too much
        assert budget.spent + max(bound for bound, _, _ in requests) > most
    if sum(bound for bound, _, _ in requests) <= most - 1e-9:
        assert all(outcomes)


def test_without_a_limit_nothing_needs_a_price() -> None:
    budget = Budget()
    reservation = asyncio.run(budget.reserve(None))
    budget.settle(reservation, 3.0)
    assert budget.spent == 3.0


def test_a_limit_needs_a_price() -> None:
    with pytest.raises(UsageError, match="price") as caught:
        asyncio.run(Budget(1.0).reserve(None))
    assert "max_tokens" in str(caught.value.hint)


def test_past_spending_counts_once_for_each_ledger() -> None:
    budget = Budget(1.0)
    for path in ("a", "b", "a"):
        budget.count_past(Path(path), 0.3)
    assert budget.spent == pytest.approx(0.6)
    with pytest.raises(BudgetError, match=r"\$1\.00 is used up"):
        asyncio.run(budget.reserve(0.5))


def test_who_is_cancelled_while_waiting_reserves_nothing() -> None:
    async def run() -> None:
        budget = Budget(1.0)
        first = await budget.reserve(0.8)
        waiting = [asyncio.create_task(budget.reserve(0.8)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        budget.settle(first, 0.1)
        results = await asyncio.wait_for(asyncio.gather(waiting[0], waiting[1], return_exceptions=True), 5)
        assert isinstance(results[0], asyncio.CancelledError)
        assert not isinstance(results[1], BaseException) and not waiting[2].done()
        budget.settle(results[1], 0.8)
        with pytest.raises(BudgetError):
            await waiting[2]

    asyncio.run(run())


@pytest.mark.parametrize("most", [0, -1, float("nan"), float("inf")])
def test_an_amount_that_is_none(most: float) -> None:
    with pytest.raises(UsageError):
        Budget(most)
