"""The rows of one step, cut into portions that go through the model one after the other.

However they are cut, the step is the same: every prediction counts once, divided by the number of all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pumice.data.packing import Row, fill


@dataclass(frozen=True)
class Portions:
    """batches: what goes through the model at a time, from ``rows`` rows; none if all were dropped.

    dropped: rows of which nothing to learn was left once they fitted. cut: rows that lost turns to fit.
    """

    batches: tuple[Any, ...]
    rows: int
    dropped: int
    cut: int


def portion(
    collate: Callable[..., Any], rows: Sequence[Row | Any | None], *, micro: int = 0, pack: int = 0
) -> Portions:
    """``micro`` rows at a time, or as many as ``pack`` tokens hold, joined; both 0: all at once, padded.

    Rows that are None were dropped. ``collate`` makes a batch of some rows; to pack it must take ``joined``.
    """
    kept = [row for row in rows if row is not None]
    if pack:
        joined = [[kept[at] for at in places] for places in fill([len(row.ids) for row in kept], pack)]
        batches = tuple(collate(each, joined=True) for each in joined)
    else:
        size = micro or max(1, len(kept))
        batches = tuple(collate(kept[at : at + size]) for at in range(0, len(kept), size))
    cut = sum(isinstance(row, Row) and row.cut > 0 for row in kept)
    return Portions(batches, len(kept), len(rows) - len(kept), cut)
