"""Keys and values of the positions already seen."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pumice.model.config import LanguageConfig


class KVCache:
    """Static storage of keys and values: one tensor per layer, [B, H, capacity, E], a position's slot is its number.

    Rows may hold different numbers of positions. What lies beyond a row's length is garbage that no query can see,
    because masks are made from positions and a slot is written before a query reaches it. The storage may be narrower
    than what is stored.
    """

    def __init__(self, keys: list[Tensor], values: list[Tensor]) -> None:
        self.keys = keys
        self.values = values

    @classmethod
    def empty(
        cls, config: LanguageConfig, batch: int, capacity: int, device: torch.device, dtype: torch.dtype
    ) -> KVCache:
        """Room for ``batch`` rows of ``capacity`` positions."""
        shape = (batch, config.kv_heads, capacity, config.head_dim)
        keys, values = (
            [torch.zeros(shape, device=device, dtype=dtype) for _ in range(config.layers)] for _ in range(2)
        )
        return cls(keys, values)

    @classmethod
    def stack(cls, caches: Sequence[KVCache]) -> KVCache:
        """The rows of several caches in one, as long as the longest."""
        capacity = max(cache.capacity for cache in caches)
        for cache in caches:
            cache.grow(capacity)
        keys = [torch.cat(layer) for layer in zip(*(cache.keys for cache in caches), strict=True)]
        values = [torch.cat(layer) for layer in zip(*(cache.values for cache in caches), strict=True)]
        return cls(keys, values)

    @property
    def batch(self) -> int:
        return self.keys[0].shape[0]

    @property
    def capacity(self) -> int:
        """Positions that fit into a row."""
        return self.keys[0].shape[2]

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in (*self.keys, *self.values))

    def write(self, layer: int, positions: Tensor, key: Tensor, value: Tensor, seen: int) -> tuple[Tensor, Tensor]:
        """Store ``key`` and ``value`` [B, H, L, E] at ``positions`` [B, L]; the first ``seen`` slots come back."""
        keys, values = self.keys[layer], self.values[layer]
        slots = positions[:, None, :, None].expand_as(key)  # [B, H, L, E]
        keys.scatter_(2, slots, key.to(keys.dtype))
        values.scatter_(2, slots, value.to(values.dtype))
        return keys[:, :, :seen].to(key.dtype), values[:, :, :seen].to(value.dtype)

    def keep(self, rows: Sequence[int]) -> None:
        """Drop all rows but these, in this order."""
        chosen = torch.tensor(rows, device=self.keys[0].device)
        self.keys = [tensor.index_select(0, chosen) for tensor in self.keys]
        self.values = [tensor.index_select(0, chosen) for tensor in self.values]

    def beginning(self, length: int) -> KVCache:
        """A copy of the first ``length`` positions of every row."""
        keys, values = ([tensor[:, :, :length].clone() for tensor in side] for side in (self.keys, self.values))
        return KVCache(keys, values)

    def grow(self, capacity: int) -> None:
        """Make room for ``capacity`` positions; what is stored stays."""
        if capacity <= self.capacity:
            return
        keys, values = ([_widened(tensor, capacity) for tensor in side] for side in (self.keys, self.values))
        self.keys, self.values = keys, values  # both or, if memory runs out, none


def _widened(tensor: Tensor, capacity: int) -> Tensor:
    batch, heads, old, size = tensor.shape
    wide = tensor.new_zeros((batch, heads, capacity, size))
    wide[:, :, :old] = tensor
    return wide
