"""Keys and values of the positions already seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from pumice.model.config import LanguageConfig

#: Numbers below this are nothing: 127 divided by them would overflow.
TINY = 1e-30


class KVCache:
    """Static storage of keys and values: one tensor per layer, [B, H, capacity, E], a position's slot is its number.

    Rows may hold different numbers of positions. What lies beyond a row's length is garbage that no query can see,
    because masks are made from positions and a slot is written before a query reaches it. The storage may be narrower
    than what is stored: in int8 every head's key and value of a position has a scale of its own, float32
    [B, H, capacity, 1], and what comes back from ``write``, the newest positions too, is what the integers say.
    """

    def __init__(
        self, keys: list[Tensor], values: list[Tensor], key_scales: list[Tensor], value_scales: list[Tensor]
    ) -> None:
        """Scales belong to int8; else their lists are empty."""
        self.keys = keys
        self.values = values
        self.key_scales = key_scales
        self.value_scales = value_scales

    @classmethod
    def empty(
        cls, config: LanguageConfig, batch: int, capacity: int, device: torch.device, dtype: torch.dtype
    ) -> KVCache:
        """Room for ``batch`` rows of ``capacity`` positions, stored as ``dtype``: a float type or int8."""

        def side(layers: int, size: int, dtype: torch.dtype) -> list[Tensor]:
            shape = (batch, config.kv_heads, capacity, size)
            return [torch.zeros(shape, device=device, dtype=dtype) for _ in range(layers)]

        keys, values = (side(config.layers, config.head_dim, dtype) for _ in range(2))
        scales = (side(config.layers if dtype == torch.int8 else 0, 1, torch.float32) for _ in range(2))
        return cls(keys, values, *scales)

    @property
    def capacity(self) -> int:
        """Positions that fit into a row."""
        return self.keys[0].shape[2]

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for part in self.parts for tensor in part)

    def write(self, layer: int, positions: Tensor, key: Tensor, value: Tensor, seen: int) -> tuple[Tensor, Tensor]:
        """Store ``key`` and ``value`` [B, H, L, E] at ``positions`` [B, L]; the first ``seen`` slots come back."""
        keys, values, *scales = (part[layer] for part in self.parts if part)
        key_scales, value_scales = scales or (None, None)
        return (
            _stored(keys, key_scales, positions, key, seen),
            _stored(values, value_scales, positions, value, seen),
        )

    def beginning(self, length: int) -> KVCache:
        """A copy of the first ``length`` positions of every row."""
        return KVCache(*([tensor[:, :, :length].clone() for tensor in part] for part in self.parts))

    def grow(self, capacity: int) -> None:
        """Make room for ``capacity`` positions; what is stored stays."""
        if capacity <= self.capacity:
            return
        wide = [[_widened(tensor, capacity) for tensor in part] for part in self.parts]
        self.keys, self.values, self.key_scales, self.value_scales = wide  # all or, if memory runs out, none

    @property
    def parts(self) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
        """Keys, values and, unless they are empty, the scales of both: of every layer."""
        return self.keys, self.values, self.key_scales, self.value_scales


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


def _stored(tensor: Tensor, scales: Tensor | None, positions: Tensor, new: Tensor, seen: int) -> Tensor:
    slots = positions[:, None, :, None].expand_as(new)  # [B, H, L, E]
    if scales is None:
        tensor.scatter_(2, slots, new.to(tensor.dtype))
        return tensor[:, :, :seen].to(new.dtype)
    whole, sizes = _rounded(new)
    tensor.scatter_(2, slots, whole)
    scales.scatter_(2, slots[..., :1], sizes)
    return (tensor[:, :, :seen] * scales[:, :, :seen]).to(new.dtype)


def _rounded(x: Tensor) -> tuple[Tensor, Tensor]:
    """``x`` [..., E] as int8 and one float32 scale [..., 1]: the largest becomes 127 or -127.

    What is not finite makes the scale, and so everything that it is for, NaN.
    """
    wide = x.float()
    largest = wide.abs().amax(-1, keepdim=True)
    good = (largest > TINY) & largest.isfinite()
    whole = torch.where(good, (wide * (127 / largest)).round(), 0.0)
    return whole.to(torch.int8), torch.where(good, largest / 127, largest * 0)
