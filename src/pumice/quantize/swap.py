"""Linear layers of a model give way to others."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from pumice.quantize.frozen import FrozenLinear
from pumice.quantize.linear import QuantizedLinear
from pumice.quantize.plan import LayerPlan


def quantize_layers(
    model: nn.Module, plan: LayerPlan, *, frozen: bool = False
) -> dict[str, QuantizedLinear | FrozenLinear]:
    """Put an empty ``QuantizedLinear`` in the place of every layer that ``plan`` names; returns them by name.

    frozen: a ``FrozenLinear`` instead, for training.
    """
    found: dict[str, QuantizedLinear | FrozenLinear] = {}
    for name, layer in list(linears(model)):
        how = plan.for_layer(name, layer.weight.shape)
        if how is None:
            continue
        outputs, inputs = layer.weight.shape
        kind = FrozenLinear if frozen else QuantizedLinear
        with torch.device(layer.weight.device):
            found[name] = kind(inputs, outputs, how, bias=layer.bias is not None)
        put(model, name, found[name])
    return found


def linears(model: nn.Module) -> Iterator[tuple[str, nn.Linear]]:
    """Every linear layer with its name."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            yield name, module


def put(model: nn.Module, name: str, layer: nn.Module) -> None:
    """Replace the submodule ``name``."""
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, layer)
