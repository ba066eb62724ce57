"""One optimisation step."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pumice.data.batch import Batch
from pumice.model.llava import Llava
from pumice.train.parts import learns


@dataclass(frozen=True)
class Metrics:
    """Of one step: mean loss and accuracy over its supervised tokens, gradient norm, and whether it was applied."""

    loss: float
    accuracy: float
    gradient_norm: float
    tokens: int
    applied: bool


def loss_of(model: Llava, batch: Batch) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy over the supervised tokens, and how many of them were the most likely choice.

    Logits are made at supervised positions alone; a vision tower that does not learn runs without a graph.
    """
    features = None
    if batch.tiles:
        with nullcontext() if learns(model.vision) else torch.no_grad():
            assert model.vision is not None and model.connector is not None
            seen = model.vision(torch.cat(batch.tiles))
        projected = model.connector(seen).split([grid.tiles for grid in batch.grids])
        features = torch.cat([model.arrange(each, grid) for each, grid in zip(projected, batch.grids, strict=True)])
    hidden = model(batch.ids, features, positions=batch.positions, mask=batch.mask())
    logits = model.language.logits(hidden.flatten(0, 1)[batch.sources]).float()  # [n, V]
    return F.cross_entropy(logits, batch.targets), (logits.argmax(-1) == batch.targets).sum()


def take_step(model: Llava, optimizer: torch.optim.Optimizer, batch: Batch, share: float, clip: float) -> Metrics:
    """Forward, backward, clip and update at ``share`` of each group's peak rate. A non-finite step changes nothing."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share
    optimizer.zero_grad(set_to_none=True)
    loss, right = loss_of(model, batch)
    loss.backward()  # type: ignore[no-untyped-call]
    learning = [p for group in optimizer.param_groups for p in group["params"]]
    norm = torch.nn.utils.clip_grad_norm_(learning, clip)
    applied = bool(torch.isfinite(norm)) and bool(torch.isfinite(loss))
    if applied:
        optimizer.step()
    count = len(batch.targets)
    return Metrics(float(loss.detach()), int(right) / count, float(norm), count, applied)
