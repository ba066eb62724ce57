"""An engine for many callers of one event loop: a bounded queue, one thread that makes turns, and no caller forgotten.

The only place of the servers that knows the engine.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TypeVar

from pumice.engine.engine import Engine
from pumice.engine.room import refuse_too_long
from pumice.engine.stream import Stream
from pumice.errors import UsageError
from pumice.images.fetch import FetchPolicy
from pumice.options import SamplingOptions
from pumice.prompts.conversation import Asked, Conversation, Image, Rendered
from pumice.serve.api.answers import (
    ImageFacts,
    ModelCard,
    PromptDetails,
    TokenCount,
    TokenLogprob,
    Usage,
    token_logprob,
)
from pumice.serve.api.app import no_such_model
from pumice.serve.api.events import Accepted, Event, Finish, Piece, Used
from pumice.serve.api.question import conversation_of, question_of
from pumice.serve.api.schema import ChatRequest, TokenizeRequest
from pumice.serve.cluster.status import Status
from pumice.serve.guard.errors import ApiError, Failure, failure_of
from pumice.serve.worker.promise import require_json
from pumice.serve.worker.turns import Turns

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")

_READERS = 2  # threads that decode pictures and split words, beside the one that makes turns
_RETRY_S = 2.0


@dataclass(frozen=True)
class Limits:
    """slots: answered together. queue: of those who wait. deadline_s: for a whole answer. stall_s: without any
    progress of the engine, after which it is taken for broken."""

    slots: int = 8
    queue: int = 64
    deadline_s: float = 600.0
    stall_s: float = 300.0


class _Caller:
    """Somebody who waits for one or several answers."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        self.streams = streams
        self.news = asyncio.Event()
        self.told = [0] * len(streams)  # tokens whose likelihoods were passed on


