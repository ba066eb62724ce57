"""The books of everything that was paid for: each question once, each time it was sent, what came back and its cost.

    with Ledger(folder / "ledger.sqlite") as ledger:
        ledger.find(request)   # the answer, if it was ever paid for

A sending is on the disk before it begins, and an answer before anybody uses it. So a process that is killed at any
moment has every answer that it had shown, and knows of each that it may have paid for without getting it.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pumice.errors import UsageError
from pumice.paid import tables
from pumice.paid.answers import Answer, LedgerError, Lost, RefusedForGoodError, Usage
from pumice.paid.journal import Journal, Statement, Value, connect
from pumice.paid.request import Request

_OTHER = "name another file, or move it away"
_ROOM = "check the free space and the permissions of its place"


@dataclass(frozen=True)
class Totals:
    """Everything in a ledger, counted.

    failed: refused for good when they were asked last. attempts: how often something was sent.
    unsure: sendings that may have been charged though no answer came: too late, cut off, or this process was killed.
    spoilt: sendings that were charged with nothing in them that is an answer; their tokens and cost are counted.
    estimated: charges whose tokens the server did not count. unpriced: charges of models without a known price.
    cost: USD of all charges with a price; None if there are charges, or may be, and none has one.
    at_risk: USD that the unsure ones cost at most, as far as that is known; None if it is of none of them.
    in_flight: the same of batches that are not finished.
    """

    requests: int
    answered: int
    failed: int
    attempts: int
    unsure: int
    spoilt: int
    estimated: int
    unpriced: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cost: float | None
    at_risk: float | None
    in_flight: float

    @property
    def at_most(self) -> float:
        """USD that may have been spent, as far as prices are known."""
        return (self.cost or 0.0) + (self.at_risk or 0.0) + self.in_flight


class Ledger:
    """One file, of one process at a time. Its asynchronous methods return once what they write is safe.

    What is asynchronous may raise LedgerError, when the disk is full for instance.
    """

    def __init__(self, path: Path) -> None:
        """Opens it, or begins it. Raises: UsageError if it cannot be used, LedgerError if another process uses it."""
        self.path = path.absolute()
        self._refusals: dict[str, RefusedForGoodError] = {}
        self._lock = FileLock(f"{path}.lock", timeout=0)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout:
            raise LedgerError(f"the ledger {path} is in use by another process", hint="wait until it ends") from None
        except OSError as error:
            raise _unusable(path, error.strerror or str(error), _ROOM) from error
        try:
            self._base = connect(path)
            version = self.rows("PRAGMA user_version")[0][0]
            if version not in (0, tables.VERSION):
                raise _unusable(path, f"it is of version {version}, expected {tables.VERSION}")
            if version == 0 and self.rows("SELECT 1 FROM sqlite_master LIMIT 1"):
                raise _unusable(path, "it is a database of something else")
            self._base.executescript(tables.TABLES)
            self._base.execute(tables.CLOSE_OPEN)
            self._numbers: Iterator[int] = count(self.rows(tables.NEXT_ATTEMPT)[0][0])
            self._journal = Journal(path)
        except BaseException as error:
            self._lock.release()
            if isinstance(error, sqlite3.Error):
                hint = _ROOM if isinstance(error, sqlite3.OperationalError) else _OTHER
                raise _unusable(path, str(error), hint) from error
            raise

    def find(self, request: Request) -> Answer | None:
        """The answer that was paid for; None if there is none yet."""
        rows = self.rows(tables.FIND, bytes.fromhex(request.key))
        if not rows:
            return None
        text, reason, prompt, completion, cached, estimated, cost, request_id, model, seconds = rows[0]
        usage = Usage(prompt, completion, cached, bool(estimated))
        return Answer(text, reason, usage, cost, request_id, model, seconds, from_ledger=True)

    def has_answer(self, key: str) -> bool:
        """Whether there is an answer to the request of that key."""
        return bool(self.rows(tables.HAS_ANSWER, bytes.fromhex(key)))

    def refusal(self, key: str) -> RefusedForGoodError | None:
        """Why the server will never answer the request of that key, if it has said so since this was opened.

        A later run asks once more, since it costs nothing, and somebody may have mended what was wrong.
        """
        return self._refusals.get(key)

    def in_batch(self, request: Request) -> bool:
        """Whether it is in a batch that is not finished, and may still be answered."""
        return bool(self.rows(tables.IN_BATCH, bytes.fromhex(request.key)))

    async def begin(self, attempt: int, request: Request, bound: float | None, expected_tokens: int) -> None:
        """Notes that a request is about to be sent. attempt: from ``number``.

        bound: USD that it costs at most. expected_tokens: of its prompt.
        """
        key = bytes.fromhex(request.key)
        await self.write(tables.began(attempt, key, request.model, None, time.time(), bound, expected_tokens))

    async def record(self, attempt: int, request: Request, answer: Answer) -> None:
        """Notes an answer, and what it cost."""
        await self.write(tables.answered(attempt, bytes.fromhex(request.key), answer))

    async def record_refusal(self, attempt: int, request: Request, error: RefusedForGoodError, seconds: float) -> None:
        """Notes that a request will never be answered."""
        await self.write(self.refused(attempt, bytes.fromhex(request.key), error, seconds))

    def refused(self, attempt: int, key: bytes, error: RefusedForGoodError, seconds: float) -> list[Statement]:
        """Remembers a refusal for as long as this is open; what notes it in the file as well."""
        self._refusals[key.hex()] = error
        return tables.refused(attempt, key, error, seconds)

    def record_loss(
        self, attempt: int, how: Lost, problem: str, seconds: float, usage: Usage | None, cost: float | None
    ) -> None:
        """Notes that a sending brought no answer. Nobody waits for it: killed before, it counts as unsure."""
        self._journal.write(tables.lost(attempt, how, problem, seconds, usage, cost))

    def totals(self) -> Totals:
        """Counts everything."""
        requests, answered, failed = self.rows(tables.COUNT_REQUESTS)[0]
        attempts, unsure, spoilt, estimated, unpriced, prompt, completion, cached, cost, risk, in_flight = self.rows(
            tables.COUNT_ATTEMPTS
        )[0]
        risk = risk if risk is not None or unsure else 0.0
        cost = cost if cost is not None or unpriced or risk is None else 0.0
        return Totals(
            *(requests, answered, failed, attempts, unsure, spoilt, estimated, unpriced),
            *(prompt, completion, cached, cost, risk, in_flight),
        )

    def number(self) -> int:
        """The number of a new sending."""
        return next(self._numbers)

    def rows(self, text: str, *values: Value) -> list[tuple[Any, ...]]:
        """What a query finds. Raises LedgerError."""
        try:
            return self._base.execute(text, values).fetchall()
        except sqlite3.Error as error:
            raise LedgerError(f"the ledger {self.path} cannot be read: {error}") from error

    async def write(self, statements: Sequence[Statement]) -> None:
        """Executes them all or none. Who is cancelled while waiting has written all the same."""
        await asyncio.shield(asyncio.wrap_future(self._journal.write(statements)))

    def close(self) -> None:
        """Writes what still waits, and lets others use the file."""
        self._journal.close()
        self._base.close()
        self._lock.release()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _unusable(path: Path, why: str, hint: str = _OTHER) -> UsageError:
    return UsageError(f"{path} cannot be used as a ledger: {why}", hint=hint)
