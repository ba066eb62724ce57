"""Linear layers that store 16 bits a weight and compute in float32, for processors that are slow with 16 bits."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pumice.quantize.swap import linears, put


class WideLinear(nn.Module):
    """``nn.Linear`` whose ``weight`` stays as it is stored, memory-mapped if it was, and is widened for each product.

    Without bf16 instructions float32 products are several times faster than PyTorch's bf16 ones (docs/performance.md),
    and widening costs little beside a product with many rows. One row is what the native decode step is for.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:  # [..., K] -> [..., N]
        if _has_bf16_products() and self.weight.dtype == torch.bfloat16:
            bias = None if self.bias is None else self.bias.to(torch.bfloat16)
            return F.linear(x.to(torch.bfloat16), self.weight, bias).to(x.dtype)
        return F.linear(x, self.weight.to(x.dtype), self.bias)


def widen_layers(model: nn.Module) -> set[str]:
    """Put a ``WideLinear`` in the place of every linear layer; returns the names of their weights."""
    found = set()
    for name, layer in list(linears(model)):
        put(model, name, WideLinear(layer.weight, layer.bias))
        found.add(f"{name}.weight")
    return found


@lru_cache(maxsize=1)
def _has_bf16_products() -> bool:
    """Whether this processor multiplies bfloat16 in hardware."""
    amx, dot = (
        getattr(torch.cpu, name, lambda: False) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    )
    return bool(amx()) or bool(dot())
