"""The small parts that the towers are built from.

Shapes: B batch, L positions of this call, K key positions, H heads, D hidden size, E head size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pumice.model.config import LanguageConfig, RopeScaling

#: Weights that are widened at a time: they are still in a processor's cache when they are multiplied.
PIECE = 1 << 20


class RMSNorm(nn.Module):
    """Root-mean-square norm (Zhang and Sennrich 2019), computed in float32 whatever the input's type."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:  # [..., D] -> [..., D]
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * wide.to(x.dtype)


def product(x: Tensor, weight: Tensor) -> Tensor:
    """``x`` [..., D] times ``weight`` [N, D] -> [..., N].

    A weight of another type is cast a piece at a time: all at once takes memory for another copy, and most of the time
    of a product with few rows.
    """
    if weight.dtype == x.dtype:
        return F.linear(x, weight)
    pieces = weight.split(max(1, PIECE // weight.shape[1]))
    return torch.cat([F.linear(x, piece.to(x.dtype)) for piece in pieces], dim=-1)


def quick_gelu(x: Tensor) -> Tensor:
    """OpenAI CLIP's approximation of GELU: x * sigmoid(1.702 x)."""
    return x * torch.sigmoid(1.702 * x)


def gelu_tanh(x: Tensor) -> Tensor:
    """The approximation of GELU by a hyperbolic tangent, as SigLIP was trained with (Hendrycks and Gimpel 2016)."""
    return F.gelu(x, approximate="tanh")


def rotary_frequencies(config: LanguageConfig, device: torch.device) -> Tensor:
    """Angular speed of each pair of channels, float32 [E/2] (Su et al. 2021), stretched as the config asks."""
    exponents = torch.arange(0, config.head_dim, 2, dtype=torch.float32, device=device) / config.head_dim
    speeds = 1.0 / (config.rope_theta**exponents)
    scaling = config.rope_scaling
    if scaling is None:
        return speeds
    if scaling.kind == "linear":
        return speeds / scaling.factor
    return _llama3_frequencies(speeds, scaling)


def _llama3_frequencies(speeds: Tensor, scaling: RopeScaling) -> Tensor:
    """Llama 3.1: short waves stay, long waves are slowed by ``factor``, those between are blended."""
    turns = scaling.original_max_positions * speeds / (2 * math.pi)  # full turns within the original context
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    blend = ((turns - low) / (high - low)).clamp(0.0, 1.0)
    return blend * speeds + (1.0 - blend) * speeds / scaling.factor


def rotary_tables(positions: Tensor, speeds: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosines and sines for ``positions`` [B, L], each [B, 1, L, E]; computed in float32, then cast."""
    angles = positions[:, None, :, None].float() * speeds  # [B, 1, L, E/2]
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos().to(dtype), angles.sin().to(dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each channel pair (i, i + E/2) of ``x`` [B, H, L, E] by its position's angle."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, *, causal: bool) -> Tensor:
    """Attention of ``query`` [B, H, L, E] over [B, H', K, E], H a multiple of H' (grouped queries) -> [B, L, H*E].

    mask: bool, broadcastable to [B, 1, L, K], True where a query may look. causal: only without a mask.
    """
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key = key.repeat_interleave(groups, dim=1)
        value = value.repeat_interleave(groups, dim=1)
    mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=causal)
    return mixed.transpose(1, 2).flatten(2)


#: A stretch of a row that sees only itself: its length n, and who sees whom in it, bool [1, 1, n, n]; None is causal.
Block: TypeAlias = tuple[int, Tensor | None]


def attend_blocks(query: Tensor, key: Tensor, value: Tensor, blocks: Sequence[Block]) -> Tensor:
    """``attend`` within each of ``blocks``, which stand one behind the other: [B, H, L, E] over [B, H', L, E].

    A mask of the whole row would say the same; most of what it makes the processor multiply is thrown away.
    """
    lengths = [length for length, _ in blocks]
    pieces = zip(*(each.split(lengths, dim=2) for each in (query, key, value)), strict=True)
    mixed = [attend(q, k, v, mask, causal=mask is None) for (q, k, v), (_, mask) in zip(pieces, blocks, strict=True)]
    return torch.cat(mixed, dim=1)
