"""Keys and values of the positions already seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

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


class JoinedCache:
    """Several one-row caches, each of its own length, as the rows of one call: rows join and leave without a copy."""

    def __init__(self, rows: Sequence[KVCache]) -> None:
        self._rows = rows

    def write(self, layer: int, positions: Tensor, key: Tensor, value: Tensor, seen: int) -> tuple[Tensor, Tensor]:
        """``KVCache.write`` for every row; what a row has no room for comes back as zeros."""
        found: tuple[list[Tensor], list[Tensor]] = ([], [])
        for index, row in enumerate(self._rows):
            one = slice(index, index + 1)
            stored = row.write(layer, positions[one], key[one], value[one], min(seen, row.capacity))
            for side, tensor in zip(found, stored, strict=True):
                side.append(_widened(tensor, seen) if tensor.shape[2] < seen else tensor)
        return torch.cat(found[0]), torch.cat(found[1])


#: What attention needs of a cache.
Cache: TypeAlias = KVCache | JoinedCache


def _widened(tensor: Tensor, capacity: int) -> Tensor:
    batch, heads, old, size = tensor.shape
    wide = tensor.new_zeros((batch, heads, capacity, size))
    wide[:, :, :old] = tensor
    return wide
