"""Stop strings, found also where they lie across the border of two tokens."""

from __future__ import annotations

from collections.abc import Sequence


class StopScanner:
    """Lets text through until a stop string appears; what could be the beginning of one is held back."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.stopped = False

    def push(self, text: str) -> str:
        """The part of the text so far that is certain to belong to the answer and was not given out yet."""
        if self.stopped:
            return ""
        self._held += text
        certain = len(self._held) - self._possible_start()
        place = self._found()
        if place is not None and place <= certain:
            self.stopped = True
            return self._give(place)
        # A stop string that is whole does not end the text yet while a longer one may have begun before it: what
        # is found must not depend on where the borders of tokens are.
        return self._give(certain)

    def flush(self) -> str:
        """What was held back, once nothing more comes."""
        if self.stopped:
            return ""
        place = self._found()
        self.stopped = place is not None
        return self._give(len(self._held) if place is None else place)

    def _found(self) -> int | None:
        """Where the first whole stop string begins in the held text."""
        places = [place for stop in self._stops if (place := self._held.find(stop)) >= 0]
        return min(places, default=None)

    def _give(self, length: int) -> str:
        given, self._held = self._held[:length], self._held[length:]
        return given

    def _possible_start(self) -> int:
        """Length of the longest end of the held text that a stop string could begin with."""
        longest = max((len(stop) for stop in self._stops), default=1) - 1
        for length in range(min(longest, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-length:]) for stop in self._stops):
                return length
        return 0
