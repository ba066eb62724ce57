"""A judge that is asked in a process of its own, which can be killed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from paid.asking import PRICES, QUICK
from pumice.evaluate.judge import Judge, judged
from pumice.evaluate.questions import Answer
from pumice.evaluate.task import Profile
from pumice.paid.budget import Budget
from pumice.paid.client import PaidClient
from pumice.paid.ledger import Ledger


def ask(
    task: str,
    answers: tuple[Answer, ...],
    folder: Path,
    url: str,
    *,
    judge: Judge | None = None,
    profile: Profile = "official",
    budget: float | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Answer, ...]:
    """The answers with the verdicts of the judge at ``url``; ledger and verdicts are kept in ``folder``."""

    async def run() -> tuple[Answer, ...]:
        with Ledger(folder / "ledger") as ledger:
            client = PaidClient(
                url, "k", ledger=ledger, limits=QUICK, prices=PRICES, budget=Budget(budget), timeout_s=5, concurrency=8
            )
            async with client:
                asked = judge or Judge("teacher")
                path = folder / "verdicts.jsonl"
                return await judged(task, answers, folder, profile, asked, client, path, progress)

    return asyncio.run(run())


def ask_all(task: str, texts: dict[str, str], folder: Path, url: str) -> None:
    """For a process: what comes back is on the disk."""
    ask(task, tuple(Answer(name, text) for name, text in texts.items()), folder, url)
