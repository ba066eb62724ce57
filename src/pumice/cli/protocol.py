"""``pumice chat --jsonl``: answers for another program, over its pipes (docs/protocol.md).

A line in is a request, a line out is an event. Whatever comes in, every request gets exactly one ``end`` or ``error``
and the process goes on. One thread reads, a few wait for answers, and the main one alone writes: so a reader that has
gone and a signal are noticed where the process can end in order.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pumice.cli.failures import explain
from pumice.cli.output import answer_facts, note_warnings, waiting
from pumice.cli.pictures import load_pictures
from pumice.cli.session import AnsweringEngine, AnswerStream, Opener
from pumice.cli.settings import Settings
from pumice.cli.structured import require_whole
from pumice.cli.wording import found, refusal
from pumice.errors import UsageError
from pumice.options import SamplingOptions
from pumice.prompts.conversation import Conversation, Text, Turn

VERSION = 1
#: Bytes of the longest line; a picture in it may be a ``data:`` URI.
LONGEST = 128 << 20
_PIECE = 1 << 16
_PATIENCE_S = 0.5  # Windows sees Ctrl-C only between two waits

Id: TypeAlias = Annotated[str, Field(min_length=1, max_length=200)] | int
_ID = "a string or a whole number"
Event: TypeAlias = dict[str, Any]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Message(_Strict):
    """One speaker's contribution; pictures stand before the words."""

    role: Literal["user", "assistant"]
    text: str
    images: list[str] = []


class Request(_Strict):
    """A question, alone or at the end of ``messages``; everything left out is as the command line says."""

    id: Id = Field(description=_ID)
    prompt: str | None = None
    images: list[str] = []
    messages: list[Message] = []
    system: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: list[str] | None = None
    json_schema: dict[str, Any] | None = Field(None, alias="schema")
    stream: bool = True

    def options(self, usual: SamplingOptions) -> SamplingOptions:
        """Raises UsageError for a value out of its range."""
        names = ("temperature", "top_p", "top_k", "max_tokens", "seed")
        asked: dict[str, Any] = {name: value for name in names if (value := getattr(self, name)) is not None}
        if self.stop is not None:
            asked["stop"] = tuple(self.stop)
        if self.json_schema is not None:
            asked["schema"] = json.dumps(self.json_schema)
        return replace(usual, **asked)

    def conversation(self, settings: Settings) -> Conversation:
        """Pictures are read here. Raises ImageError, or UsageError for turns that make no sense."""
        if (self.prompt is None) == (not self.messages):
            raise UsageError("expected either prompt or messages", hint='{"id": "1", "prompt": "What is this?"}')
        if self.images and self.messages:
            raise UsageError("with messages, pictures belong to a message", hint="put images beside its text")
        turns = self.messages or [Message(role="user", text=self.prompt or "", images=self.images)]
        if "-" in [source for turn in turns for source in turn.images]:
            raise UsageError("stdin carries requests, so a picture cannot come from there")
        if turns[-1].role != "user":
            raise UsageError("the last message must be the user's question")
        if not turns[-1].text.strip():
            raise UsageError("the question is empty")
        said = [
            Turn(turn.role, (*(each.part for each in load_pictures(turn.images, settings)), Text(turn.text)))
            for turn in turns
        ]
        return Conversation(tuple(said), settings.system if self.system is None else self.system)


class Cancel(_Strict):
    """Ends the answer ``cancel`` with what there is of it."""

    cancel: Id = Field(description=_ID)


def serve_lines(settings: Settings, opener: Opener, at_once: int) -> None:
    """Answer requests until stdin ends, then those under way. Raises UsageError for an ``at_once`` below 1."""
    if at_once < 1:
        raise UsageError(f"--at-once must be at least 1, found {at_once}")
    with waiting("loading the model", settings):
        engine = opener(settings)
    note_warnings(engine, settings)
    Desk(engine, settings).run(at_once)


