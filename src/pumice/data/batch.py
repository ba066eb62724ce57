"""Rows of different lengths become rectangular tensors, padded or one behind the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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

    def to(self, device: torch.device) -> GroundedWords:
        """See ``Batch.to``."""
        return GroundedWords(*(moved(each, device) for each in (self.regions, self.sources, self.shares)))


@dataclass(frozen=True)
class Batch:
    """B rows padded on the right to length L, or one row of several that stand one behind the other.

    ids, positions, groups: [B, L]. sources: [n], flat indices into B x L; targets: [n], the ids predicted there.
    tiles: per picture [t, 3, S, S]; grids: per picture. tailed: per row, whether it has tails. lengths: of the rows
    that are joined, which add up to L; empty where each row is its own. hashes: per picture, a fingerprint of its
    pixels.
    """

    ids: Tensor
    positions: Tensor
    groups: Tensor
    sources: Tensor
    targets: Tensor
    tiles: tuple[Tensor, ...]
    grids: tuple[Grid, ...]
    tailed: tuple[bool, ...]
    grounded: GroundedWords | None = None
    lengths: tuple[int, ...] = ()
    hashes: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        return len(self.tailed)

    def mask(self) -> Tensor | None:
        """bool [B, 1, L, L]: a position sees the head and its own tail, up to itself. None: there are no tails.

        Then plain causal attention says the same, for padding stands last.
        """
        return _sight(self.groups) if any(self.tailed) and not self.lengths else None

    def blocks(self) -> list[tuple[int, Tensor | None]] | None:
        """Of joined rows, which do not see one another: their lengths and masks [1, 1, n, n], None for causal."""
        if not self.lengths:
            return None
        groups = self.groups.split(self.lengths, dim=1)
        return [
            (own.shape[1], _sight(own) if tailed else None) for own, tailed in zip(groups, self.tailed, strict=True)
        ]

    def to(self, device: torch.device) -> Batch:
        """The same on ``device``, which copies while it still works on what came before."""
        if self.ids.device == device:
            return self
        return replace(
            self,
            ids=moved(self.ids, device),
            positions=moved(self.positions, device),
            groups=moved(self.groups, device),
            sources=moved(self.sources, device),
            targets=moved(self.targets, device),
            tiles=moved(torch.cat(self.tiles), device).split([len(own) for own in self.tiles]) if self.tiles else (),
            grounded=None if self.grounded is None else self.grounded.to(device),
        )


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """``tensor`` on ``device``; without waiting for it where the device can fetch it by itself."""
    if device.type != "cuda" or tensor.is_cuda:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def _sight(groups: Tensor) -> Tensor:
    """Who sees whom in rows of ``groups`` [B, L]."""
    queries, keys = groups[:, :, None], groups[:, None, :]
    length = groups.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=groups.device).tril()
    return (((keys == HEAD) | (keys == queries)) & causal)[:, None]


def collate(rows: Sequence[Row], *, joined: bool = False) -> Batch:
    """Pad and stack, or set all rows one behind the other in one row, where nothing is padding.

    Padding has id 0 and group ``HEAD``; it stands last, so that nothing real can see it.
    """
    used = [len(row.ids) for row in rows]
    shape = (1, sum(used)) if joined else (len(rows), max(used))
    # Where each row begins, as a flat index.
    begins = [sum(used[:index]) if joined else index * shape[1] for index in range(len(rows))]
    ids, positions, groups = (np.zeros(shape[0] * shape[1], dtype=np.int64) for _ in range(3))
    if not joined:
        positions[:] = np.tile(np.arange(shape[1]), len(rows))  # padding is later than everything real
    for row, begin, length in zip(rows, begins, used, strict=True):
        own = slice(begin, begin + length)
        ids[own], positions[own], groups[own] = row.ids, row.positions, row.groups
    sources = [begin + source for row, begin in zip(rows, begins, strict=True) for source in row.sources]
    return Batch(
        ids=torch.from_numpy(ids).view(shape),
        positions=torch.from_numpy(positions).view(shape),
        groups=torch.from_numpy(groups).view(shape),
        sources=torch.tensor(sources, dtype=torch.int64),
        targets=torch.tensor([target for row in rows for target in row.targets], dtype=torch.int64),
        tiles=tuple(torch.from_numpy(tiles) for row in rows for tiles in row.tiles),
        grids=tuple(grid for row in rows for grid in row.grids),
        tailed=tuple(row.groups[-1] != HEAD for row in rows),
        grounded=_grounded(rows, begins, shape),
        lengths=tuple(used) if joined else (),
        hashes=tuple(each for row in rows for each in row.hashes),
    )


def _grounded(rows: Sequence[Row], begins: Sequence[int], shape: tuple[int, int]) -> GroundedWords | None:
    """What the rows' words speak of, in equal shares; rows without a grounding add nothing."""
    known = [(begin, row.grounding) for begin, row in zip(begins, rows, strict=True) if row.grounding is not None]
    if not any(found.spoken for _, found in known):
        return None
    regions = torch.full((shape[0] * shape[1],), NOWHERE)
    spoken = [(begin + at, each) for begin, found in known for at, each in found.spoken]
    shares = torch.zeros(len(spoken), max(found.count for _, found in known))
    for begin, found in known:
        regions[begin : begin + len(found.regions)] = torch.tensor(found.regions)
    for at, (_, each) in enumerate(spoken):
        shares[at, list(each)] = 1 / len(each)
    return GroundedWords(regions.view(shape), torch.tensor([at for at, _ in spoken], dtype=torch.int64), shares)
