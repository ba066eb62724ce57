"""An OpenAI-compatible server in the place of an engine: ``--server``.

Pictures were read by this machine's own door and go along as data, so the server fetches nothing. One thread in the
background runs the connections; what comes is picked up where the answer is wanted.
"""

from __future__ import annotations

import asyncio
import io
import json
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import aclosing
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from pumice.cli.settings import Settings
from pumice.engine.answer import Answer, FinishReason, Sight, Timings, Usage
from pumice.errors import ModelError, NoVisionError, ServerError, UsageError
from pumice.options import SamplingOptions
from pumice.prompts.conversation import Conversation, Image
from pumice.remote import Delta, End, Message, Remote, RemoteModel, base_url, message

if TYPE_CHECKING:
    from pumice.engine.looking import Look

T = TypeVar("T")

_PATIENCE_S = 0.5  # Windows sees Ctrl-C only between two waits
_JPEG_QUALITY = 95
#: What every server can read; others take our own.
_COMMON = ("PNG", "JPEG", "WEBP", "GIF")


def open_remote(settings: Settings) -> RemoteEngine:
    """The server that the settings name, and its model: the one that they name, else its first.

    Raises: UsageError for an address that makes no sense; AuthError, ServerError or ModelError by what it says.
    """
    url = base_url(settings.server or "", "--server")
    if settings.offline:
        from pumice.serve.guard.keeping import is_loopback

        if not is_loopback(urlsplit(url).hostname or ""):
            raise UsageError(f"{url} is not on this machine, and --offline forbids the network")
    loop = _background_loop()
    remote = Remote(url, key=settings.api_key)
    return RemoteEngine(remote, _run(loop, _model(remote, settings.model)), loop)


async def _model(remote: Remote, wanted: str | None) -> RemoteModel:
    try:
        offered = await remote.models()
    except ModelError:  # a server without a list
        if wanted is None:
            raise
        offered = []
    if wanted is not None:  # what it knows besides what it lists is for the server to say
        return next((each for each in offered if each.id == wanted), RemoteModel(wanted))
    if not offered:
        raise ServerError(f"the server at {remote.url} has no model to ask now", hint="try again, or name one with -m")
    return offered[0]


class RemoteEngine:
    """One model of a server, as ``session.AnsweringEngine``. most: questions that are asked at the same time."""

    warnings: tuple[str, ...] = ()

    def __init__(self, remote: Remote, model: RemoteModel, loop: asyncio.AbstractEventLoop) -> None:
        self.most = 8
        self._remote = remote
        self._model = model
        self._loop = loop
        self._places: asyncio.Semaphore | None = None

    @property
    def name(self) -> str:
        return self._model.id

    def sees(self, width: int, height: int, *, alone: bool = True) -> Sight | None:
        """By what the server tells of the model; None if that does not suffice."""
        from pumice.serve.web.seen import preparation

        if self._model.sees_images is False:
            raise NoVisionError(f"the server's model {self.name} sees no pictures", hint="choose another one with -m")
        how = preparation(self._model.details)
        return None if how is None else Sight.of(how, width, height, alone=alone)

    def look(self, conversation: Conversation) -> list[Look]:
        """Raises UsageError: no server shows where it looked."""
        raise UsageError("--look needs the model's weights on this machine")

    def stream(self, conversation: Conversation, options: SamplingOptions) -> RemoteStream:
        """Asks at once, or as soon as one of ``most`` places is free."""
        if self._places is None:
            self._places = asyncio.Semaphore(self.most)
        began = time.monotonic()
        messages = _messages(conversation, reads_all="images" in self._model.details)
        asking = partial(self._remote.stream, messages, model=self.name, **_parameters(options))
        return RemoteStream(asking, self._places, self._loop, options.seed, time.monotonic() - began)


