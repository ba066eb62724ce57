"""Rows of different lengths become rectangular tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pumice.data.packing import HEAD, NOWHERE, Row
from pumice.images.grid import Grid


@dataclass(frozen=True)
class GroundedWords:
    """What m positions of a batch speak of, in R regions of their pictures.

    regions: [B, L], ``NOWHERE`` for text. sources: [m], flat indices into B x L. shares: [m, R], rows add up to 1.
    """

    regions: Tensor
    sources: Tensor
    shares: Tensor


@dataclass(frozen=True)
class Batch:
    """B rows padded on the right to length L.

    ids, positions, groups: [B, L]. sources: [n], flat indices into B x L; targets: [n], the ids predicted there.
    tiles: per picture [t, 3, S, S]; grids: per picture.
    """

    ids: Tensor
    positions: Tensor
    groups: Tensor
    sources: Tensor
    targets: Tensor
    tiles: tuple[Tensor, ...]
    grids: tuple[Grid, ...]
    grounded: GroundedWords | None = None

    @property
    def rows(self) -> int:
        return len(self.ids)

    def mask(self) -> Tensor:
        """bool [B, 1, L, L]: a position sees the head and its own tail, up to itself."""
        queries, keys = self.groups[:, :, None], self.groups[:, None, :]
        length = self.ids.shape[1]
        causal = torch.ones(length, length, dtype=torch.bool, device=self.ids.device).tril()
        return (((keys == HEAD) | (keys == queries)) & causal)[:, None]


def collate(rows: Sequence[Row]) -> Batch:
    """Pad and stack. Padding has id 0 and group ``HEAD``; it stands last, so that nothing real can see it."""
    length = max(len(row.ids) for row in rows)
    ids, positions, groups = (np.zeros((len(rows), length), dtype=np.int64) for _ in range(3))
    sources: list[int] = []
    for index, row in enumerate(rows):
        used = len(row.ids)
        ids[index, :used], positions[index, :used], groups[index, :used] = row.ids, row.positions, row.groups
        sources += [index * length + source for source in row.sources]
    return Batch(
        ids=torch.from_numpy(ids),
        positions=torch.from_numpy(positions),
        groups=torch.from_numpy(groups),
        sources=torch.tensor(sources, dtype=torch.int64),
        targets=torch.tensor([target for row in rows for target in row.targets], dtype=torch.int64),
        tiles=tuple(torch.from_numpy(tiles) for row in rows for tiles in row.tiles),
        grids=tuple(grid for row in rows for grid in row.grids),
        grounded=_grounded(rows, length),
    )


def _grounded(rows: Sequence[Row], length: int) -> GroundedWords | None:
    """What the rows' words speak of, in equal shares; rows without a grounding add nothing."""
    known = [(index, row.grounding) for index, row in enumerate(rows) if row.grounding is not None]
    if not any(found.spoken for _, found in known):
        return None
    regions = torch.full((len(rows), length), NOWHERE)
    spoken = [(index * length + at, each) for index, found in known for at, each in found.spoken]
    shares = torch.zeros(len(spoken), max(found.count for _, found in known))
    for index, found in known:
        regions[index, : len(found.regions)] = torch.tensor(found.regions)
    for at, (_, each) in enumerate(spoken):
        shares[at, list(each)] = 1 / len(each)
    return GroundedWords(regions, torch.tensor([at for at, _ in spoken], dtype=torch.int64), shares)
