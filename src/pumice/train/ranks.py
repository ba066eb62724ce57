"""Several processes that train one model together, started by ``torchrun``: each takes its part of every batch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, distributed


@dataclass(frozen=True)
class Ranks:
    """This process is ``index`` of ``count``; the first one writes logs, states and results."""

    index: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        return self.index == 0

    def wait(self) -> None:
        """Return once all processes have come to this line."""
        if self.count > 1:
            distributed.barrier()

    @torch.no_grad()
    def add(self, parameters: Sequence[Tensor], numbers: Sequence[float]) -> list[float]:
        """Make every gradient the sum over all processes; returns the sums of ``numbers``. All travel in one message.

        Every process must call this, also one that had nothing to do: without it the others would wait for ever.
        """
        if self.count == 1:
            return list(numbers)
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        reached = torch.tensor([float(p.grad is not None) for p in parameters])
        flat = torch.cat([*(gradient.flatten() for gradient in gradients), reached, torch.tensor(numbers)])
        distributed.all_reduce(flat)
        sizes = [*(gradient.numel() for gradient in gradients), len(parameters), len(numbers)]
        *pieces, reached, sums = flat.split(sizes)
        for parameter, gradient, piece, some in zip(parameters, gradients, pieces, reached.tolist(), strict=True):
            # What no process has reached, such as a tower without pictures, must not even decay.
            parameter.grad = gradient.copy_(piece.view_as(gradient)) if some else None
        added: list[float] = sums.tolist()
        return added

    def total(self, values: Sequence[float]) -> list[float]:
        """Each of ``values`` added up over all processes."""
        if self.count == 1:
            return list(values)
        together = torch.tensor(values, dtype=torch.float64)
        distributed.all_reduce(together)
        added: list[float] = together.tolist()
        return added


ALONE = Ranks()


def join_ranks() -> Ranks:
    """Meet the processes that ``torchrun`` has started, as its environment variables say; alone without them."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return ALONE
    if not distributed.is_initialized():
        distributed.init_process_group("gloo")
    return Ranks(distributed.get_rank(), count)


def first_process() -> bool:
    """Whether this is the one process that speaks, before or after the others are met."""
    return os.environ.get("RANK", "0") == "0"


def leave_ranks() -> None:
    """Close what ``join_ranks`` has opened."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()
