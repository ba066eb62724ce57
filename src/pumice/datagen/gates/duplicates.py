"""Samples that were written before in nearly the same words, found by MinHash (Broder 1997) without keeping texts.

Two answers that were written for different pictures may well be alike as long as they are short: there are two dogs in
many pictures. So short samples are compared within their picture only, long ones with everything.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from array import array
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Protocol

from pumice.datagen.samples import Rejection, Sample
from pumice.errors import UsageError

_WORD = re.compile(r"[^\W_]+")
_SHINGLE = 3  # words
_PERMUTATIONS, _BANDS = 64, 8
_SAME = 0.8  # share of shingles in common; 64 permutations estimate it within 0.05
_LONG = 40  # words of the answers, from which on two samples cannot be alike by chance
_SEED = 1
_TABLES = """
PRAGMA cache_size = -8192; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
CREATE TABLE samples (number INTEGER PRIMARY KEY, name TEXT, digest BLOB);
CREATE TABLE bands (band INTEGER, number INTEGER, PRIMARY KEY (band, number)) WITHOUT ROWID;
"""
_CANDIDATES = f"""
SELECT DISTINCT name, digest FROM samples
WHERE number IN (SELECT number FROM bands WHERE band IN ({", ".join("?" * _BANDS)})) ORDER BY number
"""


class _MinHash(Protocol):
    def update(self, items: Sequence[str]) -> None: ...

    def digest(self) -> Sequence[int]: ...


class Duplicates:
    """Remembers samples on the disk, about 500 bytes each, in a file that ends with the process; 8 MB in memory."""

    def __init__(self) -> None:
        """Raises UsageError if rensa is not installed."""
        if find_spec("rensa") is None:
            raise UsageError("to find near-duplicates needs rensa", hint="pip install 'pumice[datagen]'")
        self._base = sqlite3.connect("", isolation_level=None)
        self._base.executescript(_TABLES)
        self._base.execute("BEGIN")  # without an end: nothing of it is to stay
        self._count = 0

    def seen(self, sample: Sample) -> Rejection | None:
        """The refusal of a sample that nearly equals an earlier one; any other is remembered."""
        digest = array("I", _hashed(sample).digest())
        bands = _bands(digest)
        for name, data in self._base.execute(_CANDIDATES, bands):
            alike = sum(one == other for one, other in zip(array("I", data), digest, strict=True)) / _PERMUTATIONS
            if alike >= _SAME:
                return Rejection("near-duplicate", f"{alike:.0%} as {name}")
        self._count += 1
        self._base.execute("INSERT INTO samples VALUES (?, ?, ?)", (self._count, sample.id, digest.tobytes()))
        self._base.executemany("INSERT INTO bands VALUES (?, ?)", [(band, self._count) for band in bands])
        return None


def _bands(digest: array[int]) -> list[int]:
    """One number for each band of a digest: samples that are alike have at least one of them in common."""
    rows = _PERMUTATIONS // _BANDS
    return [
        int.from_bytes(
            hashlib.blake2b(bytes([at]) + digest[at * rows : (at + 1) * rows].tobytes(), digest_size=8).digest(),
            "big",
            signed=True,
        )
        for at in range(_BANDS)
    ]


def _hashed(sample: Sample) -> _MinHash:
    from rensa import RMinHash  # type: ignore[import-untyped]  # it has no stubs

    answers = [word for each in sample.exchanges for word in _WORD.findall(each.answer.lower())]
    words = [word for each in sample.exchanges for word in _WORD.findall(f"{each.question} {each.answer}".lower())]
    shingles = {" ".join(words[at : at + _SHINGLE]) for at in range(max(1, len(words) - _SHINGLE + 1))}
    if len(answers) < _LONG:
        shingles = {f"{sample.image}\0{shingle}" for shingle in shingles}
    hashed: _MinHash = RMinHash(num_perm=_PERMUTATIONS, seed=_SEED)
    hashed.update(sorted(shingles))
    return hashed