class RemoteStream:
    """An answer on its way, as ``session.AnswerStream``; to be iterated over once."""

    def __init__(
        self,
        asking: Callable[[], Any],
        places: asyncio.Semaphore,
        loop: asyncio.AbstractEventLoop,
        seed: int | None,
        prepare_s: float,
    ) -> None:
        """asking: begins, as ``Remote.stream`` does. prepare_s: what it took to put the question together."""
        self._asking, self._places = asking, places
        self._seed, self._prepare_s = seed, prepare_s
        self._inbox: SimpleQueue[Delta | End | Exception | None] = SimpleQueue()
        self._pieces: list[str] = []
        self._end = End("stop")
        self._cancelled = False
        self._began = self._ended = time.monotonic()
        self._first: float | None = None
        self._reading = asyncio.run_coroutine_threadsafe(self._read(), loop)

    def __iter__(self) -> Iterator[str]:
        try:
            while not isinstance(item := self._next(), End | None):
                if isinstance(item, Exception):
                    raise item
                self._pieces.append(item.text)
                yield item.text
            self._end = item or self._end
        finally:
            self._reading.cancel()  # nothing more, if nobody listens
            self._ended = time.monotonic()

    def cancel(self) -> None:
        """As the protocol says; the server is told by the connection's end."""
        self._cancelled = True
        self._inbox.put(None)

    @property
    def answer(self) -> Answer:
        """Tokens are counted by the server; if it does not, the pieces that came are."""
        reason: FinishReason = "length" if self._end.finish_reason == "length" else "stop"
        first = self._first or self._ended
        return Answer(
            "".join(self._pieces),
            "cancelled" if self._cancelled else reason,
            self._usage(),
            Timings(self._prepare_s, 0.0, first - self._began, self._ended - self._began),
            self._seed,
        )

    def _next(self) -> Delta | End | Exception | None:
        while not self._cancelled:
            try:
                item = self._inbox.get(timeout=_PATIENCE_S)
            except Empty:
                continue
            return None if self._cancelled else item
        return None

    async def _read(self) -> None:
        """From the server into the inbox, on the background's loop."""
        try:
            async with self._places:
                self._began = time.monotonic()
                async with aclosing(self._asking()) as events:
                    async for event in events:
                        self._first = self._first or time.monotonic()
                        self._inbox.put(event)
        except Exception as error:
            self._inbox.put(error)

    def _usage(self) -> Usage:
        said = self._end.usage
        details = said.get("prompt_tokens_details") or {}
        return Usage(
            prompt_tokens=said.get("prompt_tokens") or 0,
            image_tokens=details.get("image_tokens") or 0,
            cached_tokens=details.get("cached_tokens") or 0,
            completion_tokens=said.get("completion_tokens") or len(self._pieces),
        )


def _messages(conversation: Conversation, *, reads_all: bool) -> list[Message]:
    """reads_all: whether the server takes every kind of picture that the door here does, as our own do."""
    said = [] if conversation.system is None else [message("system", conversation.system)]
    for turn in conversation.turns:
        pictures = [_file(part, reads_all) for part in turn.parts if isinstance(part, Image)]
        said.append(message(turn.role, turn.text, pictures))
    return said


def _parameters(options: SamplingOptions) -> dict[str, Any]:
    """As OpenAI calls them. What others might choose differently is always said."""
    said: dict[str, Any] = {
        "temperature": options.temperature,
        "top_p": options.top_p,
        "max_tokens": options.max_tokens,
    }
    if options.top_k:  # not OpenAI's
        said["top_k"] = options.top_k
    if options.seed is not None:
        said["seed"] = options.seed
    if options.stop:
        said["stop"] = list(options.stop)
    if options.schema is not None:
        schema = {"name": "answer", "schema": json.loads(options.schema), "strict": True}
        said["response_format"] = {"type": "json_schema", "json_schema": schema}
    return said


def _file(picture: Image, reads_all: bool) -> bytes:
    """The picture's own file where the server will see in it what is seen here; else one with the same pixels."""
    from pumice.images.formats import accepted_format, open_first_frame
    from pumice.images.load import load_image, noted_turn

    data = picture.data or b""
    kind = accepted_format(data)
    if data and (reads_all or (kind in _COMMON and noted_turn(open_first_frame(kind, data)) is None)):
        return data
    made = io.BytesIO()
    pixels = load_image(picture.source)
    if kind == "JPEG":  # as PNG, a photo would be too large for many servers
        pixels.save(made, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    else:
        pixels.save(made, "PNG", compress_level=1)
    return made.getvalue()


def _background_loop() -> asyncio.AbstractEventLoop:
    """Runs until the process ends; what is open then, the server notices as a connection's end."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="pumice-remote", daemon=True).start()
    return loop


def _run(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run_coroutine_threadsafe(work, loop).result()
