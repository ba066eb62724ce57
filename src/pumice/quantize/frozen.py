"""Linear layers of small integers that let gradients through, for adapters to be trained upon.

QLoRA (Dettmers et al. 2023), over our own integers. Shapes: N outputs, K inputs.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pumice.quantize.grouped import Grouped
from pumice.quantize.plan import Bits, Format


class FrozenLinear(nn.Module):
    """``nn.Linear`` with grouped integers, widened for each product and let go again, forwards and backwards.

    The native product is no use here: its inputs become int8, and that has no gradient. Empty until ``fill``: its
    weights come from a checkpoint and are no part of the state dict.
    """

    values: Tensor
    scales: Tensor

    def __init__(self, inputs: int, outputs: int, how: Format, *, bias: bool) -> None:
        super().__init__()
        self.in_features, self.out_features, self.how = inputs, outputs, how
        self.bias = nn.Parameter(torch.zeros(outputs), requires_grad=False) if bias else None
        self.register_buffer("values", torch.empty(0, dtype=torch.uint8, device="cpu"), persistent=False)
        self.register_buffer("scales", torch.empty(0, dtype=torch.float16, device="cpu"), persistent=False)

    def fill(self, grouped: Grouped, device: torch.device) -> None:
        """Take over the weights."""
        assert grouped.shape == (self.out_features, self.in_features) and grouped.format == self.how
        self.values, self.scales = grouped.values.to(device), grouped.scales.to(device)

    @property
    def weight(self) -> Tensor:
        """The weights, float32 [N, K]; they are made anew each time."""
        return Grouped(self.values, self.scales, self.how).decode()

    def forward(self, x: Tensor) -> Tensor:  # [..., K] -> [..., N]
        y = cast(
            Tensor,
            _Product.apply(  # type: ignore[no-untyped-call]
                x, self.values, self.scales, self.how.bits, self.how.group
            ),
        )
        return y if self.bias is None else y + self.bias.to(y.dtype)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, bits={self.how.bits}, group={self.how.group}"


class _Product(torch.autograd.Function):
    """Only the integers are kept for the way back, which plain operators would not do with the widened weights."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor, *stored: Tensor | int) -> Tensor:
        values, scales, bits, group = cast("tuple[Tensor, Tensor, Bits, int]", stored)
        ctx.save_for_backward(values, scales)
        ctx.how = Format(bits, group)  # type: ignore[attr-defined]
        return F.linear(x, Grouped(values, scales, Format(bits, group)).decode().to(x.dtype))

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple[Tensor | None, ...]:
        values, scales = ctx.saved_tensors  # type: ignore[attr-defined]
        (grad,) = grads  # [..., N]
        weight = Grouped(values, scales, ctx.how).decode().to(grad.dtype)  # type: ignore[attr-defined]
        return grad @ weight, None, None, None, None
