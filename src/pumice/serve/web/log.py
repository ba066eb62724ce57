"""What was said and what visitors thought of it, written down as the original does: one file of JSON lines a day.

``YYYY-MM-DD-conv.json`` has a line for each answer and each vote; pictures lie in ``serve_images/YYYY-MM-DD`` under
their hash. Addresses of visitors are hashed with a secret that is forgotten when the page stops. A disk that is full
never stops a chat: one warning is given, and writing is tried again with the next line.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from PIL import Image

from pumice.errors import ImageError
from pumice.serve.web.conversation import Conversation, Vote

_LOGGER = logging.getLogger("pumice.web")
#: Votes that are remembered, so that none is written twice.
_MOST_VOTES = 1000
_ROLES = ("USER", "ASSISTANT")


class ConversationLog:
    """Appends lines and pictures. Its methods block; any thread may call them."""

    def __init__(self, folder: Path | None, pixels: Callable[[str], Image.Image]) -> None:
        """folder: None writes nothing. pixels: a picture by its name in the store."""
        self._folder = folder
        self._pixels = pixels
        self._salt = secrets.token_bytes(16)
        self._lock = threading.Lock()
        self._failing = False
        self._votes: OrderedDict[tuple[str, int, str], Vote] = OrderedDict()  # the latest ones

    @property
    def keeps(self) -> bool:
        return self._folder is not None

    def chat(self, conversation: Conversation, *, start: float, visitor: str, facts: Mapping[str, Any]) -> None:
        """An answer that has ended. start: when it was asked for, in seconds since 1970."""
        model = conversation.exchanges[-1].model
        times = {"start": round(start, 4), "finish": round(time.time(), 4)}
        self._write("chat", conversation, {"model": model, **times, **facts}, visitor)

    def vote(self, conversation: Conversation, index: int, vote: Vote, *, visitor: str) -> None:
        """What a visitor thinks of answer ``index``; the same twice, as of a click that came twice, is written once."""
        judged = conversation.up_to(index + 1)
        answer = (conversation.id, index, judged.exchanges[-1].answer)
        with self._lock:
            if self._votes.get(answer) == vote:
                return
            self._votes[answer] = vote
            while len(self._votes) > _MOST_VOTES:
                self._votes.popitem(last=False)
        if not self._write(vote, judged, {"model": judged.exchanges[-1].model}, visitor):
            with self._lock:
                self._votes.pop(answer, None)

    def _write(self, kind: str, conversation: Conversation, facts: Mapping[str, Any], visitor: str) -> bool:
        """Whether it is on the disk now."""
        if self._folder is None:
            return False
        now = time.time()
        day = date.fromtimestamp(now).isoformat()
        line = {"tstamp": round(now, 4), "type": kind, **facts, "state": _state(conversation)}
        line["conversation"] = conversation.id
        line["ip"] = hashlib.blake2s(visitor.encode(), key=self._salt, digest_size=8).hexdigest()
        with self._lock:
            try:
                line["images"] = [self._saved(name, day) for name in conversation.pictures]
                self._append(self._folder / f"{day}-conv.json", line)
            except OSError as error:
                if not self._failing:
                    _LOGGER.warning("conversations are not written down for now: %s", error.strerror or error)
                self._failing = True
            else:
                if self._failing:
                    _LOGGER.warning("conversations are written down again")
                self._failing = False
            return not self._failing

    def _append(self, path: Path, line: Mapping[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(line, ensure_ascii=False)
        with path.open("ab", buffering=0) as file:
            # A line that was cut short by a full disk must not swallow this one.
            data = memoryview((("\n" if self._failing else "") + text + "\n").encode("utf-8", "surrogatepass"))
            while data:
                data = data[file.write(data) :]

    def _saved(self, name: str, day: str) -> str:
        """The picture's hash, once it lies in the log's folder."""
        assert self._folder is not None
        wanted = Path(name).stem
        target = self._folder / "serve_images" / day / f"{wanted}.jpg"
        if not target.exists():
            try:
                image = self._pixels(name)
            except ImageError:  # kept no longer
                return wanted
            target.parent.mkdir(parents=True, exist_ok=True)
            work = target.with_suffix(".partial")
            image.save(work, "JPEG", quality=95)  # without what the camera noted about place and time
            work.replace(target)
        return wanted


def _state(conversation: Conversation) -> dict[str, Any]:
    """In the original's shape. A question with pictures is a list: its words, then the pictures' hashes."""
    said: list[list[Any]] = []
    for each in conversation.exchanges:
        hashes = [Path(name).stem for name in each.pictures]
        said.append([_ROLES[0], [each.question, *hashes] if hashes else each.question])
        said.append([_ROLES[1], each.answer])
    return {"roles": list(_ROLES), "messages": said, "offset": 0}
