"""Requests and clients for tests: small, quick to lose patience, and with a price."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import date
from pathlib import Path

from pumice.errors import PumiceError
from pumice.paid.answers import Answer
from pumice.paid.budget import Budget
from pumice.paid.client import PaidClient
from pumice.paid.ledger import Ledger
from pumice.paid.limits import Limits
from pumice.paid.prices import Price, Prices
from pumice.paid.request import Request

PRICE = Price(input=2.5, cached_input=1.25, output=10.0, batch=0.5)
PRICES = Prices({"teacher": PRICE}, date(2026, 1, 1))
SYSTEM = "You write questions and answers about a picture that you see."
QUICK = Limits(attempts=6, first_wait_s=0.01, longest_wait_s=0.05)


def request(number: int, **more: object) -> Request:
    """One of many, each different."""
    messages = (
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": f"Picture {number}: a red die lies left of {number} blue dice."},
    )
    return Request("teacher", messages, {"temperature": 0.7, "max_tokens": 100, **more})  # type: ignore[dict-item]


def said(messages: object) -> str:
    """The right answer to each."""
    assert isinstance(messages, list)
    return f"An answer to: {messages[-1]['content']}"


def asked_all(
    url: str,
    path: Path,
    requests: Iterable[Request],
    *,
    limits: Limits = QUICK,
    budget: Budget | None = None,
    prices: Prices = PRICES,
    timeout_s: float = 30,
    concurrency: int = 50,
    key: str | None = "k",
) -> dict[str, Answer | PumiceError]:
    """What a client with a ledger at ``path`` makes of them, by the requests' keys."""

    async def run() -> dict[str, Answer | PumiceError]:
        with Ledger(path) as ledger:
            async with PaidClient(
                url,
                key,
                ledger=ledger,
                limits=limits,
                budget=budget,
                prices=prices,
                timeout_s=timeout_s,
                concurrency=concurrency,
            ) as client:
                return {each.key: outcome async for each, outcome in client.ask_all(requests)}

    return asyncio.run(run())
