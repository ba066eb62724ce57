"""JSON files of any size, one member at a time: only a window of the file is in memory.

    for member in members(Path("instances_train2017.json")):
        member.key, member.number     # "images", 0 ... "annotations", 860000 ... "categories", 79

Python's own parser reads every member; what is done here is to hand it the right piece of text. Over a file of 474 MB
that took 5.5 s and 21 MB on one core; ijson needs as long for each of its three lists, and as little memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn, TextIO

from pumice.errors import UsageError
from pumice.files import unreadable

_PIECE = 1 << 20  # characters read at once
_LONGEST = 64 << 20  # characters of one member; whatever is longer has no end
_TAIL = 4  # characters behind a number that show where it ends
_SPACE = re.compile(r"[ \t\n\r]*")


class Member(NamedTuple):
    """A value of the file; as a text, its place for messages. There are millions: a tuple is made fastest.

    key: of the object's field it is in, empty if the file is a list itself. number: in the field's list, from 0; -1 if
    the field is no list.
    """

    path: Path
    key: str
    number: int
    value: object

    def __str__(self) -> str:
        return f"{self.path}: {self.key}" + (f"[{self.number}]" if self.number >= 0 else "")

    @property
    def fields(self) -> dict[str, object]:
        """The value, which must be an object. Raises: UsageError."""
        if not isinstance(self.value, dict):
            raise UsageError(f"{self}: expected an object with fields, found {json.dumps(self.value)[:60]}")
        return self.value


def members(path: Path) -> Iterator[Member]:
    """Everything in the file in order: elements of the lists, and the fields of its object that are no lists.

    Raises: UsageError with the place, for a file that cannot be read, is not JSON, or ends too early.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            window = _Window(path, file)
            if window.peek() == "[":
                yield from _elements(window, "")
            else:
                yield from _fields(window)
            if window.peek():
                window.fail("something follows the end of the JSON")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text: {error.reason}") from None
    except OSError as error:
        raise unreadable(path, error) from error


def _fields(window: _Window) -> Iterator[Member]:
    if window.peek() != "{":
        window.fail("expected JSON, an object or a list")
    window.move(1)
    while window.peek() != "}":
        key = window.value()
        if not isinstance(key, str) or window.peek() != ":":
            window.fail("expected a name and a colon")
        window.move(1)
        if window.peek() == "[":
            yield from _elements(window, key)
        else:
            yield Member(window.path, key, -1, window.value())
        window.comma("}")
    window.move(1)


def _elements(window: _Window, key: str) -> Iterator[Member]:
    window.move(1)
    index = 0
    while window.peek() != "]":
        window.member = f"{key}[{index}]"
        yield Member(window.path, key, index, window.value())
        window.comma("]")
        index += 1
    window.move(1)


class _Window:
    """A piece of the file, and how far it has been read."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self.path = path
        self.member = "the beginning"
        self._file = file
        self._text = ""
        self._at = 0
        self._decoder = json.JSONDecoder()

    def peek(self) -> str:
        """The next character that is no space, without passing it; empty at the end of the file."""
        if self._at < len(self._text) and self._text[self._at] not in " \n\t\r":
            return self._text[self._at]
        while True:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]  # it always matches
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._grow(_PIECE):
                return ""

    def move(self, characters: int) -> None:
        """Passes what was peeked at."""
        self._at += characters

    def comma(self, end: str) -> None:
        """Passes the comma between two members; before the ``end`` there is none."""
        following = self.peek()
        if following == ",":
            self.move(1)
            if self.peek() == end:
                self.fail("a comma stands before the end of a list")
        elif following != end:
            self.fail(f"expected a comma or {end}")

    def value(self) -> object:
        """The value that begins here, however long; passes it."""
        if not self.peek():
            self.fail("")
        piece = _PIECE
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if len(self._text) - self._at < _LONGEST and self._grow(piece):
                    piece *= 2
                    continue
                if error.pos >= len(self._text.rstrip()) or error.msg.startswith("Unterminated"):
                    self._at = len(self._text)
                self.fail(error.msg)
            except RecursionError:
                self.fail("it is nested too deeply")
            except ValueError as error:  # thousands of digits
                self.fail(str(error))
            # A number near the edge of the window may go on behind it: of "1.5e+3" this could be "1.5e+".
            if len(self._text) - end < _TAIL and self._grow(piece):
                continue
            self._at = end
            return value

    def fail(self, problem: str) -> NoReturn:
        """Raises UsageError with the place."""
        if not self.peek():
            raise UsageError(
                f"{self.path} ends in the middle, at {self.member}", hint="it may not have been downloaded whole"
            )
        found = self._text[self._at : self._at + 40]
        raise UsageError(f"{self.path}: {self.member}: this is not JSON: {problem}; found {found!r}")

    def _grow(self, characters: int) -> bool:
        more = self._file.read(characters)
        if not more:
            return False
        self._text = self._text[self._at :] + more
        self._at = 0
        return True
