"""The file that ``pumice batch`` writes: a line for each answer, and beside it what the answers were made with."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pumice.errors import UsageError
from pumice.files import fresh_file


class Results:
    """Lines on disk, each whole: a line is one write, and one that a crash cut off is removed on the way back.

    done: ids with a line, as text. codes: the exit codes of the lines that are errors.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done: set[str] = set()
        self.codes: list[int] = []

    @property
    def notes(self) -> Path:
        """Where the settings stand."""
        return self.path.with_name(f"{self.path.name}.settings.json")

    def require_free(self, source: Path, *, overwrite: bool) -> None:
        """Raises UsageError: there is such a file already, unless ``overwrite``, or it is ``source``."""
        if self.path.exists() and not overwrite:
            hint = "--resume goes on with it, --overwrite begins a new one"
            raise UsageError(f"{self.path} exists already", hint=hint)
        if self.path.exists() and source.exists() and self.path.samefile(source):
            raise UsageError(f"{self.path} is what is read", hint="choose another name with -o")

    def begin(self, settings: Mapping[str, object]) -> None:
        """An empty file in place of what is there."""
        with fresh_file(self.path, overwrite=True):
            pass
        with fresh_file(self.notes, overwrite=True) as file:
            file.write(json.dumps(settings, ensure_ascii=False, indent=2).encode() + b"\n")

    def resume(self, settings: Mapping[str, object], *, retry: bool) -> None:
        """What is there is kept; ``retry``: but for errors. Raises UsageError: it was made with other settings."""
        if not self.path.exists() or not self.path.stat().st_size:
            self.begin(settings)
            return
        self._compare(settings)
        content = self.path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        lines = [self._read(line, number) for number, line in enumerate(whole.splitlines(), 1)]
        kept = [line for line in lines if not (retry and line["error"])]
        if len(kept) < len(lines):
            with fresh_file(self.path, overwrite=True) as file:
                file.writelines(_written(line) for line in kept)
        elif len(whole) < len(content):
            os.truncate(self.path, len(whole))
        for line in kept:
            self._count(line)

    @contextmanager
    def opened(self) -> Iterator[Results]:
        """Within, lines can be added; by one process at a time.

        Raises UsageError: another process has the file, or the disk refuses.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(self.path.with_name(f".{self.path.name}.lock"))
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout:  # is an OSError
            raise UsageError(f"another process is writing to {self.path}", hint="wait until it has ended") from None
        except OSError as error:
            raise UsageError(f"{self.path} cannot be written: {error.strerror or error}") from None
        try:
            yield self
        finally:
            lock.release()
            Path(lock.lock_file).unlink(missing_ok=True)

    def add(self, line: dict[str, Any]) -> None:
        """One line more, on disk before this returns to a process that may be killed."""
        with self.path.open("ab", buffering=0) as file:
            file.write(_written(line))
        self._count(line)

    def _count(self, line: Mapping[str, Any]) -> None:
        self.done.add(str(line["id"]))
        if line["error"]:
            self.codes.append(int(line["error"]["code"]))

    def _read(self, text: bytes, number: int) -> dict[str, Any]:
        try:
            line = json.loads(text)
            if isinstance(line, dict) and "id" in line and (line["error"] is None or int(line["error"]["code"])):
                return line
        except (ValueError, KeyError, TypeError):
            pass
        raise UsageError(
            f"{self.path}, line {number} was not written by pumice batch",
            hint="remove the line, or choose another name with -o",
        )

    def _compare(self, settings: Mapping[str, object]) -> None:
        hint = "use the same settings again, or begin a new file: --overwrite, or another name with -o"
        try:
            before = json.loads(self.notes.read_bytes())
        except (OSError, ValueError):
            raise UsageError(f"{self.notes}, which tells how {self.path} was made, cannot be read", hint=hint) from None
        if not isinstance(before, dict):
            before = {}
        for name, value in settings.items():
            if before.get(name) != value:
                raise UsageError(
                    f"{self.path} was made with another {name}: {_short(before.get(name))}, now {_short(value)}",
                    hint=hint,
                )


def _written(line: Mapping[str, object]) -> bytes:
    try:
        return json.dumps(line, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # a file's name need not be UTF-8
        return json.dumps(line).encode() + b"\n"


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
