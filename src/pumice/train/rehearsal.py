"""One training step without arithmetic: tensors have shapes and no contents, and what would be held is added up.

This is the real step, so the sum includes whatever it does: what is frozen, what is kept for the way back, masks.
What it cannot see is outside PyTorch's tensors: the interpreter and libraries, and what the allocator leaves unused.
The last is guessed, from measurements.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from pumice.train.step import Movable, Task, take_step

_ATEN = torch.ops.aten
#: Larger pieces are the system's, and go back to it as soon as they are free (glibc, DEFAULT_MMAP_THRESHOLD_MAX).
_MAPPED = 32 << 20
#: What the C library's allocator holds for each byte of smaller tensors that come and go: measured, docs/training.md.
_SPREAD = 1.6


@dataclass(frozen=True)
class Rehearsal:
    """Bytes. peak: held at once, of which are weights, gradients, moments (with averages) of the optimizer, and the
    batch. gaps: what the allocator of a CPU's memory holds beside them.
    """

    peak: int
    weights: int
    gradients: int
    moments: int
    batch: int
    gaps: int

    @property
    def activations(self) -> int:
        """What is left of the peak: kept for the way back, and passing."""
        return max(0, self.peak - self.weights - self.gradients - self.moments - self.batch)


def shapes_only() -> FakeTensorMode:
    """Within this context tensors have shapes and no contents, so a model of any size can be built."""
    return FakeTensorMode(allow_non_fake_inputs=True)


def rehearse(
    shapes: FakeTensorMode,
    task: Task,
    optimizer: torch.optim.Optimizer,
    batches: Sequence[Movable],
    clip: float,
    dtype: torch.dtype,
) -> Rehearsal:
    """Train ``task``, built within ``shapes``, on the real ``batches`` of a step; see ``take_step``."""
    assert isinstance(task, nn.Module)
    seen, held = list(tensors_in(batches)), _Held()
    with shapes, held:
        for tensor in (*task.parameters(), *task.buffers(), *seen):
            held.add(tensor)
        held.settle((*task.parameters(), *task.buffers(), *seen))
        weights = held.now - sum(tensor.nbytes for tensor in seen)
        learning = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        for parameter in learning:
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()  # the largest step is one that finds moments
        moments = [each for state in optimizer.state.values() for each in tensors_in(tuple(state.values()))]
        held.settle(moments)
        take_step(task, optimizer, batches, 1.0, clip, dtype=dtype)
    return Rehearsal(
        peak=held.peak,
        weights=weights,
        gradients=sum(parameter.nbytes for parameter in learning),
        moments=sum(moment.nbytes for moment in moments),
        batch=sum(tensor.nbytes for tensor in seen),
        gaps=held.spread - held.peak,
    )


def tensors_in(value: object) -> Iterator[Tensor]:
    """All tensors in a batch, however deep."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from tensors_in(each)
    elif is_dataclass(value):
        for field in fields(value):
            yield from tensors_in(getattr(value, field.name))


@dataclass
class _Piece:
    size: int
    passing: int  # its size, if it comes and goes among other small ones


class _Held(TorchDispatchMode):
    """Adds up the storages that are alive. spread: the peak with what the allocator holds between them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = self.spread = self._passing = 0
        self._known = WeakIdKeyDictionary()

    def add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage in self._known:
            return
        size = storage.nbytes()
        self._known[storage] = piece = _Piece(size, size if size < _MAPPED else 0)
        weakref.finalize(storage, self._release, piece)
        self.now += size
        self._passing += piece.passing
        self.peak = max(self.peak, self.now)
        self.spread = max(self.spread, self.now + int((_SPREAD - 1) * self._passing))

    def settle(self, tensors: Iterable[Tensor]) -> None:
        """These stay, and leave no gaps."""
        for tensor in tensors:
            piece = self._known.get(tensor.untyped_storage())
            if piece is not None:
                self._passing -= piece.passing
                piece.passing = 0

    def _release(self, piece: _Piece) -> None:
        self.now -= piece.size
        self._passing -= piece.passing

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = _answered(func, args)
        if made is None:
            made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, Tensor):
                self.add(leaf)
        return made


def _answered(func: Any, args: Any) -> Any:
    """What depends on contents, which are not there, is made up; None for everything else."""
    if func is _ATEN._local_scalar_dense.default:
        # A step without predictions would not be applied, so there are some.
        return {torch.bool: True}.get(args[0].dtype, 1.0 if args[0].is_floating_point() else 1)
    if func is _ATEN.index.Tensor and args[1][0] is not None and args[1][0].dtype == torch.bool:
        values, chosen = args[0], args[1][0]  # as if all were chosen: there cannot be more
        return values.flatten(0, chosen.ndim - 1).clone()
    return None
