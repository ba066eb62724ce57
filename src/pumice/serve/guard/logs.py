"""The log of a server process: plain lines or JSON on stderr, and if wanted in a file a day.

What must not be in a log is taken out where a line is made, so that no caller can forget it: keys, tokens, pictures,
and characters with which a client could forge lines or steer a terminal.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
import time
from collections.abc import Sequence
from itertools import count
from logging.handlers import TimedRotatingFileHandler
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from pumice.errors import UsageError

DAYS = 14
_QUIET = ("httpx2", "httpcore2", "httpx", "httpcore", "openai", "uvicorn", "asyncio")

_RULES = (
    (
        re.compile(r"(?i)data:[\w.+/-]*(?:;[\w=.+-]+)*;base64,(?:[a-z0-9+/=_%-]|\s(?=[a-z0-9+/]{40}))*"),
        "(a data URI)",
    ),
    (re.compile(r"\bpumice-(?:cluster-)?[A-Za-z0-9_-]{43}"), "(a key)"),
    (re.compile(r"\b(?:sk|hf|xox[a-z]|xapp)[-_][A-Za-z0-9_-]{10,}"), "(a key)"),
    (re.compile(r"\b(bearer|basic)\s+[^\s'\",]+", re.IGNORECASE), r"\1 (a key)"),
    (re.compile(r"\b((?:x-)?api-key|authorization|pumice_session)(['\"]?\s*[:=,]\s*)(?!bearer\b|basic\b)(b?['\"]?)[^\s'\",;]+",
                re.IGNORECASE), r"\1\2\3(a key)"),
    (re.compile(r"(?:[A-Za-z0-9+/]{60,76}\s+){2,}[A-Za-z0-9+/]*={0,2}|[A-Za-z0-9+/_-]{120,}={0,2}"), "(base64)"),
)  # fmt: skip
_LINE_BREAKS = re.compile(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+")
_LONGEST = 8000
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def redacted(text: str, secrets: Sequence[str] = ()) -> str:
    """``text`` without keys and pictures. secrets: further words to take out, as they are."""
    for secret in secrets:
        text = text.replace(secret, "(a key)")
    for pattern, instead in _RULES:
        text = pattern.sub(instead, text)
    return text


def one_line(text: str) -> str:
    """``text`` on one line, without control characters."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", _LINE_BREAKS.sub(" ", text).replace("\t", " "))


def setup_logging(
    role: str,
    *,
    folder: Path | None = None,
    as_json: bool = False,
    level: str = "info",
    secrets: Sequence[str] = (),
) -> None:
    """Sends what this process logs to stderr, and to ``folder`` if there is one. The process is a server's own.

    role: names the file, ``<role>.log``, which is put aside at midnight UTC; the last 14 are kept. While another
    process of this role writes there, the file is ``<role>-2.log`` and so on: a file has one writer.
    secrets: words that must never be shown, such as the cluster token.

    Raises:
        UsageError: the level is none, or the folder cannot be made.
    """
    if level not in ("debug", "info", "warning", "error"):
        raise UsageError(f"the level of a log is debug, info, warning or error, found {level!r}")
    form = _Form(role, as_json=as_json, secrets=tuple(each for each in secrets if each))
    handlers: list[logging.Handler] = [_Stderr()]
    if folder is not None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"{folder} cannot hold the log: {error.strerror or error}", hint="name another folder"
            ) from error
        handlers.append(_DailyFile(*_own_file(folder, role)))
    for handler in handlers:
        handler.setFormatter(form)
    root = logging.getLogger()
    root.handlers[:] = handlers
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel("WARNING")


class _Form(logging.Formatter):
    """Makes the line of a record."""

    default_msec_format = "%s.%03dZ"
    default_time_format = "%Y-%m-%dT%H:%M:%S"

    def __init__(self, role: str, *, as_json: bool, secrets: Sequence[str]) -> None:
        super().__init__()
        self.converter = time.gmtime
        self._role = role
        self._as_json = as_json
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """A traceback follows its line, one indented line each; in JSON it is a field."""
        message = one_line(redacted(_message(record), self._secrets))[:_LONGEST]
        at, level = self.formatTime(record), record.levelname.lower()
        trace = self.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""
        lines = [one_line(each) for each in redacted(trace, self._secrets).split("\n") if each.strip()]
        if self._as_json:
            facts = {"time": at, "level": level, "role": self._role, "logger": record.name, "message": message}
            return json.dumps(facts | ({"traceback": lines} if lines else {}), ensure_ascii=False)
        return "\n".join([f"{at} {level} {self._role}: {message}", *(f"    {each}" for each in lines)])


class _Stderr(logging.StreamHandler):  # type: ignore[type-arg]
    def __init__(self) -> None:
        super().__init__(sys.stderr)

    def handleError(self, record: logging.LogRecord) -> None:
        """Nobody reads stderr, or its disk is full: the server goes on."""


class _DailyFile(TimedRotatingFileHandler):
    """A file a day. When it cannot be written, stderr hears of it once; writing is tried again with every line."""

    def __init__(self, file: Path, lock: BaseFileLock) -> None:
        """lock: held as long as this writes."""
        super().__init__(file, when="midnight", backupCount=DAYS, encoding="utf-8", delay=True, utc=True)
        self._failing = False
        self._lock = lock

    def close(self) -> None:
        super().close()
        self._lock.release()

    def emit(self, record: logging.LogRecord) -> None:
        failed_before, self._failing = self._failing, False
        super().emit(record)  # calls handleError if it fails
        if failed_before and not self._failing:
            _tell("the log is written again")
        elif self._failing and not failed_before:
            _tell(f"the log {self.baseFilename} cannot be written: {self._reason}; the server goes on without it")

    def handleError(self, record: logging.LogRecord) -> None:
        self._failing = True
        self._reason = str(sys.exc_info()[1])
        stream, self.stream = self.stream, None
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):  # what it still holds cannot be written either
                stream.close()


def _own_file(folder: Path, role: str) -> tuple[Path, BaseFileLock]:
    """The first file of ``role`` that no other process writes, and what keeps it so."""
    for number in count(1):
        file = folder / (f"{role}.log" if number == 1 else f"{role}-{number}.log")
        lock = FileLock(file.with_name(f".{file.name}.lock"), blocking=False, thread_local=False, mode=0o600)
        try:
            lock.acquire()
        except Timeout:
            continue
        except (OSError, NotImplementedError):  # a disk that is full or cannot lock is no reason not to try to write
            pass
        return file, lock
    raise AssertionError


def _message(record: logging.LogRecord) -> str:
    """A call with the wrong arguments is no reason to lose the line."""
    try:
        return record.getMessage()
    except (TypeError, ValueError):
        return str(record.msg)


def _tell(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"warning: {one_line(text)}\n")
        sys.stderr.flush()
