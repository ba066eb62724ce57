"""Writes to a SQLite file from one thread: whatever waits is committed together, and each writer hears when it is safe.

With two hundred requests in flight a commit takes many of them; alone, each takes its own.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeAlias

from pumice.paid.answers import LedgerError

Value: TypeAlias = str | int | float | bytes | None
Statement: TypeAlias = tuple[str, Sequence[Value]]
_Entry: TypeAlias = tuple[Sequence[Statement], "Future[None]"]
_MOST_TOGETHER = 1000


def connect(path: Path) -> sqlite3.Connection:
    """A connection that commits what it is told to, safe from a loss of power. Raises sqlite3.Error."""
    base = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    base.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")
    return base


class Journal:
    """The one writer of a file."""

    def __init__(self, path: Path) -> None:
        """Raises sqlite3.Error if the file cannot be used."""
        self._path = path
        self._base = connect(path)
        self._queue: SimpleQueue[_Entry | None] = SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._thread.start()

    def write(self, statements: Sequence[Statement]) -> Future[None]:
        """Executes them all or none of them. Done once they are safe; or failed, with LedgerError."""
        done: Future[None] = Future()
        if self._closed:
            done.set_exception(LedgerError(f"the ledger {self._path} is closed"))
        else:
            self._queue.put((statements, done))
        return done

    def close(self) -> None:
        """Writes what still waits, and gives the file back."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            self._thread.join()
            self._base.close()

    def _run(self) -> None:
        going_on = True
        while going_on:
            entries, going_on = self._take()
            if entries and not self._try(entries) and len(entries) > 1:
                for entry in entries:  # one that cannot be written must not take the others along
                    self._try([entry])

    def _take(self) -> tuple[list[_Entry], bool]:
        """Waits for one, then takes what else there is; False at the end."""
        entries: list[_Entry] = []
        entry = self._queue.get()
        with suppress(Empty):
            while entry is not None:
                entries.append(entry)
                if len(entries) == _MOST_TOGETHER:
                    break
                entry = self._queue.get_nowait()
        return entries, entry is not None

    def _try(self, entries: list[_Entry]) -> bool:
        try:
            self._commit(entries)
        except Exception as error:  # whatever it is, who waits must hear of it
            if len(entries) == 1:
                entries[0][1].set_exception(
                    LedgerError(
                        f"the ledger {self._path} cannot be written: {error}",
                        hint="check the free space and the permissions; what was in flight may be charged again",
                    )
                )
            return False
        for _, done in entries:
            done.set_result(None)
        return True

    def _commit(self, entries: list[_Entry]) -> None:
        self._base.execute("BEGIN IMMEDIATE")
        try:
            for statements, _ in entries:
                for text, values in statements:
                    self._base.execute(text, values)
            self._base.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._base.execute("ROLLBACK")
            raise
