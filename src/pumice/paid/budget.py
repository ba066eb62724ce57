"""Stops before more is spent than was allowed: what has been spent, and what those in flight may cost at most.

Each request reserves the most that it can cost, and gives back what it did not. While others are in flight that may
give something back, it waits for them, and so does all that ranks after it; only then it is refused, and they are, too.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TypeAlias

from pumice.errors import UsageError
from pumice.paid.answers import BudgetError
from pumice.paid.prices import usd

Rank: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class Reservation:
    """USD set aside for one request, until it is settled."""

    bound: float


class Budget:
    """An amount of USD for everything that is paid through it; None: no limit. Belongs to one event loop."""

    def __init__(self, most: float | None = None) -> None:
        """Raises UsageError for an amount that is none."""
        if most is not None and not 0 < most < float("inf"):
            raise UsageError(f"a budget must be above 0 USD, found {most}")
        self.most = most
        self.spent = 0.0
        self._open: dict[int, Reservation] = {}
        self._ledgers: set[Path] = set()
        self._waiting: list[tuple[Rank, int]] = []  # in order
        self._tickets = count()
        self._last: Rank | None = None  # the first in rank that could not be paid
        self._returned: asyncio.Event | None = None

    @property
    def held(self) -> float:
        """USD that those in flight may cost at most."""
        return sum(each.bound for each in self._open.values())

    def count_past(self, ledger: Path, spent: float) -> None:
        """Counts what a ledger's earlier runs have spent, once for each ledger."""
        if ledger not in self._ledgers:
            self._ledgers.add(ledger)
            self.spent += spent

    async def reserve(self, bound: float | None, rank: Rank = ()) -> Reservation:
        """Sets aside ``bound`` USD, the most that a request can cost; waits while what is in flight may give some back.

        rank: nobody is served before one with a smaller rank that waits, nor after one that could not be. Among equals
        it is first come, first served.
        Raises: BudgetError if it can not be had. UsageError if there is a limit, and ``bound`` is unknown.
        """
        turn = (rank, next(self._tickets))
        insort(self._waiting, turn)
        try:
            while self._last is None or rank <= self._last:
                if self._waiting[0] == turn:
                    if reservation := self.reserve_now(bound):
                        return reservation
                    if not self._open:
                        self._last = rank
                        break
                self._returned = self._returned or asyncio.Event()
                await self._returned.wait()
            raise self.exhausted(bound or 0.0)
        finally:
            self._waiting.remove(turn)
            self._wake()

    def reserve_now(self, bound: float | None) -> Reservation | None:
        """The same without waiting; None if it cannot be had just now. Raises UsageError as ``reserve`` does."""
        if self.most is None:
            return Reservation(0.0)
        if bound is None:
            raise UsageError(
                "a budget cannot be kept for a model without a price, or for answers of any length",
                hint="give the model's price in a file of prices, and max_tokens, or leave the budget away",
            )
        if self.spent + self.held + bound > self.most:
            return None
        reservation = Reservation(bound)
        self._open[id(reservation)] = reservation
        return reservation

    def settle(self, reservation: Reservation, cost: float) -> None:
        """Ends a reservation: so much was spent of it."""
        self._open.pop(id(reservation), None)
        self.spent += cost
        self._wake()

    def correct(self, difference: float) -> None:
        """Counts that so many USD more, or fewer, were spent than was thought."""
        self.spent += difference

    def exhausted(self, bound: float) -> BudgetError:
        """The error for a request that could cost ``bound`` USD."""
        if not self.spent:
            return BudgetError(
                f"the budget of {usd(self.most)} is too small for one request, which could cost {usd(bound)}",
                hint="allow more, or shorter answers",
            )
        return BudgetError(
            f"the budget of {usd(self.most)} is used up: {usd(self.spent)} may have been spent,"
            f" and the next request could cost {usd(bound)}",
            hint="allow more to go on where it stopped; nothing is paid for twice",
        )

    def _wake(self) -> None:
        if self._returned:
            self._returned.set()
            self._returned = None
