"""How fast a server may be asked: what the user allows, what its headers say, and what it says when it refuses.

Each limit is a bucket that fills evenly. The user's hold a second's worth, so that no minute has more than was allowed.
The server's are those of its ``x-ratelimit-*`` headers: what remains, and when all of it will be there again, from
which follows how fast it fills, be the window a minute or a day.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timezone
from email.utils import parsedate_to_datetime

from pumice.errors import UsageError

_MOMENT_S = 1e-6  # less is an error of rounding
_LONGEST_NAP_S = 1.0  # then the buckets are looked at again: a header may have come
_PARTS = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST_RESET_S = 2 * 86400.0  # beyond it, a number is a date
_TELLING = 0.9  # of the limit must be left at most for the time to refill it to say how fast it fills


@dataclass(frozen=True)
class Limits:
    """How hard a server may be pressed. None: as hard as its headers allow.

    attempts: how often one request is sent before it is given up; refusals that say when to come back do not count.
    first_wait_s, longest_wait_s: the waits between attempts, which double.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    attempts: int = 8
    first_wait_s: float = 0.5
    longest_wait_s: float = 60.0

    def __post_init__(self) -> None:
        """Raises UsageError for what allows nothing."""
        for name in ("requests_per_minute", "tokens_per_minute", "attempts"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} must be at least 1, found {value}")

    def require_room(self, tokens: int) -> None:
        """Raises UsageError if no minute has room for one request that may take so many tokens."""
        most = self.tokens_per_minute
        if most is not None and tokens > most:
            raise UsageError(
                f"one request may take {tokens:,} tokens with its answer, and {most:,} tokens a minute are allowed",
                hint=f"allow at least {tokens:,}, or shorter answers",
            )


class Bucket:
    """So much now, and so much more every second. Times in seconds of any clock."""

    def __init__(self, capacity: float, per_s: float, now: float) -> None:
        self._capacity = self._level = capacity
        self._per_s = per_s
        self._stamp = now

    def wait_s(self, need: float, now: float) -> float:
        """How long until ``need`` may be taken; what is larger than the bucket waits until it is full."""
        self._fill(now)
        missing = min(need, self._capacity) - self._level
        return max(missing / self._per_s, 0.0)

    def take(self, need: float, now: float) -> None:
        """Takes it, below nothing if need be; a negative ``need`` gives back."""
        self._fill(now)
        self._level = min(self._level - need, self._capacity)

    def told(self, limit: float, remaining: float, reset_s: float | None, now: float) -> None:
        """What the server says of this bucket: its answers come late, so it can only be emptier than thought."""
        self._fill(now)
        if limit != self._capacity:
            self._capacity, self._per_s = limit, limit / 60
        if reset_s and remaining <= limit * _TELLING:
            self._per_s = (limit - remaining) / reset_s
        self._level = min(self._level, remaining)

    def _fill(self, now: float) -> None:
        self._level = min(self._level + max(now - self._stamp, 0.0) * self._per_s, self._capacity)
        self._stamp = now


class Pace:
    """Lets requests through one after another, as fast as is allowed just now."""

    def __init__(
        self,
        limits: Limits,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._queue = asyncio.Lock()  # first come, first served
        self._held_until = clock()
        self._requests = _smooth(limits.requests_per_minute, clock())
        self._tokens = _smooth(limits.tokens_per_minute, clock())

    async def turn(self, tokens: int) -> None:
        """Returns when one more request of about ``tokens`` may be sent, and counts it."""
        async with self._queue:
            while (wait_s := self._wait_s(tokens)) > _MOMENT_S:
                await self._sleep(min(wait_s, _LONGEST_NAP_S))
            now = self._clock()
            for bucket, need in self._needs(tokens):
                bucket.take(need, now)

    def spare(self, tokens: int) -> None:
        """Gives back what a request was thought to take and did not."""
        for bucket in self._tokens[:1]:
            bucket.take(-tokens, self._clock())

    def hold(self, seconds: float) -> None:
        """Lets nobody through for so long."""
        self._held_until = max(self._held_until, self._clock() + seconds)

    def heed(self, headers: Mapping[str, str]) -> None:
        """Takes over what the headers of an answer say about limits."""
        for kind, buckets in (("requests", self._requests), ("tokens", self._tokens)):
            limit, remaining = (_number(headers.get(f"x-ratelimit-{name}-{kind}")) for name in ("limit", "remaining"))
            if limit is None or remaining is None or limit <= 0:
                continue
            if len(buckets) == 1:
                buckets.append(Bucket(limit, limit / 60, self._clock()))
            buckets[1].told(limit, remaining, duration_s(headers.get(f"x-ratelimit-reset-{kind}")), self._clock())

    def _wait_s(self, tokens: int) -> float:
        now = self._clock()
        return max(self._held_until - now, *(bucket.wait_s(need, now) for bucket, need in self._needs(tokens)))

    def _needs(self, tokens: int) -> list[tuple[Bucket, int]]:
        return [*((bucket, 1) for bucket in self._requests), *((bucket, tokens) for bucket in self._tokens)]


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """When to come back, as a refusal's headers say it; None if they do not."""
    in_ms = _number(headers.get("retry-after-ms"))
    if in_ms is not None:
        return in_ms / 1000
    text = headers.get("retry-after")
    seconds = duration_s(text)
    if seconds is not None or text is None:
        return seconds
    until, now = _moment(text), _moment(headers.get("date", ""))  # by the server's clock, as ours may be wrong
    return None if until is None else max(until - (time.time() if now is None else now), 0.0)


def _moment(text: str) -> float | None:
    """Seconds since 1970 of a date as HTTP writes it, in UTC where it names no zone."""
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).timestamp()


def duration_s(text: str | None) -> float | None:
    """Seconds of a duration as servers write it: ``6m0s``, ``120ms``, ``1.5``. None for all else, dates included."""
    plain = _number(text)
    if plain is not None:
        return plain if plain <= _LONGEST_RESET_S else None
    if text is None or not text.strip() or _PARTS.sub("", text.strip()):
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in _PARTS.findall(text))


def _number(text: str | None) -> float | None:
    """A number that is not negative: some servers say -1 for what they do not know."""
    try:
        value = float(text) if text is not None else -1.0
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None


def _smooth(per_minute: int | None, now: float) -> list[Bucket]:
    """The user's bucket, then, once it is known, the server's. Any sixty seconds get no more than ``per_minute``."""
    if per_minute is None:
        return [Bucket(float("inf"), 1.0, now)]
    burst = max(1.0, per_minute / 60)
    return [Bucket(burst, (per_minute - burst + 1) / 60, now)]
