"""The ledger's side of batches: what went into each, and what every line of its results means.

A batch is written down before anything is sent, with a mark by which the server's side of it can be found again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pumice.paid import tables
from pumice.paid.answers import FREE, SPOILT, UNSURE, Answer, RefusedForGoodError, Usage
from pumice.paid.journal import Statement
from pumice.paid.ledger import Ledger
from pumice.paid.prices import Prices
from pumice.paid.reading import UnreadableError, read_body, shortened
from pumice.paid.request import JSON, Request
from pumice.paid.sending import AT_FAULT

_ADD = "INSERT INTO batches (id, mark, started, state) VALUES (?, ?, ?, 'making')"
_NEXT = "SELECT coalesce(max(id), 0) + 1 FROM batches"
_OPEN = "SELECT id, mark, remote, started FROM batches WHERE state IN ('making', 'running') ORDER BY id"
_RUNS = "UPDATE batches SET state = 'running', remote = ? WHERE id = ?"
_CLOSE = "UPDATE batches SET state = ?, problem = ? WHERE id = ?"
_CLOSE_ATTEMPTS = "UPDATE attempts SET state = ?, problem = ? WHERE batch = ? AND state = 'sent'"
_LINE = """
SELECT r.key, r.model, a.expected_tokens, a.state FROM attempts a JOIN requests r ON r.id = a.request
WHERE a.id = ? AND a.batch = ?
"""
_STATES = """
SELECT r.state, count(*) FROM attempts a JOIN requests r ON r.id = a.request WHERE a.batch = ? GROUP BY r.state
"""


@dataclass(frozen=True)
class OpenBatch:
    """A batch that is not finished. mark: how it is known to the server before ``remote``, the server's own number."""

    number: int
    mark: str
    remote: str | None
    started: float


@dataclass(frozen=True)
class Place:
    """A request's place in a batch, where ``attempt`` is its name. bound: USD at most. expected_tokens: its prompt."""

    request: Request
    attempt: int
    bound: float | None
    expected_tokens: int

    @property
    def line(self) -> bytes:
        """Its line of the file that goes up."""
        asked = {"custom_id": str(self.attempt), "method": "POST", "url": "/v1/chat/completions"}
        return json.dumps({**asked, "body": self.request.body}).encode() + b"\n"


class BatchBooks:
    """Batches in a ledger."""

    def __init__(self, ledger: Ledger, prices: Prices) -> None:
        self._ledger = ledger
        self._prices = prices

    def open_batches(self) -> list[OpenBatch]:
        """Those that are not finished, of earlier runs as well."""
        return [OpenBatch(*row) for row in self._ledger.rows(_OPEN)]

    async def begin(self, mark: str, places: Sequence[Place]) -> OpenBatch:
        """Writes down a batch that is about to be made."""
        batch = OpenBatch(self._ledger.rows(_NEXT)[0][0], mark, None, time.time())
        statements: list[Statement] = [(_ADD, (batch.number, mark, batch.started))]
        for place in places:
            key, model = bytes.fromhex(place.request.key), place.request.model
            statements += tables.began(
                place.attempt, key, model, batch.number, batch.started, place.bound, place.expected_tokens
            )
        await self._ledger.write(statements)
        return batch

    async def runs(self, batch: OpenBatch, remote: str) -> None:
        """Writes down that the server works on it."""
        await self._ledger.write([(_RUNS, (remote, batch.number))])

    async def note(self, batch: OpenBatch, lines: Sequence[str]) -> int:
        """Writes down what lines of its results say; how many of them could not be understood."""
        statements: list[Statement] = []
        strange = 0
        for line in lines:
            found = self._read(batch, line)
            strange += found is None
            statements += found or []
        await self._ledger.write(statements)
        return strange

    async def close(self, batch: OpenBatch, *, completed: bool, problem: str | None = None) -> dict[str, int]:
        """Ends a batch; how many of its requests are answered, failed, or still waiting.

        completed: the server says so, and then a request without a result may have been charged.
        """
        state, how = ("collected", UNSURE) if completed else ("abandoned", FREE)
        why = problem or "the batch has no result for it"
        await self._ledger.write(
            [(_CLOSE_ATTEMPTS, (how, why, batch.number)), (_CLOSE, (state, problem, batch.number))]
        )
        return dict(self._ledger.rows(_STATES, batch.number))

    def _read(self, batch: OpenBatch, line: str) -> list[Statement] | None:
        """What one line means; nothing if it was read before, None if it is not one of this batch."""
        try:
            found = json.loads(line)
            attempt = int(found["custom_id"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        rows = self._ledger.rows(_LINE, attempt, batch.number) if 0 < attempt < 2**63 else []
        if not rows:
            return None
        key, model, expected, state = rows[0]
        if state != "sent":
            return []
        response = found.get("response")
        seconds = max(time.time() - batch.started, 0.0)  # clocks are set back
        if not isinstance(response, Mapping) or response.get("status_code") != 200:
            return self._refused(attempt, key, found, seconds)
        try:
            reply = read_body(response.get("body"), model, expected)
        except UnreadableError as error:
            how = SPOILT if error.usage else UNSURE
            return tables.lost(attempt, how, str(error), seconds, error.usage, self._cost(model, error.usage))
        cost = self._cost(model, reply.usage)
        answer = Answer(reply.text, reply.finish_reason, reply.usage, cost, reply.request_id, reply.model, seconds)
        return tables.answered(attempt, key, answer)

    def _cost(self, model: str, used: Usage | None) -> float | None:
        price = self._prices.of(model)
        if price is None or used is None:
            return None
        return price.cost(used.prompt_tokens, used.completion_tokens, used.cached_tokens, batch=True)

    def _refused(self, attempt: int, key: bytes, found: Mapping[str, JSON], seconds: float) -> list[Statement]:
        """A line without an answer: nothing was charged."""
        response, error = found.get("response"), found.get("error")
        status = response.get("status_code") if isinstance(response, Mapping) else None
        body = response.get("body") if isinstance(response, Mapping) else None
        said = error or (body.get("error") if isinstance(body, Mapping) else None)
        code, text = (said.get("code"), said.get("message")) if isinstance(said, Mapping) else (None, said)
        problem = shortened(str(text or f"status {status}"))
        if isinstance(status, int) and status in AT_FAULT:
            final = RefusedForGoodError(problem, code=code if isinstance(code, str) else None, status=status)
            return self._ledger.refused(attempt, key, final, seconds)
        return tables.lost(attempt, FREE, problem, seconds, None, None)
