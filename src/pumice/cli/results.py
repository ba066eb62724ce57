"""The file that ``pumice batch`` writes: a line for each answer, and beside it what the answers were made with."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pumice.errors import PumiceError, UsageError
from pumice.files import fresh_file, require_folder


class Results:
    """Lines on disk, each whole: a line is one write, and one that a crash cut off is removed on the way back.

    done: ids with a line, as text that can be written. codes: the exit codes of the lines that are errors.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done: set[str] = set()
        self.codes: list[int] = []

    @property
    def notes(self) -> Path:
        """Where the settings stand."""
        return self.path.with_name(f"{self.path.name}.settings.json")

    def has(self, name: str | int) -> bool:
        """Whether there is a line with the id ``name``."""
        return writable(str(name)) in self.done

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
            file.write(json.dumps(writable(settings), ensure_ascii=False, indent=2).encode() + b"\n")

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

        Raises UsageError: it cannot be a file there, another process has it, or the disk refuses.
        """
        from filelock import FileLock, Timeout

        self._require_place()
        lock = FileLock(self.path.with_name(f".{self.path.name}.lock"))
        try:
            try:
                lock.acquire(timeout=0)
            except Timeout:  # is an OSError, and also comes where a lock cannot be made
                Path(lock.lock_file).open("ab").close()
                hint = "wait until it has ended"
                raise UsageError(f"another process is writing to {self.path}", hint=hint) from None
        except OSError as error:
            raise UsageError(f"{self.path} cannot be written: {error.strerror or error}") from None
        try:
            yield self
        finally:
            lock.release()
            Path(lock.lock_file).unlink(missing_ok=True)

    def add(self, line: dict[str, Any]) -> None:
        """One line more, on disk before this returns to a process that may be killed.

        Raises PumiceError: the disk refuses. What it has taken of the line is removed on the way back.
        """
        rest = memoryview(_written(line))
        try:
            with self.path.open("ab", buffering=0) as file:
                while rest:  # a disk that becomes full takes a part first
                    rest = rest[file.write(rest) :]
        except OSError as error:
            raise PumiceError(
                f"{self.path} cannot be written: {(error.strerror or str(error)).lower()}",
                hint="free some space, then go on with --resume",
            ) from None
        self._count(line)

    def _require_place(self) -> None:
        """Only a file in a folder that is there can be gone on with, and found again."""
        hint = "name a file, such as -o answers.jsonl: --resume must find it again"
        if str(self.path) == "-" or _is_stream(self.path):
            raise UsageError(f"-o takes a file, and {self.path} is a stream", hint=hint)
        if self.path.exists() and not self.path.is_file():
            raise UsageError(f"-o takes a file, and {self.path} is none", hint=hint)
        require_folder(self.path)

    def _count(self, line: Mapping[str, Any]) -> None:
        self.done.add(writable(str(line["id"])))
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
        for name, value in writable(settings).items():
            if before.get(name) != value:
                raise UsageError(
                    f"{self.path} was made with another {name}: {_short(before.get(name))}, now {_short(value)}",
                    hint=hint,
                )


def writable(value: Any) -> Any:
    """``value`` with escapes where its text is no Unicode, such as a file's name: strict readers take no halves."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, Mapping):
        return {key: writable(each) for key, each in value.items()}
    return [writable(each) for each in value] if isinstance(value, list | tuple) else value


def _written(line: Mapping[str, object]) -> bytes:
    return json.dumps(writable(line), ensure_ascii=False).encode() + b"\n"


def _is_stream(path: Path) -> bool:
    """Whether ``path`` is where this process reads or writes, such as /dev/stdout, a redirected one too."""
    for descriptor in range(3):
        with suppress(OSError):  # one that is closed, or a path that is not there yet
            if os.path.samestat(path.stat(), os.fstat(descriptor)):
                return True
    return False


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
