"""Batches in a fixed order, made ahead of time in worker processes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch.utils.data import DataLoader, Dataset

from pumice.errors import PumiceError

#: Batches whose rows are sorted by length together: less padding, while the order stays close to random.
WINDOW = 8


def order(count: int, epoch: int, seed: int) -> list[int]:
    """A shuffled ``range(count)``: a function of its arguments alone."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    shuffled: list[int] = torch.randperm(count, generator=generator).tolist()
    return shuffled


class RowSource(Protocol):
    """Training data as rows: row ``index`` is the same each time."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Any: ...

    def size(self, index: int) -> int:
        """About how long row ``index`` is beside the others, without making it; rows alike are put into a batch."""


@runtime_checkable
class Mixture(RowSource, Protocol):
    """A source whose rows change from epoch to epoch, while their number stays."""

    def epoch(self, number: int, seed: int) -> RowSource:
        """The rows of one epoch: a function of its arguments alone."""


@dataclass(frozen=True)
class _Windows(Dataset[list[Any] | PumiceError]):
    """Item ``i`` is window ``i`` of an epoch: its batches, of which short and long ones come in turn."""

    source: RowSource
    indices: list[int]
    which: Order
    collate: Callable[[Sequence[Any]], Any]

    def __len__(self) -> int:
        return math.ceil(len(self.indices) // self.which.together / WINDOW)

    def __getitem__(self, window: int) -> list[Any] | PumiceError:
        try:
            return self._made(window)
        except PumiceError as error:
            return error  # raised by ``batches``: a worker process would bury it in a traceback

    def _made(self, window: int) -> list[Any]:
        """Grouped for all processes before any row is made, so that a step's rows do not depend on their number."""
        which, source = self.which, self.source
        chosen = sorted(self.indices[window * WINDOW * which.together :][: WINDOW * which.together], key=source.size)
        groups = [chosen[at : at + which.together] for at in range(0, len(chosen), which.together)]
        return [
            self.collate([source[index] for index in groups[place][which.part :: which.parts]])
            for place in order(len(groups), window + 1, which.seed)
        ]


@dataclass(frozen=True)
class Order:
    """Which rows, in which order, how many together.

    part, parts: of every ``batch * parts`` rows of a step this process takes each ``parts``-th, beginning at ``part``.
    together: rows of one step, of all processes.
    """

    batch: int
    epoch: int
    seed: int
    part: int = 0
    parts: int = 1

    @property
    def together(self) -> int:
        return self.batch * self.parts

    def indices(self, count: int) -> list[int]:
        """The rows of all processes in full steps, out of ``count``."""
        return order(count, self.epoch, self.seed)[: count // self.together * self.together]


def batches(
    source: RowSource,
    which: Order,
    collate: Callable[[Sequence[Any]], Any],
    *,
    skip: int = 0,
    workers: int = 0,
) -> Iterator[Any]:
    """The epoch's full batches, the first ``skip`` left out; a rest smaller than a batch waits for another epoch.

    workers: processes that prepare batches while the model works; 0 prepares them in between. A thread would not
    do: it takes the interpreter away from the many small calls of a training step.
    """
    if isinstance(source, Mixture):
        source = source.epoch(which.epoch, which.seed)
    windows = _Windows(source, which.indices(len(source)), which, collate)
    wanted = range(skip // WINDOW, len(windows))
    loader = DataLoader(windows, batch_size=None, sampler=wanted, num_workers=workers)
    skip %= WINDOW
    for made in loader:
        if isinstance(made, PumiceError):
            raise made
        yield from made[skip:]
        skip = 0
