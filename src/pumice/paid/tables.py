"""The tables of a ledger and the statements that write them.

A row of ``requests`` is a question, a row of ``attempts`` one sending of it, alone or in a row of ``batches``.
"""

from __future__ import annotations

from pumice.paid.answers import Answer, Lost, RefusedForGoodError, Usage
from pumice.paid.journal import Statement

VERSION = 1
TABLES = f"""
PRAGMA user_version = {VERSION};
CREATE TABLE IF NOT EXISTS requests (
    id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, model TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'answered', 'failed')),
    text TEXT, finish_reason TEXT, request_id TEXT, answered_by TEXT, attempt INTEGER,
    problem TEXT, code TEXT, status INTEGER);
CREATE TABLE IF NOT EXISTS batches (
    id INTEGER PRIMARY KEY, mark TEXT NOT NULL, remote TEXT, started REAL NOT NULL, problem TEXT,
    state TEXT NOT NULL CHECK (state IN ('making', 'running', 'collected', 'abandoned')));
CREATE TABLE IF NOT EXISTS attempts (
    id INTEGER PRIMARY KEY, request INTEGER NOT NULL REFERENCES requests (id), batch INTEGER REFERENCES batches (id),
    state TEXT NOT NULL CHECK (state IN ('sent', 'answered', 'free', 'unsure', 'spoilt')),
    started REAL NOT NULL, seconds REAL, problem TEXT, bound REAL, expected_tokens INTEGER NOT NULL,
    prompt_tokens INTEGER, completion_tokens INTEGER, cached_tokens INTEGER, estimated INTEGER, cost REAL);
CREATE INDEX IF NOT EXISTS open_attempts ON attempts (request) WHERE state = 'sent';
"""
# What was on its way when a process ended; a batch goes on without it.
CLOSE_OPEN = (
    "UPDATE attempts SET state = 'unsure', problem = 'the run ended first' WHERE state = 'sent' AND batch IS NULL"
)
NEXT_ATTEMPT = "SELECT coalesce(max(id), 0) + 1 FROM attempts"
FIND = """
SELECT r.text, r.finish_reason, a.prompt_tokens, a.completion_tokens, a.cached_tokens, a.estimated, a.cost,
    r.request_id, r.answered_by, a.seconds
FROM requests r JOIN attempts a ON a.id = r.attempt WHERE r.key = ? AND r.state = 'answered'
"""
HAS_ANSWER = "SELECT 1 FROM requests WHERE key = ? AND state = 'answered'"
IN_BATCH = (
    "SELECT 1 FROM attempts WHERE state = 'sent' AND batch IS NOT NULL"
    " AND request = (SELECT id FROM requests WHERE key = ?)"
)
COUNT_REQUESTS = """
SELECT count(*), count(*) FILTER (WHERE state = 'answered'), count(*) FILTER (WHERE state = 'failed') FROM requests
"""
COUNT_ATTEMPTS = """
SELECT count(*), count(*) FILTER (WHERE state = 'unsure'), count(*) FILTER (WHERE state = 'spoilt'),
    coalesce(sum(estimated), 0), count(*) FILTER (WHERE state IN ('answered', 'spoilt') AND cost IS NULL),
    coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0), coalesce(sum(cached_tokens), 0),
    sum(cost), sum(bound) FILTER (WHERE state = 'unsure'),
    coalesce(sum(bound) FILTER (WHERE state = 'sent'), 0.0)
FROM attempts
"""

_ADD_REQUEST = "INSERT INTO requests (key, model, state) VALUES (?, ?, 'waiting') ON CONFLICT (key) DO NOTHING"
_ADD_ATTEMPT = (
    "INSERT INTO attempts (id, request, batch, state, started, bound, expected_tokens)"
    " VALUES (?, (SELECT id FROM requests WHERE key = ?), ?, 'sent', ?, ?, ?)"
)
_END_ATTEMPT = (
    "UPDATE attempts SET state = ?, seconds = ?, problem = ?, prompt_tokens = ?, completion_tokens = ?,"
    " cached_tokens = ?, estimated = ?, cost = ? WHERE id = ? AND state = 'sent'"
)
_ANSWERED = (
    "UPDATE requests SET state = 'answered', text = ?, finish_reason = ?, request_id = ?, answered_by = ?, attempt = ?,"
    " problem = NULL, code = NULL, status = NULL WHERE key = ? AND state <> 'answered'"
)
_FAILED = (
    "UPDATE requests SET state = 'failed', problem = ?, code = ?, status = ? WHERE key = ? AND state <> 'answered'"
)


def began(
    attempt: int, key: bytes, model: str, batch: int | None, started: float, bound: float | None, expected: int
) -> list[Statement]:
    """A request is about to be sent, alone or in a batch. started: seconds since 1970. bound: USD at most.

    expected: tokens of the prompt, estimated.
    """
    return [(_ADD_REQUEST, (key, model)), (_ADD_ATTEMPT, (attempt, key, batch, started, bound, expected))]


def answered(attempt: int, key: bytes, answer: Answer) -> list[Statement]:
    """A sending brought an answer."""
    return [
        _ended(attempt, "answered", answer.seconds, None, answer.usage, answer.cost),
        (_ANSWERED, (answer.text, answer.finish_reason, answer.request_id, answer.model, attempt, key)),
    ]


def refused(attempt: int, key: bytes, error: RefusedForGoodError, seconds: float) -> list[Statement]:
    """A sending brought a refusal for good."""
    return [
        _ended(attempt, "free", seconds, str(error), None, None),
        (_FAILED, (str(error), error.code, error.status, key)),
    ]


def lost(
    attempt: int, how: Lost, problem: str, seconds: float, usage: Usage | None, cost: float | None
) -> list[Statement]:
    """A sending brought nothing."""
    return [_ended(attempt, how, seconds, problem, usage, cost)]


def _ended(
    attempt: int, state: str, seconds: float, problem: str | None, usage: Usage | None, cost: float | None
) -> Statement:
    tokens: tuple[int | None, ...] = (None, None, None, None)
    if usage:
        tokens = (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, int(usage.estimated))
    return (_END_ATTEMPT, (state, seconds, problem, *tokens, cost, attempt))
