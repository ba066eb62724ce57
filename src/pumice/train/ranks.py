"""Several processes that train one model together, started by ``torchrun``: each takes its part of every batch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

_CPU = torch.device("cpu")
#: Numbers that travel in one message: 64 MiB of float32, which hides what a message costs.
_BUCKET = 2**24


@dataclass(frozen=True)
class Ranks:
    """This process is ``index`` of ``count``; the first one writes logs, states and results.

    device: where it works. sharded: the weights of the language model are spread over all processes, so that these
    must go through it equally often (``pumice.train.sharding``).
    """

    index: int = 0
    count: int = 1
    device: torch.device = _CPU
    sharded: bool = False

    @property
    def first(self) -> bool:
        return self.index == 0

    def wait(self) -> None:
        """Return once all processes have come to this line."""
        if self.count > 1:
            distributed.barrier()

    def total(self, values: Sequence[float]) -> list[float]:
        """Each of ``values`` added up over all processes."""
        return self._reduced(values, distributed.ReduceOp.SUM)

    def most(self, value: int) -> int:
        """The largest ``value`` of all processes."""
        return int(self._reduced([value], distributed.ReduceOp.MAX)[0])

    def _reduced(self, values: Sequence[float], how: distributed.ReduceOp.RedOpType) -> list[float]:
        if self.count == 1:
            return list(values)
        together = torch.tensor(values, dtype=torch.float64)
        distributed.all_reduce(together, how)
        reduced: list[float] = together.tolist()
        return reduced

    @torch.no_grad()
    def add_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Make the gradient of each of ``parameters``, which every process holds whole, the sum over all processes.

        Every process must call this, also one that had nothing to do: without it the others would wait for ever.
        """
        if self.count == 1 or not parameters:
            return
        reached = self.total([float(parameter.grad is not None) for parameter in parameters])
        # What no process has reached, such as a tower without pictures, must not even decay: it keeps no gradient.
        taught = [parameter for parameter, some in zip(parameters, reached, strict=True) if some]
        for parameter in taught:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        for bucket in _buckets([parameter.grad for parameter in taught if parameter.grad is not None]):
            flat = torch.cat([gradient.flatten() for gradient in bucket])
            distributed.all_reduce(flat)
            for gradient, piece in zip(bucket, flat.split([each.numel() for each in bucket]), strict=True):
                gradient.copy_(piece.view_as(gradient))


def _buckets(gradients: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Neighbours of one kind that fill a message."""
    bucket: list[Tensor] = []
    for gradient in gradients:
        full = sum(each.numel() for each in bucket) + gradient.numel() > _BUCKET
        if bucket and (full or gradient.dtype != bucket[0].dtype):
            yield bucket
            bucket = []
        bucket.append(gradient)
    if bucket:
        yield bucket


ALONE = Ranks()


def join_ranks(device: torch.device = _CPU) -> Ranks:
    """Meet the processes that ``torchrun`` has started, as its environment variables say; alone without them.

    device: the kind that all work on; of several such devices in a machine each process takes its own.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return Ranks(device=device)
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    if not distributed.is_initialized():
        distributed.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    return Ranks(distributed.get_rank(), count, device)


def first_process() -> bool:
    """Whether this is the one process that speaks, before or after the others are met."""
    return os.environ.get("RANK", "0") == "0"


def leave_ranks() -> None:
    """Close what ``join_ranks`` has opened."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()
