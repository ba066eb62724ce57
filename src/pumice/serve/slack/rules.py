"""What the bot may do, and how often it may be asked: values and pure rules, with the clock passed in."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Rules:
    """How the bot behaves.

    model: as the server calls it; None for the server's first. channels: ids of channels it answers in, None for all;
    direct messages are always answered. per_user, per_channel: questions a minute. keep_s: how long a conversation is
    remembered after its last message, and how long pictures wait for a question. edit_s: seconds between two
    edits of a message; append_s: between two pieces of a streamed one. drain_s: how long answers may take to end
    when the bot is told to.
    """

    model: str | None = None
    channels: frozenset[str] | None = None
    per_user: int = 10
    per_channel: int = 30
    parallel: int = 32
    most_pictures: int = 8
    most_turns: int = 24
    keep_s: float = 7 * 86400.0
    wait_s: float = 900.0
    twin_s: float = 1.0
    edit_s: float = 1.2
    append_s: float = 0.7
    drain_s: float = 30.0

    def allows(self, channel: str, direct: bool) -> bool:
        """Whether questions are answered there."""
        return direct or self.channels is None or channel in self.channels


class Limiter:
    """Counts questions in a sliding window, by any number of names at once."""

    def __init__(self, window_s: float = 60.0) -> None:
        self.window_s = window_s
        self._times: dict[str, deque[float]] = {}
        self._told: dict[str, float] = {}

    def wait(self, limits: Sequence[tuple[str, int]], now: float) -> float:
        """0 and counted, if every name is below its limit; else the seconds until it is, and nothing is counted."""
        self._forget(now)
        longest = 0.0
        for name, limit in limits:
            times = self._times.get(name, ())
            if len(times) >= limit:
                longest = max(longest, times[len(times) - limit] + self.window_s - now)
        if longest <= 0:
            for name, _ in limits:
                self._times.setdefault(name, deque()).append(now)
        return max(0.0, longest)

    def first_refusal(self, name: str, now: float) -> bool:
        """Whether ``name`` has not been told within the window: one notice is help, ten are noise."""
        if name in self._told:
            return False
        self._told[name] = now
        return True

    def _forget(self, now: float) -> None:
        for name, times in list(self._times.items()):
            while times and times[0] <= now - self.window_s:
                times.popleft()
            if not times:
                del self._times[name]
        self._told = {name: at for name, at in self._told.items() if at > now - self.window_s}
