"""Which worker gets a request. Pure: what there is to choose from comes in, and so does chance."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Literal, Protocol, TypeAlias, TypeVar

Policy: TypeAlias = Literal["shortest_queue", "lottery"]
#: By how many requests the queue of the worker that knows a picture may be longer than the shortest.
PATIENCE = 2


class Candidate(Protocol):
    """What a choice looks at."""

    @property
    def name(self) -> str: ...
    @property
    def speed(self) -> float: ...
    @property
    def queue(self) -> int: ...


One = TypeVar("One", bound=Candidate)


def choose(
    candidates: Sequence[One], policy: Policy, draw: Callable[[], float], *, affinity: str | None = None
) -> One | None:
    """One of the candidates, None if there are none.

    ``shortest_queue`` takes the one whose queue is over soonest, the first of several alike; ``lottery`` gives each a
    share of the requests by its speed.

    draw: a number in [0, 1), for the lottery. affinity: what the request has in common with others, such as the hash
    of its first picture; equal ones go to the same worker, which remembers it, unless too many wait there.
    """
    if not candidates:
        return None
    if affinity is not None:
        known = max(candidates, key=lambda each: _attraction(each, affinity))
        if known.queue <= min(each.queue for each in candidates) + PATIENCE:
            return known
    if policy == "shortest_queue":
        return min(candidates, key=lambda each: each.queue / each.speed)
    left = draw() * sum(each.speed for each in candidates)
    for each in candidates:
        left -= each.speed
        if left < 0:
            return each
    return candidates[-1]


def _attraction(candidate: Candidate, affinity: str) -> float:
    """Rendezvous hashing, weighted by speed: when a worker comes or goes, only its own share moves."""
    digest = hashlib.sha256(f"{candidate.name}\n{affinity}".encode("utf-8", "surrogatepass")).digest()
    share = (int.from_bytes(digest[:8], "big") + 0.5) / 2**64
    return -candidate.speed / math.log(share)
