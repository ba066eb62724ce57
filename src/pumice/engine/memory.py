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


@dataclass
class _Kept:
    key: list[Hashable]
    cache: KVCache


class PrefixMemory:
    """One-row KV caches of finished answers. A follow-up takes the one that begins like itself and goes on in it."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._kept: list[_Kept] = []  # the most recently used stands last

    def take(self, key: Sequence[Hashable]) -> tuple[KVCache, int] | None:
        """A cache with the longest common beginning and that length; the cache is the caller's until ``keep``.

        What goes on exactly where an answer ended goes on in its cache; what turns off earlier gets a copy, so that
        two conversations about one picture, or with the same system text, do not take each other's.
        """
        best, length = None, 0
        for kept in self._kept:
            common = _common(kept.key, key)
            if common > length:
                best, length = kept, common
        if best is None:
            return None
        self._kept.remove(best)
        if length == len(best.key):
            return best.cache, length
        self._kept.append(best)
        return best.cache.beginning(length), length

    def keep(self, key: list[Hashable], cache: KVCache) -> None:
        """Remember ``cache``, which holds ``key``; the least recently used go once the limit is passed."""
        self._kept.append(_Kept(key, cache))
        while sum(kept.cache.nbytes for kept in self._kept) > self._limit:
            self._kept.pop(0)


def _common(first: Sequence[Hashable], second: Sequence[Hashable]) -> int:
    for at, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return at
    return min(len(first), len(second))


class FeatureMemory:
    """Projected image features [tokens, D] by the picture's fingerprint."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._kept: OrderedDict[str, Tensor] = OrderedDict()
        self._bytes = 0

    def get(self, fingerprint: str) -> Tensor | None:
        features = self._kept.get(fingerprint)
        if features is not None:
            self._kept.move_to_end(fingerprint)
        return features

    def put(self, fingerprint: str, features: Tensor) -> None:
        if fingerprint in self._kept:
            return
        self._kept[fingerprint] = features
        self._bytes += features.nbytes
        while self._bytes > self._limit:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= dropped.nbytes
