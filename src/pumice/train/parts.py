"""Which parts of the model learn, and how fast."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from pumice.errors import UsageError
from pumice.model.llava import Llava
from pumice.model.lora import adapters
from pumice.train.recipe import Part

#: The part each top-level name of the model belongs to; image_newline is learned with the projector (LLaVA-1.6).
OWNER: dict[str, Part] = {
    "vision": "vision",
    "connector": "connector",
    "image_newline": "connector",
    "language": "language",
}


def choose_parts(
    task: nn.Module, model: Llava, peaks: Mapping[Part, float], weight_decay: float
) -> list[dict[str, object]]:
    """Freeze the parts of ``model`` not named in ``peaks``; optimizer groups of the rest, each with its ``peak`` rate.

    Of a part with adapters these alone learn. What ``task`` has beside the model learns at the highest rate. Norms,
    biases and single vectors are not decayed.
    Raises: UsageError for a part without weights in ``task``.
    """
    owner = {id(p): OWNER[name.split(".")[0]] for name, p in model.named_parameters()}
    below = _below_adapters(model)
    groups: list[dict[str, object]] = []
    highest = max(peaks.values())
    for part, peak in (*peaks.items(), (None, highest)):
        mine = [p for p in task.parameters() if owner.get(id(p)) == part and id(p) not in below]
        if part is not None and not mine:
            raise UsageError(f"parts.{part} should learn, but this training has no such weights")
        for decay, chosen in ((weight_decay, [p for p in mine if p.ndim >= 2]), (0.0, [p for p in mine if p.ndim < 2])):
            if chosen:
                groups.append({"params": chosen, "peak": peak, "lr": peak, "weight_decay": decay})
    for parameter in model.parameters():
        parameter.requires_grad_(owner[id(parameter)] in peaks and id(parameter) not in below)
    return groups


def _below_adapters(model: Llava) -> set[int]:
    """The weights that adapters keep frozen: all of the module they were put into but their own factors."""
    found = adapters(model)
    factors = {id(factor) for layer in found.values() for factor in (layer.lora_a, layer.lora_b)}
    modules = {name.split(".")[0] for name in found}
    return {id(p) for name, p in model.named_parameters() if name.split(".")[0] in modules} - factors


def learns(module: nn.Module | None) -> bool:
    """Whether any weight of ``module`` is trained."""
    return module is not None and any(parameter.requires_grad for parameter in module.parameters())


def sincos_positions(side: int, size: int) -> torch.Tensor:
    """Two-dimensional sine-cosine positions [side * side, size], rows first (Dosovitskiy et al. 2021, appendix D.4)."""
    quarter = size // 4
    speeds = 1.0 / 100.0 ** (torch.arange(quarter, dtype=torch.float32) / max(1, quarter - 1))
    angles = torch.arange(side, dtype=torch.float32)[:, None] * speeds  # [side, quarter]
    waves = torch.cat((angles.sin(), angles.cos()), dim=1)  # [side, size / 2]
    rows = waves[:, None].expand(side, side, -1)
    columns = waves[None].expand(side, side, -1)
    flat = torch.cat((rows, columns), dim=-1).flatten(0, 1)
    return nn.functional.pad(flat, (0, size - flat.shape[1]))
