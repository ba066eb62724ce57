"""Stage 0 of a model that starts from nothing: the vision tower learns to name what each patch shows.

LLaVA begins with a CLIP tower that has seen hundreds of millions of pictures. Where there is none, dense labels of
the synthetic world teach in minutes what captions alone would take hours to: measured in ``docs/log.md``.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from pumice.data.batch import moved
from pumice.images.config import Preprocessing
from pumice.images.preprocess import preprocess
from pumice.model.vision import VisionTower
from pumice.train.recipe import WorldData
from pumice.train.step import Counts, Loss
from pumice.world.draw import draw_scene
from pumice.world.patches import CLASSES, NOTHING, patch_labels
from pumice.world.scene import make_crowd


@dataclass(frozen=True)
class PatchRow:
    """One picture: tile [1, 3, S, S], classes [N, 6] and boxes [N, 4] of its patches."""

    tile: NDArray[np.float32]
    classes: NDArray[np.int64]
    boxes: NDArray[np.float32]


@dataclass(frozen=True)
class PatchBatch:
    """tiles [B, 3, S, S], classes [B, N, 6], boxes [B, N, 4]."""

    tiles: Tensor
    classes: Tensor
    boxes: Tensor

    @property
    def rows(self) -> int:
        return len(self.tiles)

    def to(self, device: torch.device) -> PatchBatch:
        """See ``Batch.to``."""
        return PatchBatch(*(moved(each, device) for each in (self.tiles, self.classes, self.boxes)))


@dataclass(frozen=True)
class PatchRows:
    """Crowded scenes with the labels of their patches."""

    data: WorldData
    how: Preprocessing
    sizes: tuple[int, ...]

    def __len__(self) -> int:
        return self.data.scenes

    def size(self, index: int) -> int:
        """All have the same number of patches."""
        return 0

    def __getitem__(self, index: int) -> PatchRow:
        scene = make_crowd(self.data.first + index)
        side = random.Random(f"patches:{scene.index}").choice(self.sizes)
        tile, _ = preprocess(draw_scene(scene, side), self.how)
        return PatchRow(tile, *patch_labels(scene, self.how.side))


class PatchReader(nn.Module):
    """A vision tower with one linear head for each label, and one for boxes."""

    def __init__(self, tower: VisionTower) -> None:
        super().__init__()
        self.tower = tower
        size = tower.config.hidden_size
        self.norm = nn.LayerNorm(size)
        self.heads = nn.ModuleList(nn.Linear(size, count) for count in CLASSES.values())
        self.boxes = nn.Linear(size, 4)

    @staticmethod
    def collate(rows: Sequence[PatchRow]) -> PatchBatch:
        """Stack pictures and labels."""
        return PatchBatch(
            torch.from_numpy(np.concatenate([row.tile for row in rows])),
            torch.from_numpy(np.stack([row.classes for row in rows])),
            torch.from_numpy(np.stack([row.boxes for row in rows])),
        )

    def counts(self, batch: PatchBatch) -> Counts:
        """Patches that show something, and all of them."""
        return Counts(int(_covered(batch).sum()), batch.classes[..., 0].numel())

    def loss(self, batch: PatchBatch, whole: Counts | None = None) -> Loss:
        """Cross-entropy of the labels and the distance of box edges; right means all labels of a patch."""
        counts = whole or self.counts(batch)
        x = self.norm(self.tower(batch.tiles))  # [B, N, D]
        covered = _covered(batch)
        total = x.new_zeros(())
        right = torch.ones_like(covered)
        for index, head in enumerate(self.heads):
            logits = head(x)  # [B, N, classes]
            wanted = batch.classes[..., index]
            each = F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="none")  # [B * N]
            # Many patches show nothing: those that show something count as much as all of them together.
            total = total + (each * covered.flatten()).sum() / counts.predictions + each.sum() / counts.others
            right = right & (logits.argmax(-1) == wanted)
        edges = F.l1_loss(self.boxes(x), batch.boxes, reduction="none") * covered[..., None]
        total = total + 5.0 * edges.sum() / (4 * counts.predictions)
        return Loss(total, (right & covered).sum())


def _covered(batch: PatchBatch) -> Tensor:
    """bool [B, N]: patches that show something."""
    return batch.classes[..., 0] != NOTHING
