"""How often each caller may ask: a bucket of tokens for each name, which fills up again by itself."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

#: Callers that are remembered; who has not asked for longest is forgotten first, and has a full bucket again.
_MOST = 10_000


class Rates:
    """``per_minute`` requests a minute, of which a quarter, but at least two, may come at once."""

    def __init__(self, per_minute: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_minute / 60
        self._room = max(2.0, per_minute / 4)
        self._clock = clock
        self._held: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when that was

    def wait_for(self, name: str) -> float:
        """0 if ``name`` may ask now, which is counted; else the seconds until it may."""
        now = self._clock()
        tokens, since = self._held.pop(name, (self._room, now))
        tokens = min(self._room, tokens + (now - since) * self._per_second)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self._per_second
        self._held[name] = (tokens - 1 if tokens >= 1 else tokens, now)
        while len(self._held) > _MOST:
            self._held.popitem(last=False)
        return wait
