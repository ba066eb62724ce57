"""Files of lines that grow together and lose nothing: what was committed stays, what was not is written again.

A commit adds whole lines to every file and then tells how long each is. Whoever keeps these numbers can open the files
again after any kind of end: what stands behind them is cut off.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from pumice.errors import UsageError

#: What helps where a folder cannot be gone on with by itself.
REBUILT = (
    "remove progress.json there: the same command then makes everything again, and takes from the ledger what a teacher"
    " was paid for"
)
_OPENING, _CLOSING = b"[\n", b"\n]\n"


class GrowingFile:
    """One file: lines, or (``as_list``) the elements of a JSON list, which is closed at every commit."""

    def __init__(self, path: Path, length: int, *, as_list: bool) -> None:
        """length: bytes that are known to be good, 0 for a new file. Raises UsageError if there are fewer."""
        require_whole(path, length)
        self._file: BinaryIO = _opened(path)
        self._length = length
        self._as_list = as_list
        self._pending: list[bytes] = []
        self._file.truncate(length)
        self._commit()

    def add(self, line: str) -> None:
        """One line, or one element of the list, without its end."""
        data = line.encode("utf-8", "backslashreplace")
        if not self._as_list:
            self._pending.append(data + b"\n")
        else:
            first = self._length == 0 and not self._pending
            self._pending += [_OPENING if first else b",\n", data]

    def commit(self) -> int:
        """Puts everything onto the disk; the file's good length then."""
        self._commit()
        os.fsync(self._file.fileno())
        return self._length

    def _commit(self) -> None:
        added = b"".join(self._pending)
        tail = b"" if not self._as_list else _CLOSING if self._length or added else _OPENING + _CLOSING[1:]
        self._file.seek(self._length)
        data = memoryview(added + tail)
        while data:
            data = data[self._file.write(data) :]
        self._length += len(added)
        self._pending.clear()

    def close(self) -> None:
        """Leaves out what was not committed."""
        self._file.close()


class GrowingFiles:
    """Several of them, by name, committed together."""

    def __init__(self, folder: Path, names: Iterable[str], lengths: Mapping[str, int], *, lists: Iterable[str]) -> None:
        """lengths: by name, as ``commit`` told them last. lists: the names of those that are JSON lists.

        Raises: UsageError if a file cannot be opened, or was changed.
        """
        self._files: dict[str, GrowingFile] = {}
        listed = set(lists)
        self._stack = ExitStack()
        try:
            for name in names:
                file = GrowingFile(folder / name, lengths.get(name, 0), as_list=name in listed)
                self._stack.callback(file.close)
                self._files[name] = file
        except BaseException:
            self._stack.close()
            raise

    def add(self, name: str, line: str) -> None:
        """One line for the file of that name."""
        self._files[name].add(line)

    def commit(self) -> dict[str, int]:
        """The good length of each, once everything is on the disk. Raises UsageError if the disk refuses."""
        try:
            return {name: file.commit() for name, file in self._files.items()}
        except OSError as error:
            raise UsageError(
                f"the samples cannot be written: {error.strerror or error}",
                hint="check the free space; then run the same command again, it goes on where it was",
            ) from error

    def __enter__(self) -> GrowingFiles:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()


def require_whole(path: Path, length: int) -> None:
    """Raises UsageError if a file is shorter than somebody had written it, or gone."""
    there = path.stat().st_size if path.is_file() else 0
    if there < length:
        raise UsageError(
            f"{path} was changed or removed: {length} bytes of it had been written, {there} are there", hint=REBUILT
        )


def _opened(path: Path) -> BinaryIO:
    try:
        return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666), "r+b", buffering=0)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror or error}", hint="check the free space and the permissions"
        ) from error
