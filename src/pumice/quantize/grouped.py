"""Weights as integers in groups: the neutral format that goes to disk, and its definition in plain PyTorch.

Shapes: N rows, K columns, G columns a group.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pumice.errors import ModelError
from pumice.quantize.library import Native, native
from pumice.quantize.plan import Format

#: Weights that are turned into float32 at a time.
SLICE = 1 << 24
#: The smallest whole number that the largest weight of a group may become in 8 bits.
LEAST_TOP = 120


@dataclass(frozen=True)
class Grouped:
    """Integers and scales: a weight is its value times its group's scale.

    values: uint8 [N, K/2], two columns a byte, the even one low, stored plus 8; or int8 [N, K]. scales: fp16 [N, K/G].
    """

    values: Tensor
    scales: Tensor
    format: Format

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.values.shape
        return rows, columns * 8 // self.format.bits

    def decode(self) -> Tensor:
        """The weights, float32 [N, K]."""
        values = self.values
        if self.format.bits == 4:
            values = torch.stack((values & 15, values >> 4), dim=-1).flatten(1).to(torch.int8) - 8  # [N, K]
        groups = values.float().unflatten(1, (-1, self.format.group))
        weights: Tensor = (groups * self.scales.float()[..., None]).flatten(1)
        return weights


def encode(weight: Tensor, how: Format, name: str = "a weight") -> Grouped:
    """The nearest integers for ``weight`` [N, K], of any float type, a slice at a time: float32 copies stay small.

    name: for the message. Raises ModelError if a weight is infinite or no number: its group would have no scale.
    """
    rows, columns = weight.shape
    assert how.fits(weight.shape), f"{tuple(weight.shape)} does not divide into groups of {how.group}"
    values = torch.empty((rows, columns * how.bits // 8), dtype=torch.uint8)
    scales = torch.empty((rows, columns // how.group), dtype=torch.float16)
    library = native()
    step = max(1, SLICE // columns)
    for start in range(0, rows, step):
        some = weight[start : start + step].to(device="cpu", dtype=torch.float32).contiguous()
        if not some.sum().isfinite():  # which costs no memory; a sum may also be too large for float32
            _require_finite(weight, name)
        target = values[start : start + step], scales[start : start + step]
        if library is not None:
            _encode_natively(library, some, how, *target)
        else:
            for place, found in zip(target, encode_plainly(some, how), strict=True):
                place.copy_(found)
    return Grouped(values if how.bits == 4 else values.view(torch.int8), scales, how)


def _require_finite(weight: Tensor, name: str) -> None:
    wrong = int((~weight.isfinite()).sum())
    if wrong:
        raise ModelError(
            f"{name}: expected finite weights, found {wrong} of {weight.numel()} infinite or not a number",
            hint="the checkpoint is damaged, or its training diverged: fetch it again, or take an earlier one",
        )


def _encode_natively(library: Native, weight: Tensor, how: Format, values: Tensor, scales: Tensor) -> None:
    rows, columns = weight.shape
    code = library.call.pumice_encode(
        how.bits, weight.data_ptr(), rows, columns, how.group, values.data_ptr(), scales.data_ptr()
    )
    assert code == 0, "the library refuses what the format allows"


def encode_plainly(weight: Tensor, how: Format) -> tuple[Tensor, Tensor]:
    """``values``, as uint8, and ``scales`` of float32 ``weight`` [N, K], by the definition.

    8 bit: the largest weight of a group becomes a whole number of 120 to 127. 4 bit: among scales around the one that
    makes the largest weight -8, and for each the least-squares scale for the integers it gives. In both, what has the
    least squared error.
    """
    groups = weight.unflatten(1, (-1, how.group))  # [N, K/G, G]
    if how.bits == 8:
        wanted, lowest, highest = _best_scales8(groups), -127, 127
    else:
        wanted, lowest, highest = _best_scales4(groups), -8, 7
    scales = wanted.half()
    inverse = torch.where(scales != 0, 1 / scales.float(), 0.0)
    whole = (groups * inverse[..., None]).round().clamp(lowest, highest).to(torch.int32).flatten(1)  # [N, K]
    if how.bits == 8:
        return whole.to(torch.int8).view(torch.uint8), scales
    low, high = (whole + 8).unflatten(1, (-1, 2)).unbind(-1)
    return (low | high << 4).to(torch.uint8), scales


def _best_scales8(groups: Tensor) -> Tensor:
    largest = groups.abs().amax(-1)
    best, least = torch.zeros_like(largest), torch.full_like(largest, torch.inf)
    for top in range(127, LEAST_TOP - 1, -1):
        scales = (largest / top).half().float()
        inverse = torch.where(scales != 0, 1 / scales, 0.0)
        whole = (groups * inverse[..., None]).round().clamp(-127, 127)
        errors = (groups - whole * scales[..., None]).square().sum(-1)
        best, least = torch.where(errors < least, scales, best), torch.minimum(errors, least)
    return best


def _best_scales4(groups: Tensor) -> Tensor:
    extreme = groups.gather(-1, groups.abs().argmax(-1, keepdim=True))  # [N, K/G, 1], with its sign
    safe = torch.where(extreme == 0, 1.0, extreme)
    best, most = torch.zeros_like(safe[..., 0]), torch.full_like(safe[..., 0], -1.0)
    for tenths in range(-16, 9, 2):
        for sign in (-1.0, 1.0):
            whole = (groups * (sign * (8.0 + 0.1 * tenths) / safe)).round().clamp(-8, 7)
            product, square = (groups * whole).sum(-1), whole.square().sum(-1)
            gain = torch.where(square > 0, product.square() / square, 0.0)
            better = gain > most
            best = torch.where(better & (square > 0), product / square, best)
            most = torch.where(better, gain, most)
    return best
