"""Half the price for a day's patience: requests as batches, by OpenAI's Batch API.

    async with BatchClient(url, key, ledger=ledger) as client:
        await client.fill(requests)
    ledger.find(request)   # as if it had been asked

A process that is killed at any moment goes on where it was: each batch is made once, and its results are fetched until
all of them are in the ledger.
"""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import IO

from pumice.errors import PumiceError
from pumice.paid.answers import QuotaError
from pumice.paid.batch_books import BatchBooks, OpenBatch, Place
from pumice.paid.batch_server import BatchServer, BatchState
from pumice.paid.budget import Budget, Reservation
from pumice.paid.estimate import cost_at_most, prompt_tokens
from pumice.paid.ledger import Ledger
from pumice.paid.prices import Prices, load_prices
from pumice.paid.request import Request
from pumice.remote import FailedRequestError

# OpenAI's limits are 50,000 requests and 200 MB; one more line may come after the bytes are reached.
_MOST_LINES, _MOST_BYTES = 50_000, 180_000_000
_TOGETHER = 500  # lines of results, written down at once


@dataclass
class Filled:
    """What became of the requests in batches.

    unanswered: may be asked again. strange: lines of results that belong to no request.
    """

    batches: int = 0
    answered: int = 0
    refused: int = 0
    unanswered: int = 0
    strange: int = 0


@dataclass
class _Chunk:
    """What goes into one batch."""

    places: dict[str, Place] = field(default_factory=dict)
    reservations: list[Reservation] = field(default_factory=list)
    file: IO[bytes] = field(default_factory=tempfile.TemporaryFile)

    def takes(self, place: Place) -> bool:
        """Whether it fits; a batch is of one model."""
        return not self.places or (
            len(self.places) < _MOST_LINES
            and self.file.tell() < _MOST_BYTES
            and next(iter(self.places.values())).request.model == place.request.model
        )

    def add(self, place: Place, reservation: Reservation) -> None:
        self.places[place.request.key] = place
        self.reservations.append(reservation)
        self.file.write(place.line)


class BatchClient:
    """One server and one ledger. Belongs to one event loop."""

    def __init__(
        self,
        url: str,
        key: str | None,
        *,
        ledger: Ledger,
        budget: Budget | None = None,
        prices: Prices | None = None,
        poll_s: float = 30,
        watch: Callable[[BatchState], None] | None = None,
    ) -> None:
        """As ``PaidClient``. poll_s: between two looks at the batches, of which ``watch`` is told."""
        self._ledger = ledger
        self._budget = budget or Budget()
        self._prices = prices or load_prices()
        self._books = BatchBooks(ledger, self._prices)
        self._server = BatchServer(url, key, poll_s=poll_s)
        self._poll_s, self._watch = poll_s, watch
        self._filled = Filled()
        self._trouble: PumiceError | None = None
        self._budget.count_past(ledger.path, ledger.totals().at_most)

    async def fill(self, requests: Iterable[Request]) -> Filled:
        """Has all answered that are not in the ledger, batches of earlier runs included; returns when none is left.

        The counts are of everything since this client was made.

        Raises: BudgetError if there is no room for all; the others are finished then. ServerError, AuthError or
        QuotaError if the server takes no batches. FailedRequestError if it cannot be reached. LedgerError.
        """
        await self._adopt()
        chunk = _Chunk()
        for request in requests:
            if request.key in chunk.places or self._is_settled(request):
                continue
            bound = cost_at_most(request, self._prices, batch=True)
            place = Place(request, self._ledger.number(), bound, prompt_tokens(request))
            if not chunk.takes(place):
                chunk = await self._make(chunk)
            while not (reservation := self._budget.reserve_now(bound)):
                chunk = await self._make(chunk)
                if not self._books.open_batches():
                    raise self._budget.exhausted(bound or 0.0)
                await self._collect()
            chunk.add(place, reservation)
        await self._make(chunk)
        await self._collect()
        return self._filled

    async def close(self) -> None:
        """Gives the connections back; batches that are not finished go on, and are found again."""
        await self._server.close()

    async def __aenter__(self) -> BatchClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _is_settled(self, request: Request) -> bool:
        known = self._ledger.find(request) or self._ledger.refusal(request.key)
        return known is not None or self._ledger.in_batch(request)

    async def _make(self, chunk: _Chunk) -> _Chunk:
        """Sends a chunk on its way, if there is anything in it; the next one."""
        if not chunk.places:
            return chunk
        batch = await self._books.begin(secrets.token_hex(12), list(chunk.places.values()))
        for reservation in chunk.reservations:
            self._budget.settle(reservation, reservation.bound)
        async with self._or_abandoned(batch):
            with chunk.file as file:
                file.seek(0)
                uploaded = await self._server.upload(batch.mark, file)
            await self._books.runs(batch, await self._server.begin(batch.mark, uploaded))
        return _Chunk()

    async def _adopt(self) -> None:
        """Goes on with batches that were about to be made when a process ended, by the mark that they carry."""
        for batch in self._books.open_batches():
            if batch.remote is not None:
                continue
            async with self._or_abandoned(batch):
                remote = await self._server.begun(batch.mark)
                if remote is None and (uploaded := await self._server.uploaded(batch.mark)):
                    remote = await self._server.begin(batch.mark, uploaded)
                if remote is None:
                    await self._close(batch, completed=False, problem="the run ended before it was sent")
                else:
                    await self._books.runs(batch, remote)

    async def _collect(self) -> None:
        """Waits until no batch is open, and writes down the results of each."""
        while batches := self._books.open_batches():
            over = 0
            for batch in batches:
                state = await self._server.look(str(batch.remote))
                if self._watch:
                    self._watch(state)
                if state.over:
                    over += 1
                    await self._finish(batch, state)
            if over < len(batches):
                await asyncio.sleep(self._poll_s)
        if self._trouble:
            raise self._trouble

    async def _finish(self, batch: OpenBatch, state: BatchState) -> None:
        before = self._ledger.totals().at_most
        waiting: list[str] = []
        for file in state.files:
            async for line in self._server.lines(file):
                if line.strip():
                    waiting.append(line)
                if len(waiting) == _TOGETHER:
                    self._filled.strange += await self._books.note(batch, waiting)
                    waiting = []
        self._filled.strange += await self._books.note(batch, waiting)
        self._budget.correct(self._ledger.totals().at_most - before)
        if state.status == "failed":
            text = f"the server refused a batch: {state.problem or 'it does not say why'}"
            self._trouble = QuotaError(text, hint="nothing of it was charged; see what is wrong, then go on")
        await self._close(batch, completed=state.status == "completed", problem=state.problem)

    async def _close(self, batch: OpenBatch, *, completed: bool, problem: str | None) -> None:
        before = self._ledger.totals().at_most
        states = await self._books.close(batch, completed=completed, problem=problem)
        self._budget.correct(self._ledger.totals().at_most - before)
        self._filled.batches += 1
        self._filled.answered += states.get("answered", 0)
        self._filled.refused += states.get("failed", 0)
        self._filled.unanswered += states.get("waiting", 0)

    @asynccontextmanager
    async def _or_abandoned(self, batch: OpenBatch) -> AsyncIterator[None]:
        """A batch that the server will not have is given up; one of which that is not sure is found again later."""
        try:
            yield
        except FailedRequestError:
            raise
        except PumiceError as error:
            await self._close(batch, completed=False, problem=str(error))
            raise
