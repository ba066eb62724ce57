"""Stops before more is spent than was allowed: what has been spent, and what those in flight may cost at most.

Each request reserves the most that it can cost, and gives back what it did not. While others are in flight that may
give something back, it waits for them; only then it is refused.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from pumice.errors import UsageError
from pumice.paid.answers import BudgetError


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

    async def reserve(self, bound: float | None) -> Reservation:
        """Sets aside ``bound`` USD, the most that a request can cost; waits while what is in flight may give some back.

        Raises: BudgetError if it can not be had. UsageError if there is a limit, and ``bound`` is unknown.
        """
        while not (reservation := self.reserve_now(bound)):
            if not self._open:
                raise self.exhausted(bound or 0.0)
            self._returned = self._returned or asyncio.Event()
            await self._returned.wait()
        return reservation

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
        if self._returned:
            self._returned.set()
            self._returned = None

    def correct(self, difference: float) -> None:
        """Counts that so many USD more, or fewer, were spent than was thought."""
        self.spent += difference

    def exhausted(self, bound: float) -> BudgetError:
        """The error for a request that could cost ``bound`` USD."""
        return BudgetError(
            f"the budget of ${self.most:.2f} is used up: ${self.spent:.4f} may have been spent,"
            f" and the next request could cost ${bound:.4f}",
            hint="allow more to go on where it stopped; nothing is paid for twice",
        )
