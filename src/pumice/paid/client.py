"""Asks paid models: never twice for an answer that came, never faster than allowed, never beyond the budget.

async with PaidClient(url, key, ledger=ledger, budget=Budget(5.0)) as client:
    answer = await client.ask(request)
    async for request, outcome in client.ask_all(requests):
        ...
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import TYPE_CHECKING

from pumice.errors import PumiceError
from pumice.paid.answers import Answer
from pumice.paid.request import Request

if TYPE_CHECKING:
    from pumice.paid.budget import Budget
    from pumice.paid.ledger import Ledger
    from pumice.paid.limits import Limits
    from pumice.paid.prices import Prices


class PaidClient:
    """One server and one ledger. Belongs to one event loop."""

    def __init__(
        self,
        url: str,
        key: str | None,
        *,
        ledger: Ledger,
        limits: Limits | None = None,
        budget: Budget | None = None,
        prices: Prices | None = None,
        timeout_s: float = 300,
        concurrency: int = 64,
    ) -> None:
        """url: as OpenAI's ``base_url``. limits, budget: none if None. prices: the built-in table if None.

        timeout_s: the longest wait for one whole answer. concurrency: the most requests in flight.
        """

    async def ask(self, request: Request) -> Answer:
        """The answer, on the disk before it is returned; from the ledger if it was paid before.

        Raises: RefusedForGoodError or GaveUpError for this request; one of ``answers.HOPELESS`` for all of them.
        """
        raise NotImplementedError

    async def ask_all(
        self, requests: Iterable[Request] | AsyncIterable[Request]
    ) -> AsyncIterator[tuple[Request, Answer | PumiceError]]:
        """Every request once with its outcome, in the order in which they come; at most ``concurrency`` are held."""
        raise NotImplementedError
        yield

    async def close(self) -> None:
        """Gives the connections back."""

    async def __aenter__(self) -> PaidClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
