"""A cluster of workers that answers like one: picks a worker, goes to another while nothing has been said yet."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from random import random

from pumice.serve.api.answers import ImageFacts, ModelCard, TokenCount
from pumice.serve.api.app import no_such_model
from pumice.serve.api.channel import BrokenError, Channel
from pumice.serve.api.events import Accepted, Event, Piece
from pumice.serve.api.pictures import Inliner, first_picture
from pumice.serve.api.schema import ChatRequest, Message, TokenizeRequest
from pumice.serve.cluster.directory import Directory, Entry
from pumice.serve.cluster.dispatch import Policy, choose
from pumice.serve.guard.errors import ApiError, Failure

_log = logging.getLogger(__name__)

RETRIES = 2
#: How long a request waits for a worker of a model that was there a moment ago, and how long that moment lasts.
PATIENCE_S, REMEMBERED_S = 30.0, 120.0
NO_WORKER = Failure(
    503, "no_worker", "no worker is there yet", "start one with: pumice worker --controller URL", retry_after_s=2
)
_LOOK_S = 0.2
#: What was sent so shortly before a worker told its queue may not have been in it yet.
_ARRIVES_S = 0.1
#: A worker that failed is not asked again for so long.
_SHUNNED_S = 1.0


class Gateway:
    """As ``api.app.Backend`` says, by the workers of a directory."""

    def __init__(
        self,
        directory: Directory,
        channel: Channel,
        inliner: Inliner,
        *,
        policy: Policy = "shortest_queue",
        patience_s: float = PATIENCE_S,
        absence: Callable[[], Failure] = lambda: NO_WORKER,
    ) -> None:
        """absence: why there is no worker, asked when there is none."""
        self._directory = directory
        self._channel = channel
        self._inliner = inliner
        self._policy = policy
        self._patience_s = patience_s
        self._absence = absence
        self._in_flight: dict[str, list[float]] = {}  # by worker: when each request was sent
        self._failed: dict[str, float] = {}  # workers, and when they last did
        self._seen: dict[str, float] = {}  # models, and when somebody last had them

    async def chat(self, request: ChatRequest, request_id: str) -> AsyncGenerator[Event]:
        """Raises ApiError: refused, no worker, or one that broke off after it had begun to speak."""
        messages = await self._inliner.inlined(request.messages)
        body = request.model_copy(update={"messages": messages}).model_dump(
            exclude_none=True, by_alias=True, exclude_defaults=True
        )
        search = _Search(request.model, first_picture(messages), time.monotonic() + self._patience_s)
        accepted = spoke = False
        while True:
            worker = await self._pick(search)
            sent = time.monotonic()
            self._in_flight.setdefault(worker.name, []).append(sent)
            try:
                async with aclosing(self._channel.chat(_base(worker), body, request_id)) as events:
                    async for event in events:
                        self._failed.pop(worker.name, None)
                        spoke = spoke or isinstance(event, Piece)
                        if not isinstance(event, Accepted) or not accepted:
                            yield event
                        accepted = True
                return
            except ApiError as error:
                self._note(worker, error, request_id)
                if spoke or not search.goes_on(worker, error):
                    raise
            finally:
                self._in_flight[worker.name].remove(sent)
                if not self._in_flight[worker.name]:  # names come and go
                    del self._in_flight[worker.name]

    def gauges(self) -> dict[str, float]:
        """For monitoring."""
        return {"queue_length": sum(map(len, self._in_flight.values()))}

    async def models(self) -> Sequence[ModelCard]:
        """What all workers have together."""
        cards: dict[str, ModelCard] = {}
        for worker in await self._directory.workers():
            for model in worker.models:
                cards.setdefault(model, _card(model, worker))
        return [cards[name] for name in sorted(cards)]

    async def count(self, request: TokenizeRequest, request_id: str) -> TokenCount:
        """By any worker that has the model."""
        body = request.model_dump(exclude_none=True, by_alias=True)
        if request.messages is not None:
            messages: list[Message] = await self._inliner.inlined(request.messages)
            body["messages"] = [message.model_dump(exclude_none=True, by_alias=True) for message in messages]
        worker = await self._pick(_Search(request.model, None, time.monotonic() + self._patience_s))
        root = _base(worker).removesuffix("/v1")
        return TokenCount.model_validate(await self._channel.post(f"{root}/tokenize", body, request_id))

    async def unready(self) -> Failure | None:
        """Whether there is no worker."""
        return None if await self._directory.workers() else self._absence()

    async def _pick(self, search: _Search) -> Entry:
        """The best worker that has the model and may be tried; waits for one that was there a moment ago.

        Raises ApiError: there is none, or all are full.
        """
        while True:
            workers = await self._directory.workers()
            now = time.monotonic()
            self._seen = _recent(self._seen, now) | {each: now for worker in workers for each in worker.models}
            able = [each for each in workers if search.model in each.models and each.name not in search.avoided]
            ready = [each for each in able if now - self._failed.get(each.name, -_SHUNNED_S) >= _SHUNNED_S]
            untried = [each for each in ready if each.name not in search.failed]
            counted = [replace(each, queue=each.queue + self._unreported(each)) for each in untried or ready]
            chosen = choose(counted, self._policy, random, affinity=search.affinity)
            if chosen is not None:
                return chosen
            if search.refusal is not None and not able:
                raise search.refusal
            if workers and search.model not in self._seen:
                raise no_such_model(search.model, sorted({each for worker in workers for each in worker.models}))
            if now >= search.end:
                message, hint = f"no worker has the model {search.model[:100]!r} now", "one may be starting: try again"
                raise ApiError(Failure(503, "no_worker", message, hint, retry_after_s=5))
            await asyncio.sleep(_LOOK_S)

    def _unreported(self, worker: Entry) -> int:
        """How many requests the worker was sent from here that the queue it last told does not count."""
        return sum(sent > worker.heard - _ARRIVES_S for sent in self._in_flight.get(worker.name, ()))

    def _note(self, worker: Entry, error: ApiError, request_id: str) -> None:
        if isinstance(error, BrokenError) and not error.alive:
            if worker.name not in self._failed:
                _log.warning("request %s: worker %s: %s", request_id, worker.name, error)
            now = time.monotonic()
            self._failed = _recent(self._failed, now) | {worker.name: now}


@dataclass
class _Search:
    """One request's way to a worker. avoided: those that had no room or stood still, and refusal what was said of it;
    failed: those that broke upon it, which are only asked again if there is no other."""

    model: str
    affinity: str | None
    end: float
    avoided: set[str] = field(default_factory=set)
    refusal: ApiError | None = None
    failed: set[str] = field(default_factory=set)
    failures: int = 0

    def goes_on(self, worker: Entry, error: ApiError) -> bool:
        """Whether another worker may do better, or the same one in a moment.

        A worker that failed upon the request itself may have done so because of it: that is tried only so often.
        """
        if error.failure.code == "queue_full":
            self.avoided.add(worker.name)
            self.refusal = error
            return True
        if not isinstance(error, BrokenError) or error.failure.code == "deadline_exceeded":  # it has had its time
            return False
        if error.failure.code == "stalled":  # what one worker chokes on is not given to it again
            self.avoided.add(worker.name)
            self.refusal = error
        if not error.absent:
            self.failed.add(worker.name)
            self.failures += 1
        return self.failures <= RETRIES and time.monotonic() < self.end


def _recent(times: Mapping[str, float], now: float) -> dict[str, float]:
    """What was noted not too long ago."""
    return {name: when for name, when in times.items() if now - when < REMEMBERED_S}


def _base(worker: Entry) -> str:
    return f"{worker.address}/v1"


def _card(model: str, worker: Entry) -> ModelCard:
    """By what the worker told when it registered; it may be one of somebody else's making."""
    info = worker.info
    length, images = info.get("max_model_len"), info.get("images")
    return ModelCard(
        id=model,
        input_modalities=["text"] if info.get("input_modalities") == ["text"] else ["text", "image"],
        max_model_len=length if isinstance(length, int) else None,
        images=ImageFacts.model_validate(images) if isinstance(images, dict) else None,
    )
