"""One optimisation step, whatever is learned."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pumice.data.batch import Batch, collate
from pumice.data.packing import Row
from pumice.model.llava import Llava
from pumice.train.grounding import GroundedHeads
from pumice.train.parts import learns
from pumice.train.ranks import ALONE, Ranks


@dataclass(frozen=True)
class Loss:
    """``value`` is the mean to minimise; ``right`` of ``count`` predictions were the most likely choice."""

    value: Tensor
    right: int
    count: int


class Task(Protocol):
    """Something that learns: how its rows become a batch, and what a batch costs."""

    @staticmethod  # it goes to worker processes, which must not get the model along with it
    def collate(rows: Sequence[Any]) -> Any: ...

    def loss(self, batch: Any) -> Loss: ...


class InstructionTuning(nn.Module):
    """The model learns to say the supervised tokens (LLaVA's one objective, in both stages)."""

    def __init__(self, model: Llava, heads: GroundedHeads | None = None, weight: float = 0.0) -> None:
        """heads, weight: attention that is taught as well, and how much its loss counts beside the words'."""
        super().__init__()
        self.model = model
        self._heads, self._weight = heads, weight

    @staticmethod
    def collate(rows: Sequence[Row]) -> Batch:
        """Pad and stack."""
        return collate(rows)

    def loss(self, batch: Batch) -> Loss:
        """Mean cross-entropy over the supervised tokens.

        Logits are made at supervised positions alone; a vision tower that does not learn runs without a graph.
        """
        model = self.model
        features = None
        if batch.tiles:
            assert model.vision is not None and model.connector is not None
            with nullcontext() if learns(model.vision) else torch.no_grad():
                seen = model.vision(torch.cat(batch.tiles))
            projected = model.connector(seen).split([grid.tiles for grid in batch.grids])
            features = torch.cat([model.arrange(each, grid) for each, grid in zip(projected, batch.grids, strict=True)])
        hidden = model(batch.ids, features, positions=batch.positions, mask=batch.mask())
        logits = model.language.logits(hidden.flatten(0, 1)[batch.sources]).float()  # [n, V]
        right = int((logits.argmax(-1) == batch.targets).sum())
        value = F.cross_entropy(logits, batch.targets)
        if self._heads is not None and batch.grounded is not None:
            value = value + self._weight * self._heads.loss(batch.grounded)
        return Loss(value, right, len(batch.targets))


@dataclass(frozen=True)
class Metrics:
    """Of one step: mean loss and accuracy over its predictions, gradient norm, and whether it was applied."""

    loss: float
    accuracy: float
    gradient_norm: float
    count: int
    applied: bool


def take_step(
    task: Task, optimizer: torch.optim.Optimizer, batch: object, share: float, clip: float, ranks: Ranks = ALONE
) -> Metrics:
    """Forward, backward, clip and update at ``share`` of each group's peak rate. A non-finite step changes nothing.

    With several processes the gradient is the mean over the predictions of all; loss and accuracy are this one's.
    """
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share
    optimizer.zero_grad(set_to_none=True)
    loss = task.loss(batch)
    loss.value.backward()
    learning = [p for group in optimizer.param_groups for p in group["params"]]
    count = ranks.average(learning, loss.count)
    norm = torch.nn.utils.clip_grad_norm_(learning, clip)
    applied = bool(torch.isfinite(norm))  # a loss that is not finite has no finite gradient
    if applied:
        optimizer.step()
    return Metrics(float(loss.value.detach()), loss.right / max(1, loss.count), float(norm), count, applied)
