"""Processes that ask, and are killed: forked from one that has imported everything, since that takes longest."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from paid.asking import PRICES, QUICK, request
from pumice.paid.answers import Answer
from pumice.paid.batch import BatchClient
from pumice.paid.client import PaidClient
from pumice.paid.ledger import Ledger

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["openai.resources.chat", "openai.resources.batches", "httpx2", "paid.processes"])


def started(work: Callable[..., None], *values: Any) -> BaseProcess:
    """One that does ``work``."""
    process = _FORKS.Process(target=work, args=values, daemon=True)
    process.start()
    return process


def ask(url: str, folder: Path, number: int) -> None:
    """Asks ``number`` questions; of each answer that it gets, it appends key and text to a file."""
    used = os.open(folder / "used", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def run() -> None:
        with Ledger(folder / "ledger") as ledger:
            async with PaidClient(url, "k", ledger=ledger, limits=QUICK, prices=PRICES, concurrency=20) as client:
                async for each, outcome in client.ask_all(request(which) for which in range(number)):
                    assert isinstance(outcome, Answer), outcome
                    os.write(used, f"{each.key} {outcome.text}\n".encode())

    asyncio.run(run())


def ask_in_batches(url: str, folder: Path, number: int) -> None:
    """Has ``number`` questions answered by batches."""

    async def run() -> None:
        with Ledger(folder / "ledger") as ledger:
            async with BatchClient(url, "k", ledger=ledger, prices=PRICES, poll_s=0.01) as client:
                await client.fill([request(which) for which in range(number)])

    asyncio.run(run())
