"""Asks paid models: never twice for an answer that came, never faster than allowed, never beyond the budget.

async with PaidClient(url, key, ledger=ledger, budget=Budget(5.0)) as client:
    answer = await client.ask(request)
    async for request, outcome in client.ask_all(requests):
        ...
"""

from __future__ import annotations

import asyncio
import copy
import random
import time
from collections.abc import AsyncGenerator, AsyncIterable, Coroutine, Iterable

from pumice.errors import ModelError, PumiceError
from pumice.paid.answers import (
    FREE,
    UNSURE,
    Answer,
    EndedError,
    GaveUpError,
    LedgerError,
    OutageError,
    RefusedForGoodError,
    Usage,
)
from pumice.paid.budget import Budget
from pumice.paid.complaints import Complaints
from pumice.paid.crowd import Outcome, outcomes
from pumice.paid.estimate import cost_at_most, prompt_tokens
from pumice.paid.ledger import Ledger
from pumice.paid.limits import Limits, Pace
from pumice.paid.prices import Prices, load_prices
from pumice.paid.request import Request
from pumice.paid.sending import Failure, Sender
from pumice.remote import FailedRequestError

_USUAL_ANSWER = 500  # tokens, for the pace, where nothing says how long it may be
_IN_VAIN = 20  # requests in a row without an answer: then nobody expects one
_SPREAD_S = 2.0  # so that not all come back at the same moment
_LIMITED = 10  # times as often as other failures: those who come back when they are told to are patient


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
        Raises: PumiceError if the `openai` library is not installed.
        """
        self._ledger = ledger
        self._limits = limits or Limits()
        self._budget = budget or Budget()
        self._prices = prices or load_prices()
        self._pace = Pace(self._limits)
        self._concurrency = concurrency
        self._sender = Sender(url, key, timeout_s=timeout_s, connections=concurrency, heed=self._pace.heed)
        self._room = asyncio.Semaphore(concurrency)
        self._asking: dict[str, asyncio.Event] = {}
        self._hopeless: dict[str | None, PumiceError] = {}  # of one model, or of all
        self._in_vain = 0
        self._ended = asyncio.Event()
        self.complaints = Complaints()
        self._budget.count_past(ledger.path, ledger.totals().at_most)

    async def ask(self, request: Request) -> Answer:
        """The answer, on the disk before it is returned; from the ledger if it was paid before.

        Raises: RefusedForGoodError or GaveUpError for this request; one of ``answers.HOPELESS`` for all of them.
        UsageError for a budget or limits that cannot be kept. EndedError after ``end``.
        """
        while asked := self._asking.get(request.key):  # whoever asks the same at the same time waits for the first
            await asked.wait()
        answered = self._asking[request.key] = asyncio.Event()
        try:
            if answer := self._ledger.find(request):
                return answer
            if refusal := self._ledger.refusal(request.key):
                raise copy.copy(refusal)
            if self._ledger.in_batch(request):
                raise LedgerError("it is in a batch that is not finished", hint="fetch the batch's results first")
            async with self._room:
                return await self._insist(request)
        finally:
            del self._asking[request.key]
            answered.set()

    def ask_all(self, requests: Iterable[Request] | AsyncIterable[Request]) -> AsyncGenerator[Outcome, None]:
        """Every request once with its outcome, in the order in which they come; at most ``concurrency`` are held.

        Whoever leaves early closes it (``aclose``), which cancels what is in flight; it may be charged all the same.
        """
        return outcomes(requests, self.ask, self._concurrency)

    def end(self) -> None:
        """Nothing more is sent: whoever waits to send raises EndedError. What is on its way is waited for."""
        self._ended.set()

    async def close(self) -> None:
        """Gives the connections back."""
        await self._sender.close()

    async def __aenter__(self) -> PaidClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _insist(self, request: Request) -> Answer:
        """Sends until there is an answer, or no hope of one."""
        failures = limited = 0
        while True:
            for concerned in (None, request.model):
                if concerned in self._hopeless:
                    raise copy.copy(self._hopeless[concerned])
            outcome = await self._once(request)
            if isinstance(outcome, Answer):
                self._in_vain = 0
                self.complaints.answered()
                return outcome
            if not outcome.again:
                raise self._lesson(outcome.error, request)
            told = outcome.limited and outcome.wait_s is not None
            limited, failures = limited + told, failures + (not told)
            if failures >= self._limits.attempts or limited >= self._limits.attempts * _LIMITED:
                raise self._lesson(_gave_up(outcome.error, failures + limited), request)
            if not outcome.limited:
                self.complaints.failed(str(outcome.error))
            await self._unless_ended(self._rest(outcome, failures))

    async def _once(self, request: Request) -> Answer | Failure:
        """One sending, when the budget and the pace allow it; in the ledger before and after."""
        bound, expected = cost_at_most(request, self._prices), prompt_tokens(request)
        tokens = expected + (request.max_tokens or _USUAL_ANSWER)
        self._limits.require_room(tokens)
        reservation = await self._budget.reserve(bound, request.rank)
        spent = 0.0
        try:
            await self._unless_ended(self._pace.turn(tokens))
            attempt, started, how = self._ledger.number(), time.monotonic(), FREE
            try:
                await self._ledger.begin(attempt, request, bound, expected)
                how, spent = UNSURE, bound or 0.0
                outcome = await self._sender.send(request, expected)
            except BaseException:  # cancelled while it was on its way: it may be charged
                self._ledger.record_loss(attempt, how, "cancelled", time.monotonic() - started, None, None)
                raise
            seconds = time.monotonic() - started
            if isinstance(outcome, Failure):
                spent = await self._note_failure(attempt, request, outcome, seconds, spent)
                return outcome
            usage = outcome.usage
            self._pace.spare(tokens - usage.prompt_tokens - usage.completion_tokens)
            answer = Answer(
                outcome.text,
                outcome.finish_reason,
                usage,
                self._cost(request, usage),
                outcome.request_id,
                outcome.model,
                seconds,
            )
            await self._ledger.record(attempt, request, answer)
            spent = answer.cost or 0.0
            return answer
        finally:
            self._budget.settle(reservation, spent)

    async def _note_failure(
        self, attempt: int, request: Request, failure: Failure, seconds: float, at_most: float
    ) -> float:
        """Into the ledger; USD that may have been spent."""
        if isinstance(failure.error, RefusedForGoodError):
            await self._ledger.record_refusal(attempt, request, failure.error, seconds)
            return 0.0
        cost = self._cost(request, failure.usage) if failure.usage else None
        self._ledger.record_loss(attempt, failure.how, str(failure.error), seconds, failure.usage, cost)
        return at_most if failure.how == UNSURE else cost or 0.0

    def _cost(self, request: Request, usage: Usage) -> float | None:
        price = self._prices.of(request.model)
        return price.cost(usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens) if price else None

    def _lesson(self, error: PumiceError, request: Request) -> PumiceError:
        """The error to raise; where it says that asking on is pointless, that is remembered."""
        if isinstance(error, GaveUpError | RefusedForGoodError):
            self._in_vain += 1
            if self._in_vain < _IN_VAIN:
                return error
            text = f"{self._in_vain} requests in a row brought no answer, the last one because of: {error}"
            error = OutageError(text, hint=error.hint or "see what is wrong, then go on; nothing is lost")
        self._hopeless[request.model if isinstance(error, ModelError) else None] = error
        return error

    async def _unless_ended(self, waiting: Coroutine[object, None, None]) -> None:
        tasks = asyncio.ensure_future(waiting), asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if self._ended.is_set():
                raise EndedError("nobody waits for it any more")
            await tasks[0]
        finally:
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _rest(self, failure: Failure, failures: int) -> None:
        """Waits until it makes sense to try again, each request a little differently."""
        doubled = self._limits.first_wait_s * 2.0 ** (failures - 1)
        wait_s = min(doubled, self._limits.longest_wait_s) if failure.wait_s is None else failure.wait_s
        if failure.limited:
            self._pace.hold(wait_s)  # for all: others would be told the same
            await asyncio.sleep(random.uniform(0, min(wait_s, _SPREAD_S)))
        else:
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.5))


def _gave_up(error: PumiceError, times: int) -> GaveUpError:
    code, status = (error.code, error.status) if isinstance(error, FailedRequestError) else (None, None)
    hint = error.hint or "ask again later"
    return GaveUpError(f"given up after {times} times: {error}", hint=hint, code=code, status=status)
