"""JSON values out of a file, one by one, each with the line where it begins: a list, or one value a line.

Only a window of the file is in memory. A value that is broken is handed out as a fault, and reading goes on behind it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from pumice.data.faults import Fault
from pumice.files import unreadable

_PIECE = 1 << 20  # characters read at once
_LONGEST = 16 << 20  # characters of the longest record; a value that does not end within them is broken
_SPACE = re.compile(r"[ \t\n\r]*")
_RAW_BYTE = re.compile("[\udc80-\udcff]")  # how Python hands out bytes that are not UTF-8
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")  # of UTF-16, and of UTF-32 that begins alike
#: What a record has and a turn has not.
_RECORD_KEYS = ("conversations", "image", "id")


@dataclass(frozen=True)
class Raw:
    """One value of a file.

    line: where it begins, or where it is broken; from 1. number: of the value, from 1. in_list: the file is a list.
    value: None if there is none. faults: why there is none, or what is wrong with its bytes. end: characters read.
    """

    line: int
    number: int
    in_list: bool
    value: object
    faults: tuple[Fault, ...] = ()
    end: int = 0

    def place(self, path: Path) -> str:
        """File and line, for messages; several values of a list may share a line."""
        return f"{path}:{self.line}" + (f" (record {self.number})" if self.in_list else "")


def parse(path: Path) -> Iterator[Raw]:
    """The values of ``path`` in order; at least one ``Raw``, since a file without any is a fault.

    Raises: UsageError if the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4)
        # JSON begins with a character of ASCII: beside it a zero byte is half of a wide one.
        wide = head.startswith(_WIDE_MARKS) or b"\0" in head
        if wide:
            found = Fault("encoding", "the file is in UTF-16 or UTF-32, expected UTF-8")
            yield Raw(1, 1, False, None, (found,))
            return
        # Line ends stay as they are: JSON strings may hold Unicode's other line separators.
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="\n") as text:
            yield from _values(text)
    except OSError as error:
        raise unreadable(path, error) from error


def _values(file: TextIO) -> Iterator[Raw]:
    window = _Window(file)
    empty = True
    if window.peek() == "[":
        values = _listed(window)
    else:
        file.seek(0)
        values = _lined(file)
    for raw in values:
        empty = False
        yield raw
    if empty:
        yield Raw(1, 1, False, None, (Fault("no-records", "no records in it"),))


def _lined(file: TextIO) -> Iterator[Raw]:
    number = end = 0
    for line, text in enumerate(file, start=1):
        end += len(text)
        if not text.strip():
            continue
        number += 1
        value, faults = None, _undecoded(text)
        try:
            value = json.loads(text.rstrip())
        except json.JSONDecodeError as error:
            if number == 1 and not text.lstrip().startswith("{"):
                found = f"the file is neither a list nor objects, one a line; it begins with {text.strip()!r:.60}"
                yield Raw(line, number, False, None, (_broken(found),), end)
                return
            cut = "; it does not end in this line, and it must" if error.pos >= len(text.rstrip()) else ""
            faults += (_broken(f"{error.msg} at column {error.colno}{cut}"),)
        except RecursionError:
            faults += (_broken("it is nested too deeply"),)
        yield Raw(line, number, False, value, faults, end)


def _listed(window: _Window) -> Iterator[Raw]:
    window.move(window.at + 1)
    number, torn = 0, False
    while (following := window.peek()) not in ("", "]"):
        if number and following == ",":
            window.move(window.at + 1)
            if window.peek() in ("", "]"):
                yield window.fault(number + 1, "a comma stands behind the last record")
                torn = True
                continue
        elif number and not torn:
            yield window.fault(number + 1, "a comma is missing between two records")
        number += 1
        raw = _element(window, number)
        torn = raw.value is None and bool(raw.faults)
        yield raw
    if following == "]":
        window.move(window.at + 1)
        if window.peek():
            yield window.fault(number + 1, "something follows the list of records")
    elif not torn:
        yield window.fault(number + 1, "the list of records has no end: a ] is missing")


def _element(window: _Window, number: int) -> Raw:
    """The value that begins here. The window moves behind it; of a broken one, to the next that looks whole."""
    while True:
        try:
            value, end = window.decode(window.at)
        except json.JSONDecodeError as error:
            if window.grow():
                continue
            raw = window.fault(number, error.msg, error.pos)
        except RecursionError:
            raw = window.fault(number, "it is nested too deeply")
        else:
            if end == len(window.text) and window.grow():
                continue  # a number may go on
            line, faults = window.line, _undecoded(window.text[window.at : end])
            window.move(end)
            return Raw(line, number, True, value, faults, window.gone + end)
        _skip(window)
        return raw


def _skip(window: _Window) -> None:
    """Move on to the next object that has a record's keys, or to the end."""
    start = window.at + 1
    while True:
        start = window.text.find("{", start)
        if start < 0:
            window.move(len(window.text))
            if not window.grow():
                return
            start = 0
            continue
        try:
            value, _ = window.decode(start)
        except (json.JSONDecodeError, RecursionError):
            value = None
        if isinstance(value, dict) and any(key in value for key in _RECORD_KEYS):
            window.move(start)
            return
        start += 1


class _Window:
    """The part of a text that is being read. at: the place in it. line: its line. gone: characters before."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._decoder = json.JSONDecoder()
        self.text, self.at, self.line, self.gone = "", 0, 1, 0

    def decode(self, start: int) -> tuple[object, int]:
        """The value that begins at ``start``, and where it ends. Raises as ``json`` does."""
        found: tuple[object, int] = self._decoder.raw_decode(self.text, start)
        return found

    def grow(self) -> bool:
        """Read on, twice as far each time. False at the end, or with more than the longest record in view."""
        length = len(self.text) - self.at
        piece = self._file.read(max(_PIECE, length)) if length < _LONGEST else ""
        if piece:
            self.text, self.gone, self.at = self.text[self.at :] + piece, self.gone + self.at, 0
        return bool(piece)

    def move(self, to: int) -> None:
        self.line += self.text.count("\n", self.at, to)
        self.at = to

    def peek(self) -> str:
        """The next character that is not white space; empty at the end."""
        while True:
            space = _SPACE.match(self.text, self.at)
            assert space is not None
            self.move(space.end())
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.grow():
                return ""

    def fault(self, number: int, why: str, where: int | None = None) -> Raw:
        """A value that is broken at ``where``, or at its beginning."""
        end = self.at if where is None else where
        line = self.line + self.text.count("\n", self.at, end)
        begun = f", in the record that begins in line {self.line}" if line > self.line else ""
        return Raw(line, number, True, None, (_broken(why + begun),), self.gone + end)


def _broken(why: str) -> Fault:
    return Fault("bad-json", f"not valid JSON: {why}")


def _undecoded(text: str) -> tuple[Fault, ...]:
    byte = _RAW_BYTE.search(text)
    if byte is None:
        return ()
    before = text[max(0, byte.start() - 20) : byte.start()]
    return (Fault("encoding", f"not UTF-8: byte 0x{ord(byte.group()) - 0xDC00:02x} behind {before!r}"),)
