"""Which parts of the model learn, and how fast."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from pumice.model.llava import Llava

#: The part each top-level name of the model belongs to; image_newline is learned with the projector (LLaVA-1.6).
OWNER = {"vision": "vision", "connector": "connector", "image_newline": "connector", "language": "language"}


def choose_parts(model: Llava, peaks: Mapping[str, float], weight_decay: float) -> list[dict[str, object]]:
    """Freeze what is not named in ``peaks`` and return optimizer groups, each with its ``peak`` rate.

    Norms, biases and single vectors are not decayed.
    """
    groups: list[dict[str, object]] = []
    for part, peak in peaks.items():
        named = [(name, p) for name, p in model.named_parameters() if OWNER[name.split(".")[0]] == part]
        matrices = [parameter for _, parameter in named if parameter.ndim >= 2]
        vectors = [parameter for _, parameter in named if parameter.ndim < 2]
        groups += [
            {"params": matrices, "peak": peak, "lr": peak, "weight_decay": weight_decay},
            {"params": vectors, "peak": peak, "lr": peak, "weight_decay": 0.0},
        ]
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(OWNER[name.split(".")[0]] in peaks)
    return [group for group in groups if group["params"]]


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
