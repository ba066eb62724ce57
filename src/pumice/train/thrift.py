"""Ways to spend less memory or time on the same numbers, put around a model that knows nothing of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint

from pumice.errors import UsageError
from pumice.model.language import MLP
from pumice.model.layers import RMSNorm
from pumice.model.llava import Llava
from pumice.model.vision import VisionLayer
from pumice.train.recipe import Tower


def recompute_layers(model: Llava, counts: Mapping[Tower, int]) -> None:
    """Of each named tower, let that many layers forget what they computed and compute it again in the backward pass.

    Raises: UsageError for more layers than there are.
    """
    for tower, count in counts.items():
        found = getattr(model, tower)
        layers = [] if found is None else list(found.layers)
        if count > len(layers):
            raise UsageError(f"recompute.{tower}: there are {len(layers)} layers, found {count}")
        for layer in layers[:count]:
            # On the instance: names of weights stay as they are.
            layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)


def compile_parts(model: nn.Module) -> None:
    """Let torch compile the parts whose shapes alone decide what is computed; attention over blocks is not one."""
    for module in model.modules():
        if isinstance(module, (MLP, RMSNorm, VisionLayer)):
            module.compile(dynamic=True)
