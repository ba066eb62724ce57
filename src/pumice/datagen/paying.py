"""A paid teacher at work: its server, its ledger, its budget; live or by batches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pumice.datagen.asking import Door, by_teacher
from pumice.datagen.batches import FromLedger, fill, write_down
from pumice.datagen.keeping import Keeper
from pumice.datagen.prompting import PromptSet
from pumice.datagen.run import Work
from pumice.datagen.samples import Json
from pumice.datagen.supply import Supply
from pumice.datagen.teacher import PaidTeacher
from pumice.errors import UsageError
from pumice.paid.budget import Budget
from pumice.paid.complaints import unsaid
from pumice.paid.ledger import Ledger
from pumice.paid.limits import Limits
from pumice.paid.prices import Prices, load_prices

if TYPE_CHECKING:
    from pumice.paid.batch_server import BatchState
    from pumice.paid.client import PaidClient

_LOOK_S = 0.2  # between two looks whether somebody wants the end


@dataclass(frozen=True)
class Paid:
    """A teacher behind an OpenAI-compatible server.

    parameters: of every request. budget: USD for the whole run, None for no limit. batches: by the Batch API, at half
    the price and within a day. timeout_s: for one whole answer. concurrency: requests in flight. poll_s:
    between two looks at the batches. say: told in words of a server that fails, and is tried again.
    """

    url: str
    model: str
    prompts: PromptSet
    parameters: dict[str, Json]
    key: str | None = None
    limits: Limits = field(default_factory=Limits)
    budget: float | None = None
    prices: Prices = field(default_factory=load_prices)
    concurrency: int = 64
    timeout_s: float = 300.0
    batches: bool = False
    poll_s: float = 30.0
    say: Callable[[str], None] = unsaid


@dataclass(frozen=True)
class Errand:
    """What a teacher is sent for, and where it is brought. books: where the ledger lies."""

    books: Path
    supply: Supply
    work: Work
    keeper: Keeper


def by_paid(paid: Paid, errand: Errand, told: Callable[[BatchState], None], stop: Callable[[], bool]) -> None:
    """All scenes that are left. told: of batches and how far they are.

    Raises: StoppedError after ``stop``; one of ``paid.answers.HOPELESS``; UsageError for a budget that cannot be kept.
    """
    with Ledger(errand.books) as ledger:
        asyncio.run(_batched(paid, errand, ledger, told, stop) if paid.batches else _live(paid, errand, ledger, stop))


async def _live(paid: Paid, errand: Errand, ledger: Ledger, stop: Callable[[], bool]) -> None:
    from pumice.paid.batch_books import BatchBooks
    from pumice.paid.client import PaidClient

    if BatchBooks(ledger, paid.prices).open_batches():
        raise UsageError(
            "some questions are on their way in a batch, and would be paid for twice",
            hint="add --batch until these have come back",
        )
    client = PaidClient(
        paid.url,
        paid.key,
        ledger=ledger,
        limits=paid.limits,
        budget=Budget(paid.budget),
        prices=paid.prices,
        timeout_s=paid.timeout_s,
        concurrency=paid.concurrency,
    )
    teacher = PaidTeacher(client, paid.model, paid.parameters, paid.prompts)
    scenes = errand.supply.scenes(errand.keeper.progress.scenes)
    door = Door(client, paid.concurrency, stop, proven=bool(ledger.totals().answered))
    client.complaints.say = paid.say
    async with client:
        waiting = asyncio.ensure_future(_end(client, stop))
        try:
            await by_teacher(scenes, errand.work, errand.keeper, teacher, door)
        finally:
            waiting.cancel()


async def _end(client: PaidClient, stop: Callable[[], bool]) -> None:
    """Ends what only waits to be sent, as soon as somebody wants to stop."""
    while not stop():
        await asyncio.sleep(_LOOK_S)
    client.end()


async def _batched(
    paid: Paid, errand: Errand, ledger: Ledger, told: Callable[[BatchState], None], stop: Callable[[], bool]
) -> None:
    from pumice.paid.batch import BatchClient

    done = errand.keeper.progress.scenes
    teacher = PaidTeacher(FromLedger(ledger), paid.model, paid.parameters, paid.prompts)
    client = BatchClient(
        paid.url,
        paid.key,
        ledger=ledger,
        budget=Budget(paid.budget),
        prices=paid.prices,
        poll_s=paid.poll_s,
        watch=told,
    )
    async with client:
        await fill(client, lambda: errand.supply.scenes(done), errand.work, teacher, paid.limits.attempts, stop)
    write_down(errand.supply.scenes(done), errand.work, errand.keeper, teacher, stop)
