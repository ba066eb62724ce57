"""What earlier questions left behind: KV caches by content, image features by content, both bounded in bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from torch import Tensor

from pumice.model.cache import KVCache
from pumice.processor import Inputs


def content_key(inputs: Inputs) -> list[Hashable]:
    """One entry a position: the token id, or the picture's fingerprint at its positions."""
    key: list[Hashable] = list(inputs.ids)
    at = 0
    for fingerprint, grid in zip(inputs.hashes, inputs.grids, strict=True):
        while inputs.ids[at] >= 0:
            at += 1
        key[at : at + grid.tokens] = [fingerprint] * grid.tokens
        at += grid.tokens
    return key


#: A beginning shorter than this is computed again: a copy of it is not worth its memory.
LEAST = 16


@dataclass
class _Kept:
    key: list[Hashable]
    cache: KVCache


class PrefixMemory:
    """One-row KV caches of finished answers. A follow-up takes the one that begins like itself and goes on in it."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._kept: list[_Kept] = []  # the most recently used stands last
        self.hits = self.misses = 0

    @property
    def nbytes(self) -> int:
        """Memory of the caches that are kept; those in use are their users'."""
        return sum(kept.cache.nbytes for kept in list(self._kept))

    def take(self, key: Sequence[Hashable]) -> tuple[KVCache, int] | None:
        """A cache with the longest common beginning and that length; the cache is the caller's until ``keep``.

        What goes on exactly where an answer ended goes on in its cache; what turns off earlier gets a copy, so that
        two conversations about one picture, or with the same system text, do not take each other's.
        """
        best, length = None, 0
        for kept in self._kept:
            common = _common(kept.key, key)
            if common and common >= length:  # of several, the most recent
                best, length = kept, common
        if best is None or length < min(LEAST, len(best.key)):
            self.misses += 1
            return None
        self.hits += 1
        if length == len(best.key):
            self._kept.remove(best)
            return best.cache, length
        if 2 * length >= len(best.key):  # it has been of use, not only the system text that all begin with
            self._kept.remove(best)
            self._kept.append(best)
        return best.cache.beginning(length), length

    def keep(self, key: list[Hashable], cache: KVCache) -> None:
        """Remember ``cache``, which holds ``key``, in place of those that hold less of the same.

        The least recently used go once the limit is passed; one that passes it alone is not kept.
        """
        if cache.nbytes > self._limit:
            return
        self._kept = [kept for kept in self._kept if kept.key != key[: len(kept.key)]]
        self._kept.append(_Kept(key, cache))
        while self.nbytes > self._limit:
            self._kept.pop(0)


def _common(first: Sequence[Hashable], second: Sequence[Hashable]) -> int:
    """How long both are the same. By halves: whole stretches are compared at once."""
    same, most = 0, min(len(first), len(second))
    while same < most:
        middle = (same + most + 1) // 2
        if first[same:middle] == second[same:middle]:
            same = middle
        else:
            most = middle - 1
    return same


class FeatureMemory:
    """Projected image features [tokens, D] by the picture's fingerprint."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._kept: OrderedDict[str, Tensor] = OrderedDict()
        self.nbytes = 0
        self.hits = self.misses = 0

    def get(self, fingerprint: str) -> Tensor | None:
        features = self._kept.get(fingerprint)
        if features is None:
            self.misses += 1
        else:
            self.hits += 1
            self._kept.move_to_end(fingerprint)
        return features

    def put(self, fingerprint: str, features: Tensor) -> None:
        if fingerprint in self._kept or features.nbytes > self._limit:
            return
        self._kept[fingerprint] = features
        self.nbytes += features.nbytes
        while self.nbytes > self._limit:
            _, dropped = self._kept.popitem(last=False)
            self.nbytes -= dropped.nbytes
