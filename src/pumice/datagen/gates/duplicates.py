"""Samples that were written before in nearly the same words, found by MinHash (Broder 1997) without keeping texts.

Two answers that were written for different pictures may well be alike as long as they are short: there are two dogs in
many pictures. So short samples are compared within their picture only, long ones with everything.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from typing import Protocol

from pumice.datagen.samples import Rejection, Sample
from pumice.errors import UsageError

_WORD = re.compile(r"[^\W_]+")
_SHINGLE = 3  # words
_PERMUTATIONS, _BANDS = 64, 8
_SAME = 0.8  # share of shingles in common; 64 permutations estimate it within 0.05
_LONG = 40  # words of the answers, from which on two samples cannot be alike by chance
_SEED = 1


class _MinHash(Protocol):
    def update(self, items: Sequence[str]) -> None: ...

    def digest(self) -> Sequence[int]: ...


class Duplicates:
    """Remembers samples in about 1 kB each."""

    def __init__(self) -> None:
        """Raises UsageError if rensa is not installed."""
        try:
            from rensa import RMinHashLSH  # type: ignore[import-untyped]  # it has no stubs
        except ImportError as error:
            raise UsageError("to find near-duplicates needs rensa", hint="pip install 'pumice[datagen]'") from error
        self._index = RMinHashLSH(threshold=_SAME, num_perm=_PERMUTATIONS, num_bands=_BANDS)
        self._digests = array("I")
        self._ids: list[str] = []

    def seen(self, sample: Sample) -> Rejection | None:
        """The refusal of a sample that nearly equals an earlier one; any other is remembered."""
        hashed = _hashed(sample)
        digest = array("I", hashed.digest())
        for candidate in sorted(self._index.query(hashed)):
            earlier = self._digests[candidate * _PERMUTATIONS : (candidate + 1) * _PERMUTATIONS]
            alike = sum(one == other for one, other in zip(earlier, digest, strict=True)) / _PERMUTATIONS
            if alike >= _SAME:
                return Rejection("near-duplicate", f"{alike:.0%} as {self._ids[candidate]}")
        self._index.insert(len(self._ids), hashed)
        self._digests.extend(digest)
        self._ids.append(sample.id)
        return None


def _hashed(sample: Sample) -> _MinHash:
    from rensa import RMinHash  # it has no stubs

    answers = [word for each in sample.exchanges for word in _WORD.findall(each.answer.lower())]
    words = [word for each in sample.exchanges for word in _WORD.findall(f"{each.question} {each.answer}".lower())]
    shingles = {" ".join(words[at : at + _SHINGLE]) for at in range(max(1, len(words) - _SHINGLE + 1))}
    if len(answers) < _LONG:
        shingles = {f"{sample.image}\0{shingle}" for shingle in shingles}
    hashed: _MinHash = RMinHash(num_perm=_PERMUTATIONS, seed=_SEED)
    hashed.update(sorted(shingles))
    return hashed
