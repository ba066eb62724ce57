"""Batches in a fixed order, made ahead of time in worker processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.utils.data import DataLoader, Dataset

from pumice.data.batch import Batch, collate
from pumice.data.packing import Row
from pumice.train.rows import RowSource

#: Batches whose rows are sorted by length together: less padding, while the order stays close to random.
WINDOW = 8


def order(count: int, epoch: int, seed: int) -> list[int]:
    """A shuffled ``range(count)``: a function of its arguments alone."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    shuffled: list[int] = torch.randperm(count, generator=generator).tolist()
    return shuffled


@dataclass(frozen=True)
class _Windows(Dataset[list[Batch]]):
    """Item ``i`` is window ``i`` of an epoch: its batches, of which short and long ones come in turn."""

    source: RowSource
    indices: list[int]
    batch: int
    seed: int

    def __len__(self) -> int:
        return -(-(len(self.indices) // self.batch) // WINDOW)

    def __getitem__(self, window: int) -> list[Batch]:
        start = window * WINDOW * self.batch
        end = min(start + WINDOW * self.batch, len(self.indices) // self.batch * self.batch)
        rows = sorted((self.source[index] for index in self.indices[start:end]), key=_length)
        groups = [rows[at : at + self.batch] for at in range(0, len(rows), self.batch)]
        return [collate(groups[place]) for place in order(len(groups), window + 1, self.seed)]


def batches(
    source: RowSource, batch: int, epoch: int, seed: int, *, skip: int = 0, workers: int = 0
) -> Iterator[Batch]:
    """The epoch's full batches, the first ``skip`` left out; a rest smaller than a batch waits for another epoch.

    workers: processes that prepare batches while the model works; 0 prepares them in between. A thread would not
    do: it takes the interpreter away from the many small calls of a training step.
    """
    windows = _Windows(source, order(len(source), epoch, seed), batch, seed)
    wanted = range(skip // WINDOW, len(windows))
    loader = DataLoader(windows, batch_size=None, sampler=wanted, num_workers=workers)
    skip %= WINDOW
    for made in loader:
        yield from made[skip:]
        skip = 0


def _length(row: Row) -> int:
    return len(row.ids)