class EngineService:
    """Answers questions with ``engine`` under ``limits``; used on one event loop."""

    def __init__(self, engine: Engine, model: str, limits: Limits, *, fetch: FetchPolicy | None = None) -> None:
        """model: what callers call it. fetch: which URLs it fetches itself; None if somebody did that before."""
        engine.most = limits.slots
        engine.fetch = fetch
        self.model = model
        self.limits = limits
        self.held = 0  # answers that are prepared, waited for, or made
        self._engine = engine
        self._broken: Failure | None = None
        self._callers: set[_Caller] = set()
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="pumice-read")
        self._turns = Turns(engine, self._tell)
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Begin to make turns, for callers of the running loop."""
        self._loop = asyncio.get_running_loop()
        self._turns.start()

    async def stop(self) -> None:
        """End, whoever still waits."""
        await asyncio.to_thread(self._turns.stop)
        self._readers.shutdown(wait=False, cancel_futures=True)

    async def chat(self, request: ChatRequest, request_id: str) -> AsyncGenerator[Event]:
        """As ``api.app.Backend`` says."""
        self._known(request.model)
        question = await asyncio.to_thread(question_of, request)
        try:
            async with aclosing(self.answer(question.conversation, question.options, question.choices)) as events:
                async for event in events:
                    yield event
        except UsageError as error:
            failure = failure_of(error)
            if failure.code == "invalid_request" and question.options.schema is not None:  # nothing else is left
                failure = replace(failure, param="response_format")
            raise ApiError(failure) from None

    async def answer(self, conversation: Asked, options: SamplingOptions, choices: int = 1) -> AsyncGenerator[Event]:
        """Answer ``choices`` times. Raises ApiError for a full queue, PumiceError for what cannot be asked."""
        end = time.monotonic() + self.limits.deadline_s
        self._admit(choices)
        caller = _Caller(())
        try:
            begin = partial(self._begin, conversation, options, choices)
            caller.streams = await self._within(self._in_a_reader(begin), end)
            caller.told = [0] * choices
            yield Accepted()
            self._callers.add(caller)
            self._turns.wake()
            async for event in self._read(caller, end, guided=options.schema is not None):
                yield event
        finally:
            self.held -= choices
            self._callers.discard(caller)
            for stream in caller.streams:
                stream.cancel()

    async def generate_rendered(
        self, prompt: str, pictures: Sequence[bytes], options: SamplingOptions
    ) -> AsyncGenerator[str]:
        """The answer's pieces to a prompt that came with its template written out, as the original's clients do it."""
        asked = Rendered(prompt, tuple(Image(data) for data in pictures))
        async with aclosing(self.answer(asked, options)) as events:
            async for event in events:
                if isinstance(event, Piece):
                    yield event.text

    def status(self) -> Status:
        """For the controller."""
        info = self.card.model_dump(include={"input_modalities", "max_model_len", "images"})
        return Status((self.model,), queue=self.held, info=info)

    async def models(self) -> Sequence[ModelCard]:
        """The one."""
        return [self.card]

    @property
    def card(self) -> ModelCard:
        """What callers may know of the model."""
        processor = self._engine.processor
        images = None
        if (how := processor.preprocessing) is not None:
            sight = self._engine.sees(how.image_size, how.image_size)
            facts = {**asdict(how), "tile_size": how.image_size, "tokens": sight.tokens}
            facts["hides_writing"] = self._engine.writing == "hide"
            images = ImageFacts.model_validate(facts)
        return ModelCard(
            id=self.model,
            input_modalities=["text", "image"] if images else ["text"],
            max_model_len=self._engine.model.config.language.max_positions,
            images=images,
        )

    async def count(self, request: TokenizeRequest, request_id: str) -> TokenCount:
        """As ``api.app.Backend`` says."""
        self._known(request.model)
        return await self._in_a_reader(partial(self._count, request))

    async def unready(self) -> Failure | None:
        """As ``api.app.Backend`` says."""
        return self.broken()

    def broken(self) -> Failure | None:
        """Whether the engine has failed for good, or stands still; whoever waits for it hears of it."""
        if self._broken is None and self._turns.still_for() > self.limits.stall_s:
            message = f"the model has made no progress for {self.limits.stall_s:g} s"
            self._broken = Failure(504, "stalled", message, "try again later")
            self._tell()
        return self._broken

    @property
    def waiting(self) -> int:
        """Answers that have no slot yet."""
        return max(0, self.held - self._engine.activity.answering)

    def gauges(self) -> dict[str, float]:
        """For monitoring."""
        doing = self._engine.activity
        found: dict[str, float] = {"queue_length": self.waiting}
        for cache in doing.hits:
            found[f"cache_hits_total:{cache}"] = doing.hits[cache]
            found[f"cache_misses_total:{cache}"] = doing.misses[cache]
            found[f"cache_bytes:{cache}"] = doing.bytes[cache]
        return found

    def _known(self, model: str) -> None:
        if model != self.model:
            raise no_such_model(model, [self.model])

    def _admit(self, choices: int) -> None:
        if self._broken is not None:
            raise ApiError(self._broken)
        room = self.limits.slots + self.limits.queue
        if choices > room:
            message = f"{choices} answers at once are more than this server ever holds, which is {room}"
            raise ApiError(Failure(400, "invalid_request", message, "ask for fewer", "n"))
        if self.held + choices > room:
            message = f"{self.held} answers are being made or waited for, and there is room for {room}"
            raise ApiError(Failure(429, "queue_full", message, "try again soon", retry_after_s=_RETRY_S))
        self.held += choices

    def _begin(self, conversation: Asked, options: SamplingOptions, choices: int) -> list[Stream]:
        """Reads pictures and words; takes milliseconds to seconds, in a thread of its own."""
        seeds = [options.seed if options.seed is None else (options.seed + index) % 2**63 for index in range(choices)]
        return [self._engine.stream(conversation, replace(options, seed=seed)) for seed in seeds]

    def _count(self, request: TokenizeRequest) -> TokenCount:
        processor = self._engine.processor
        limit = self._engine.model.config.language.max_positions
        if request.messages is None:
            refuse_too_long(Conversation.ask(request.prompt or ""), processor.tokenizer, limit)
            tokens = [each.id for each in processor.tokenizer.encode(request.prompt or "", starts=True)]
            return TokenCount(count=len(tokens), max_model_len=limit, tokens=tokens)
        conversation = conversation_of(request.messages)
        refuse_too_long(conversation, processor.tokenizer, limit)
        inputs = processor(conversation, fetch=self._engine.fetch)
        return TokenCount(count=len(inputs.ids), image_tokens=inputs.image_tokens, max_model_len=limit)

    async def _read(self, caller: _Caller, end: float, *, guided: bool) -> AsyncGenerator[Event]:
        left = set(range(len(caller.streams)))
        while left:
            for index in sorted(left):
                stream = caller.streams[index]
                ended = stream.ended  # before its text is taken: none is lost
                if text := stream.take():
                    yield Piece(index, text, self._logprobs(caller, index))
                if ended:
                    stream.take()  # raises what went wrong
                    left.discard(index)
                    reason = stream.answer.finish_reason
                    if guided and reason == "stop":
                        require_json(stream.answer.text)
                    yield Finish(index, "length" if reason == "length" else "stop")
            if left and self._broken is not None:
                raise ApiError(self._broken)
            if left:
                await self._within(caller.news.wait(), end)
                caller.news.clear()
        yield Used(_usage(caller.streams))

    async def _within(self, work: Awaitable[_Result], end: float) -> _Result:
        try:
            return await asyncio.wait_for(work, max(0.0, end - time.monotonic()))
        except asyncio.TimeoutError:
            message = f"the answer took longer than {self.limits.deadline_s:g} s"
            raise ApiError(Failure(504, "deadline_exceeded", message, "ask for fewer tokens")) from None

    def _in_a_reader(self, work: Callable[[], _Result]) -> Awaitable[_Result]:
        return asyncio.get_running_loop().run_in_executor(self._readers, work)

    def _tell(self, error: Exception | None = None) -> None:
        """News for everyone; from any thread."""
        if error is not None:
            _log.critical("the engine failed", exc_info=error)
            self._broken = Failure(503, "worker_failed", "the model's worker failed", "try again", retry_after_s=5)
        assert self._loop is not None
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for caller in self._callers:
            if any(stream.news for stream in caller.streams) or self._broken is not None:
                caller.news.set()

    @staticmethod
    def _logprobs(caller: _Caller, index: int) -> tuple[TokenLogprob, ...]:
        found = caller.streams[index].chances
        if found is None:
            return ()
        new = found[caller.told[index] :]
        caller.told[index] += len(new)
        return tuple(token_logprob(each) for each in new)


def _usage(streams: Sequence[Stream]) -> Usage:
    """Of several answers together; their prompt counts once."""
    used = [stream.answer.usage for stream in streams]
    made = sum(each.completion_tokens for each in used)
    details = PromptDetails(cached_tokens=used[0].cached_tokens, image_tokens=used[0].image_tokens)
    return Usage(
        prompt_tokens=used[0].prompt_tokens,
        completion_tokens=made,
        total_tokens=used[0].prompt_tokens + made,
        prompt_tokens_details=details,
    )