class Desk:
    """Takes lines, hands out questions, writes events."""

    def __init__(self, engine: AnsweringEngine, settings: Settings) -> None:
        self._engine, self._settings = engine, settings
        self._usual = settings.sampling()
        self._inbox: queue.SimpleQueue[tuple[int, bytes] | Event | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._streams: dict[Id, AnswerStream | None] = {}  # of requests that wait or are answered
        self._cancelled: set[Id] = set()

    def run(self, at_once: int) -> None:
        _write({"type": "ready", "protocol": VERSION, "model": self._engine.name})
        threading.Thread(target=self._read, daemon=True).start()
        pool = ThreadPoolExecutor(at_once)
        try:
            self._serve(pool)
        finally:
            with self._lock:
                under_way = list(self._streams)
            for each in under_way:  # after the end of the input there are none
                self._cancel(each)
            pool.shutdown(cancel_futures=True)

    def _serve(self, pool: ThreadPoolExecutor) -> None:
        reading = True
        while reading or self._streams:
            try:
                item = self._inbox.get(timeout=_PATIENCE_S)
            except queue.Empty:
                continue
            if isinstance(item, dict):
                if item["type"] in ("end", "error"):
                    self._streams.pop(item["id"], None)
                    self._cancelled.discard(item["id"])
                _write(item)
            elif item is None:
                reading = False
            elif event := self._take(pool, *item):
                _write(event)

    def _take(self, pool: ThreadPoolExecutor, number: int, line: bytes) -> Event | None:
        """Begin what a line asks for; the event of one that asks for nothing sensible."""
        value: object = None
        try:
            if len(line) > LONGEST:
                raise UsageError(f"a line may have {LONGEST} bytes", hint="name a picture's file instead of its bytes")
            value = _parsed(line)
            if isinstance(value, dict) and "cancel" in value:
                self._cancel(_checked(Cancel, value).cancel)
                return None
            request = _checked(Request, value)
            if request.id in self._streams:
                raise UsageError(f"the id {request.id!r} is being answered already", hint="choose another one")
        except UsageError as error:
            return _failure(self._free_id(value), error) | {"line": number}
        self._streams[request.id] = None
        pool.submit(self._answer, request)
        return None

    def _free_id(self, value: object) -> Id | None:
        """The id that a refused request has, unless it is another's that is still to be answered."""
        found = value.get("id") if isinstance(value, dict) else None
        known = isinstance(found, str | int) and not isinstance(found, bool)
        return found if known and found not in self._streams else None

    def _cancel(self, wanted: Id) -> None:
        """Nothing happens to what is over, or was never there."""
        with self._lock:
            if wanted not in self._streams:
                return
            self._cancelled.add(wanted)
            stream = self._streams[wanted]
        if stream is not None:
            stream.cancel()

    def _answer(self, request: Request) -> None:
        try:
            for event in self._events(request):
                self._inbox.put(event)
        except Exception as error:
            self._inbox.put(_failure(request.id, error))

    def _events(self, request: Request) -> Iterator[Event]:
        options = request.options(self._usual)
        conversation = request.conversation(self._settings)
        stream = self._engine.stream(conversation, options)
        with self._lock:
            self._streams[request.id] = stream
            cancelled = request.id in self._cancelled
        if cancelled:
            stream.cancel()
        yield {"type": "start", "id": request.id}
        for delta in stream:
            if request.stream:
                yield {"type": "delta", "id": request.id, "text": delta}
        answer = stream.answer
        require_whole(answer, options.schema)
        yield {"type": "end", "id": request.id, **answer_facts(answer)}

    def _read(self) -> None:
        """Stdin, line by line, into the inbox. Its own buffer: Python's must not be held when the process ends."""
        handle, held, number = sys.stdin.fileno(), bytearray(), 1
        while piece := os.read(handle, _PIECE):
            *ends, rest = piece.split(b"\n")
            for end in ends:
                line = bytes(held + end)
                held.clear()
                if line.strip():
                    self._inbox.put((number, line))
                number += 1
            held += rest[: max(0, LONGEST + 1 - len(held))]  # enough to see that it is too much
        if held.strip():
            self._inbox.put((number, bytes(held)))
        self._inbox.put(None)


def _parsed(line: bytes) -> object:
    try:
        return json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"expected a line of JSON in UTF-8: {error}", hint="one request per line") from None


def _checked(kind: type[Any], value: object) -> Any:
    """``value`` as a request. Raises UsageError naming the field that is wrong."""
    if not isinstance(value, dict):
        raise UsageError(f"expected an object, found {found(value)}", hint='{"id": "1", "prompt": "..."}')
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise refusal(kind, error, hint="docs/protocol.md lists the fields") from None


def _failure(about: Id | None, error: Exception) -> Event:
    return {"type": "error", "id": about, "error": explain(error).facts()}


def _write(event: Event) -> None:
    sys.stdout.write(json.dumps(event, ensure_ascii=False) + "\n")
    sys.stdout.flush()
