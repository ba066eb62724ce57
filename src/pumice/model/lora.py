"""Low-rank adapters (Hu et al. 2021): a layer stays as it is, and the product of two thin matrices is added to it.

Shapes: N outputs, K inputs, r rank.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import chain
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Lora:
    """What is added is ``alpha / rank`` times the product; dropout: the share of inputs that it misses in training."""

    rank: int
    alpha: float
    dropout: float = 0.0

    @property
    def scale(self) -> float:
        return self.alpha / self.rank


class LoraLinear(nn.Module):
    """A frozen linear layer of any kind, and what is learned beside it: lora_a [r, K] and lora_b [N, r].

    It begins as ``base`` alone: lora_b is zero, and lora_a is drawn as the PEFT library draws it.
    """

    def __init__(self, base: nn.Module, inputs: int, outputs: int, how: Lora, generator: torch.Generator) -> None:
        """generator: of the processor; the same draws on every device."""
        super().__init__()
        self.base = base.requires_grad_(False)
        self.how = how
        device = next(chain(base.parameters(), base.buffers())).device
        first = nn.init.kaiming_uniform_(
            torch.empty(how.rank, inputs, device="cpu"), a=math.sqrt(5), generator=generator
        )
        self.lora_a = nn.Parameter(first.to(device))
        self.lora_b = nn.Parameter(torch.zeros(outputs, how.rank, device=device))

    @property
    def weight(self) -> Tensor:
        """What the layer multiplies with, adapter included, [N, K]; it is made anew each time."""
        return cast(Tensor, self.base.weight) + self.how.scale * (self.lora_b @ self.lora_a)

    @property
    def bias(self) -> Tensor | None:
        """What the layer adds, [N]; no adapter changes it."""
        return cast("Tensor | None", self.base.bias)

    def forward(self, x: Tensor) -> Tensor:  # [..., K] -> [..., N]
        added = F.linear(F.linear(F.dropout(x, self.how.dropout, self.training), self.lora_a), self.lora_b)
        return self.base(x) + self.how.scale * added

    def extra_repr(self) -> str:
        return f"rank={self.how.rank}, alpha={self.how.alpha:g}, dropout={self.how.dropout:g}"


def put_adapters(model: nn.Module, part: str, how: Lora, generator: torch.Generator) -> int:
    """Put an adapter on every linear layer within ``part.layers``; returns how many there are.

    So it is all of a decoder but its head, all of a tower, all of a projector. A linear layer is whatever says how many
    inputs and outputs it has, whatever its weights are made of. generator: draws them one after the other.
    """
    found = [
        (name, module)
        for name, module in model.named_modules()
        if name.startswith(f"{part}.layers.") and hasattr(module, "in_features") and hasattr(module, "out_features")
    ]
    for name, module in found:
        inputs, outputs = cast(int, module.in_features), cast(int, module.out_features)
        model.set_submodule(name, LoraLinear(module, inputs, outputs, how, generator))
    return len(found)


def adapters(model: nn.Module) -> dict[str, LoraLinear]:
    """All adapted layers by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, LoraLinear)}
