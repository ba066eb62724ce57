"""A short way to finish a JSON text that has begun, found in the grammar byte by byte.

A model may write a string, a number or a list for ever. An answer that must be whole when its tokens are used up
needs to know at every moment how it could end. The shortest way of all is too dear to find; this one closes what can
be closed, writes the shortest text where something must be written, and turns back where that leads ever deeper.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from pumice.engine.grammar import END

if TYPE_CHECKING:
    from llguidance import LLMatcher

#: How many states are looked at before a search gives up, at first and, where no depth had a way, once more.
PATIENCE = (1_000, 15_000)
#: And how many in all, and for how many seconds: a state of a schema that counts to thousands is slow to copy, and a
#: schema must not keep a server busy.
AT_MOST, SECONDS = 30_000, 2.0
#: At first, so many bytes after each other that lead nowhere new tell that the others do not, either.
ENOUGH = 4
#: How much deeper than now brackets may be opened: first as much as most need, then not at all, and ever more.
DEPTHS = (3, 0, 1, 2, 4, 6, 8, 12)
#: Inside a string or number: ways that are followed side by side, and those of them that look alike, which are mostly
#: the same; in a multiple of seven they are not.
ABREAST, ALIKE_IN_TEXT, ALIKE_IN_NUMBERS = 64, 3, 10
_MANY = 80  # so many possible bytes are free text, of which the first kinds tell enough
_KINDS = b'"a1A@.-:/_+ '
_NUMBER = frozenset(b"0123456789.eE+-")
_CLOSING = b"}],"
# What costs least comes first; in free text one of each kind.
_RANK = {byte: rank for rank, byte in enumerate(b'}],1234567890"ntf-[{')}
_TEXT_RANK = {byte: rank for rank, byte in enumerate(_KINDS + b"TZ234567890bcdef")}

_Way: TypeAlias = tuple[bytes, "LLMatcher"]


@dataclass(frozen=True)
class Place:
    """Where a JSON text stands: how deep in brackets, in a string or not, and its last byte."""

    depth: int = 0
    quoted: bool = False
    escaped: bool = False
    last: int = 0

    def after(self, data: bytes) -> Place:
        """The place behind ``data``."""
        depth, quoted, escaped, last = self.depth, self.quoted, self.escaped, self.last
        for last in data:
            if quoted:
                quoted = escaped or last != ord('"')
                escaped = not escaped and last == ord("\\")
            elif last == ord('"'):
                quoted = True
            else:
                depth += (last in b"{[") - (last in b"}]")
        return Place(depth, quoted, escaped, last)


def way_to_end(
    state: LLMatcher,
    place: Place,
    limit: int,
    writable: frozenset[int],
    literals: Sequence[bytes] = (),
    seconds: float = SECONDS,
) -> bytes | None:
    """Bytes, at most ``limit`` of them, that complete the text which has brought ``state`` to ``place``.

    writable: the bytes that there are tokens for. literals: what to try inside of strings before single bytes. seconds:
    for how long it is looked for.
    None where no way was found, which is no proof that there is none.
    """
    if state.is_accepting():
        return b""
    left, end = AT_MOST, time.thread_time() + seconds
    for patience, enough in zip(PATIENCE, (ENOUGH, END), strict=True):
        for deeper in DEPTHS:
            search = _Search(limit, writable, literals, min(patience, left), enough, end)
            found = search.run(state, place, place.depth + deeper)
            if found is not None:
                return found
            left -= min(patience, left) - max(0, search.patience)
    return None


class _Search:
    """One search: its limits, and how much patience is left."""

    def __init__(
        self, limit: int, writable: frozenset[int], literals: Sequence[bytes], patience: int, enough: int, end: float
    ) -> None:
        """end: when it stops, on this thread's clock, which counts its work alone."""
        self._limit = limit
        self._writable = writable
        self._literals = literals
        self.patience = patience
        self._enough = enough
        self._end = end

    def run(self, state: LLMatcher, place: Place, deepest: int) -> bytes | None:
        """Depth first: of the choices at every place the best is followed until it leads nowhere."""
        trail: list[tuple[bytes, Place, Iterator[_Way]]] = [(b"", place, self._choices(state, place))]
        while trail and self.patience > 0:
            path, here, choices = trail[-1]
            step = next(choices, None)
            if step is None:
                trail.pop()
                continue
            piece, reached = step
            there, longer = here.after(piece), path + piece
            if len(longer) > self._limit or there.depth > deepest:
                continue
            if reached.is_accepting():
                return longer
            trail.append((longer, there, self._choices(reached, there)))
        return None

    def _choices(self, state: LLMatcher, place: Place) -> Iterator[_Way]:
        """What may come next, the best first: what is forced, the end of a string or number, or one byte."""
        if forced := state.compute_ff_bytes():
            yield from self._steps(state, [forced])
            return
        possible = self._possible(state)
        if place.quoted or (place.last in _NUMBER and not any(byte in _CLOSING for byte in possible)):
            yield from self._ends(state, place)
        else:
            order = sorted(possible, key=lambda byte: _RANK.get(byte, END + byte))
            yield from self._steps(state, [bytes([byte]) for byte in order])

    def _ends(self, state: LLMatcher, place: Place) -> Iterator[_Way]:
        """Ways out of the string or number at ``place``, the shortest first. Breadth first: a pattern may loop."""
        alikes = ALIKE_IN_TEXT if place.quoted else ALIKE_IN_NUMBERS
        level: list[_Way] = [(b"", state)]
        while level and len(level[0][0]) < self._limit and self.patience > 0:
            following: list[_Way] = []
            alike: Counter[bytes] = Counter()
            for path, here in level:
                known = 0
                for piece, after in self._steps(here, self._in_text(here)):
                    longer = path + piece
                    if self._is_out(place.after(longer), after, place.quoted):
                        yield longer, after
                        continue
                    looks = after.compute_bitmask() + piece[1:]  # behind a literal, more has been done than can be seen
                    if alike[looks] < alikes:
                        alike[looks] += 1
                        following.append((longer, after))
                        known = 0
                        continue
                    known += 1
                    if known == self._enough:
                        break
            level = following[:ABREAST]

    def _in_text(self, state: LLMatcher) -> list[bytes]:
        """What may come next inside a string or number; an escape comes last."""
        if forced := state.compute_ff_bytes():
            return [forced]
        possible = self._possible(state)
        possible.sort(key=lambda byte: 3 * END if byte == ord("\\") else _TEXT_RANK.get(byte, END + byte))
        single = [bytes([byte]) for byte in (possible[: len(_KINDS)] if len(possible) > _MANY else possible)]
        return [*(each for each in self._literals if each[0] in possible), *single]

    def _steps(self, state: LLMatcher, pieces: list[bytes]) -> Iterator[_Way]:
        """Copies of ``state`` that have read one of ``pieces``."""
        for piece in pieces:
            self.patience -= 1
            if time.thread_time() > self._end:
                self.patience = 0
                return
            after = state.deep_copy()
            if self._writable.issuperset(piece) and after.consume_tokens(list(piece)):
                yield piece, after

    def _is_out(self, place: Place, state: LLMatcher, was_quoted: bool) -> bool:
        if was_quoted:
            return not place.quoted
        return state.is_accepting() or place.last not in _NUMBER or any(b in _CLOSING for b in self._possible(state))

    def _possible(self, state: LLMatcher) -> list[int]:
        found: list[int] = []
        for first, bits in zip(range(0, END, 8), state.compute_bitmask(), strict=False):
            if bits:
                found += [byte for byte in range(first, first + 8) if bits >> (byte - first) & 1]
        return [byte for byte in found if byte in self._writable]
