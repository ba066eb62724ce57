"""What was probably meant by a name that nobody knows, and the words that say so."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import TypeVar

Otherwise = TypeVar("Otherwise", str, None)


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The one of ``known`` that is spelt most like ``name``; None if none is at least ``cutoff`` alike (0..1)."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return close[0] if close else None


def did_you_mean(near: str | None, otherwise: Otherwise, *, shown: Callable[[str], str] = str) -> str | Otherwise:
    """A hint that offers ``near``, written by ``shown``; ``otherwise`` if there is nothing to offer."""
    return otherwise if near is None else f"did you mean {shown(near)}?"
