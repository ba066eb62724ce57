"""Says that a server fails: soon, then rarely, and not while it answers others."""

from __future__ import annotations

import time
from collections.abc import Callable

_FRESH_S = 5.0  # an answer is news for so long
_EVERY_S = 60.0


def unsaid(text: str) -> None:
    """For whom nobody listens to."""


class Complaints:
    """About one server. say: is given each sentence; whoever wants to hear replaces it."""

    def __init__(self, say: Callable[[str], None] = unsaid, clock: Callable[[], float] = time.monotonic) -> None:
        self.say = say
        self._clock = clock
        self._answered = self._said = float("-inf")

    def answered(self) -> None:
        """An answer came."""
        self._answered = self._clock()

    def failed(self, why: str) -> None:
        """None came, and it will be tried again."""
        now = self._clock()
        if now - self._answered >= _FRESH_S and now - self._said >= _EVERY_S:
            self._said = now
            self.say(f"no answer comes: {why}; trying again")
