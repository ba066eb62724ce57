"""PyTorch's own products with 4-bit weights, for where the native library is not: CUDA, MPS, a CPU without a compiler.

They take bfloat16 activations, and the integers in an order of their own.

Shapes: N outputs, K inputs, G columns a group.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from pumice.quantize.grouped import Grouped, encode_plainly
from pumice.quantize.plan import Format

DEVICES = ("cpu", "cuda", "mps")
TILES = 8  # inner tiles of 16 columns that CUDA and MPS lay side by side


def operands(grouped: Grouped, device: torch.device) -> tuple[Tensor, Tensor] | None:
    """What ``product`` multiplies with; None if there is no operator for this shape, format or device."""
    rows, columns = grouped.shape
    whole = rows % 16 == 0 and columns % (16 * TILES) == 0
    if grouped.format.bits != 4 or not whole or not usable(device.type):
        return None
    return _operands(grouped, device)


def product(x: Tensor, values: Tensor, scales: Tensor, group: int) -> Tensor:
    """``x`` [..., K] times the weights of ``operands`` -> [..., N], bfloat16."""
    flat = x.reshape(-1, x.shape[-1]).to(torch.bfloat16)
    multiply = torch._weight_int4pack_mm_for_cpu if x.device.type == "cpu" else torch._weight_int4pack_mm
    y: Tensor = multiply(flat, values, group, scales)
    return y.reshape(*x.shape[:-1], y.shape[-1])


@lru_cache
def usable(device: str) -> bool:
    """Whether the operators of this kind of device are there and give what the definition gives: they are not public,
    and how they lay out the weights may change."""
    if device not in DEVICES:
        return False
    how = Format(4, 32)
    weight = torch.randn(64, 256, generator=torch.Generator().manual_seed(0))
    values, scales = encode_plainly(weight, how)
    grouped, x = Grouped(values, scales, how), torch.randn(3, 256, generator=torch.Generator().manual_seed(1))
    try:
        made = _operands(grouped, torch.device(device))
        found = product(x.to(device), *made, how.group).float().cpu()
    except Exception:  # whatever it is, there is another way
        return False
    wanted = x @ grouped.decode().T
    return bool((found - wanted).norm() < 0.02 * wanted.norm())


def _operands(grouped: Grouped, device: torch.device) -> tuple[Tensor, Tensor]:
    values, scales = grouped.values.to(device), grouped.scales.to(device, torch.bfloat16).T
    pairs = torch.stack((scales, torch.zeros_like(scales)), dim=-1).contiguous()  # [K/G, N, 2]: scale, and zero of 8
    if device.type == "cpu":
        whole = torch.stack((values & 15, values >> 4), dim=-1).flatten(1).to(torch.int32)
        return torch._convert_weight_to_int4pack_for_cpu(whole, 1), pairs
    swapped = (values << 4 | values >> 4).contiguous()  # the even column goes into the high half
    return torch._convert_weight_to_int4pack(swapped, TILES), pairs
