"""One optimisation step, whatever is learned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from pumice.data.batch import Batch, collate
from pumice.data.packing import NOTHING, Row
from pumice.model.llava import Llava
from pumice.train.cross_entropy import summed_loss
from pumice.train.grounding import GroundedHeads
from pumice.train.parts import learns
from pumice.train.ranks import ALONE, Ranks
from pumice.train.seen import SeenPictures
from pumice.train.sharding import clip_gradients, is_sharded


class Movable(Protocol):
    """A batch, made where the processor is."""

    def to(self, device: torch.device) -> Movable: ...


class Counts(NamedTuple):
    """What losses are divided by: the number of predictions, and of whatever a task teaches beside them."""

    predictions: int
    others: int = 0


@dataclass(frozen=True)
class Loss:
    """``value`` is to be minimised; ``right`` predictions were the most likely choice. Both are single numbers."""

    value: Tensor
    right: Tensor


class Task(Protocol):
    """Something that learns: how its rows become a batch, and what a batch costs."""

    @staticmethod  # it goes to worker processes, which must not get the model along with it
    def collate(rows: Sequence[Any]) -> Any: ...

    def counts(self, batch: Any) -> Counts: ...

    def loss(self, batch: Any, whole: Counts | None = None) -> Loss:
        """Sums over ``batch`` divided by the counts of the ``whole`` step it is a part of; None: it is all of it."""


class InstructionTuning(nn.Module):
    """The model learns to say the supervised tokens (LLaVA's one objective, in both stages)."""

    def __init__(
        self,
        model: Llava,
        heads: GroundedHeads | None = None,
        weight: float = 0.0,
        seen: SeenPictures | None = None,
    ) -> None:
        """heads, weight: attention that is taught as well, and how much its loss counts beside the words'.

        seen: keeps the features of a tower that does not learn.
        """
        super().__init__()
        self.model = model
        self._heads, self._weight, self.seen = heads, weight, seen

    @staticmethod
    def collate(rows: Sequence[Row], *, joined: bool = False) -> Batch:
        """Pad and stack, or join."""
        return collate(rows, joined=joined)

    def counts(self, batch: Batch) -> Counts:
        """Supervised tokens, and words that are spoken of something."""
        return Counts(len(batch.targets), 0 if batch.grounded is None else len(batch.grounded.sources))

    def loss(self, batch: Batch, whole: Counts | None = None) -> Loss:
        """Cross-entropy of the supervised tokens, divided by the number of them in the ``whole`` step.

        Logits are made at supervised positions alone; a vision tower that does not learn runs without a graph, and
        not at all where no row has a picture.
        """
        model, counts = self.model, whole or self.counts(batch)
        features = self._features(batch) if batch.tiles else None
        hidden = model(batch.ids, features, positions=batch.positions, mask=batch.mask(), blocks=batch.blocks())
        total, right = summed_loss(model.language, hidden.flatten(0, 1).index_select(0, batch.sources), batch.targets)
        value = total / counts.predictions
        if self._heads is not None and batch.grounded is not None:
            value = value + self._weight * self._heads.loss(batch.grounded) / counts.others
        return Loss(value, right)

    def _features(self, batch: Batch) -> Tensor:
        """Token rows of all pictures [sum of tokens, D]."""
        model = self.model
        assert model.vision is not None and model.connector is not None
        if self.seen is not None:
            encoded = self.seen.features(batch.tiles, batch.hashes)
        else:
            with nullcontext() if learns(model.vision) else torch.no_grad():
                encoded = model.vision(torch.cat(batch.tiles))
        projected = model.connector(encoded).split([grid.tiles for grid in batch.grids])
        return torch.cat([model.arrange(each, grid) for each, grid in zip(projected, batch.grids, strict=True)])


@dataclass(frozen=True)
class Metrics:
    """Of one step, over all processes: mean loss and accuracy of its predictions, gradient norm, whether applied."""

    loss: float
    accuracy: float
    gradient_norm: float
    count: int
    applied: bool


def take_step(
    task: Task,
    optimizer: torch.optim.Optimizer,
    batches: Sequence[Movable],
    share: float,
    clip: float,
    ranks: Ranks = ALONE,
    dtype: torch.dtype = torch.float32,
) -> Metrics:
    """Forward and backward for each of ``batches``, then clip and update at ``share`` of each group's peak rate.

    The gradient is that of the mean over the predictions of all batches of all processes. A step that is not finite,
    or has no predictions, changes nothing. dtype: what matrices are multiplied in; weights and their gradients stay
    as they are.
    """
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share
    optimizer.zero_grad(set_to_none=True)
    mine = [task.counts(batch) for batch in batches]
    sums = ranks.total([sum(each.predictions for each in mine), sum(each.others for each in mine)])
    whole = Counts(*(int(each) for each in sums))
    learning = [p for group in optimizer.param_groups for p in group["params"]]
    device, found = learning[0].device, []
    rounds = ranks.most(len(batches)) if ranks.sharded else len(batches)
    for batch in (*batches, *(task.collate([NOTHING]) for _ in range(rounds - len(batches)))):
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            part = task.loss(batch.to(device), whole)
        if part.value.requires_grad:  # words alone teach nothing to a projector, say
            part.value.backward()
        found.append(torch.stack((part.value.detach().float(), part.right.float())))
    # Read once, for reading waits until the device has done all of it.
    losses, rights = zip(*torch.stack(found).tolist(), strict=True) if found else ((), ())
    loss, hits = ranks.total([math.fsum(losses), math.fsum(rights)])
    ranks.add_gradients([each for each in learning if not is_sharded(each)])
    norm = clip_gradients(learning, clip) if ranks.sharded else float(clip_grad_norm_(learning, clip))
    # A loss that is not finite has no finite gradient; without predictions there is no loss.
    applied = whole.predictions > 0 and math.isfinite(norm)
    if applied:
        optimizer.step()
    count = whole.predictions
    return Metrics(loss if count else float("nan"), hits / max(1, count), norm, count, applied)
