"""Batches in a fixed order, made ahead of time in worker processes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch.utils.data import DataLoader, Dataset

from pumice.data.packing import Row
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


@runtime_checkable
class SizedSource(RowSource, Protocol):
    """A source that knows about how long a row is without making it.

    Then each step has the same rows however many processes there are.
    """

    def size(self, index: int) -> int: ...


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
        together = self.which.together
        chosen = self.indices[window * WINDOW * together : (window + 1) * WINDOW * together]
        groups = self._known(self.source, chosen) if isinstance(self.source, SizedSource) else self._measured(chosen)
        return [self.collate(groups[place]) for place in order(len(groups), window + 1, self.which.seed)]

    def _known(self, source: SizedSource, chosen: list[int]) -> list[list[Any]]:
        """Grouped for all processes before any row is made, then this one's rows."""
        which = self.which
        ordered = sorted(chosen, key=source.size)
        groups = [ordered[at : at + which.together] for at in range(0, len(ordered), which.together)]
        return [[source[index] for index in group[which.part :: which.parts]] for group in groups]

    def _measured(self, chosen: list[int]) -> list[list[Any]]:
        """This process's rows, made and then grouped."""
        which = self.which
        rows = sorted((self.source[index] for index in chosen[which.part :: which.parts]), key=_length)
        return [rows[at : at + which.batch] for at in range(0, len(rows), which.batch)]


@dataclass(frozen=True)
class Order:
    """Which rows, in which order, how many together.

    part, parts: of every ``batch * parts`` rows in a row this process takes each ``parts``-th, beginning at ``part``.
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


def _length(row: object) -> int:
    return len(row.ids) if isinstance(row, Row) else 0
