"""What a run needs to go on as if it had never stopped: a folder for each saved step, complete or not there.

Tensors are stored by their names with ``torch.distributed.checkpoint``: any number of processes reads what any other
number has written, whether weights are spread or not.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from pumice.errors import ModelError, UsageError
from pumice.train.ranks import ALONE, Ranks
from pumice.train.sharding import gathered

STATES = "states"
PROGRESS = "progress.json"
#: Fields of a recipe that may change between a run and its continuation.
UNIMPORTANT = {
    *("threads", "workers", "log_every", "save_every", "keep_states", "held_out", "trackers", "peak_flops"),
    *("micro", "pack", "recompute", "compile", "keep_features", "device", "shard"),
}
_SAMPLES = 64  # numbers of a frozen tensor by which it is recognised
_WEIGHT, _MOMENT = "weight", "moment"


@dataclass(frozen=True)
class Progress:
    """``step`` optimisation steps are done. recipe: what made them, as JSON. frozen: ``fingerprint`` of the rest."""

    step: int
    recipe: str
    frozen: str


def save_state(
    folder: Path,
    task: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    *,
    keep: int = 1,
    ranks: Ranks = ALONE,
) -> None:
    """Write to a temporary folder, flush it to the disk, then rename: a kill leaves the old states or the new one too.

    Of the model only what learns is kept; what is frozen comes from where the run began. Every process must call this.
    keep: how many states stay; older ones are deleted. Raises: ModelError if it cannot be written.
    """
    states = folder / STATES
    target = states / f"step-{progress.step:08d}"
    fresh = states / f".{target.name}.new"
    if ranks.first:
        states.mkdir(parents=True, exist_ok=True)
        for rest in states.glob(".*"):  # of a process that was killed
            shutil.rmtree(rest)
    ranks.wait()
    try:
        with _quiet():
            writer = FileSystemWriter(fresh, sync_files=True)
            save(_tensors(task, optimizer), storage_writer=writer, no_dist=ranks.count == 1)
    except CheckpointException as error:
        cause = next(iter(error.failures.values()))[0]
        raise ModelError(f"cannot write {fresh}: {cause}", hint="make room on the disk and start again") from error
    if ranks.first:
        _write(fresh / PROGRESS, json.dumps(asdict(progress)))
        fresh.replace(target)
        _sync(states)
        for old in _states(folder)[:-keep]:
            _remove(old)
    ranks.wait()


def load_state(
    folder: Path, task: nn.Module, optimizer: torch.optim.Optimizer, now: Progress, *, ranks: Ranks = ALONE
) -> int:
    """Fill ``task`` and ``optimizer`` from the last state in ``folder``; returns its steps, 0 if there is no state.

    now: the present recipe and frozen weights. Every process must call this.
    Raises: ModelError for a damaged state, UsageError for one of another recipe or upon other frozen weights.
    """
    found = _states(folder)
    if not found:
        return 0
    path = found[-1]
    try:
        then = Progress(**json.loads((path / PROGRESS).read_text(encoding="utf-8")))
        stored = FileSystemReader(path).read_metadata().state_dict_metadata
    except Exception as error:  # of several libraries, each with kinds of its own
        raise _damaged(path) from error
    if _what_matters(then.recipe) != _what_matters(now.recipe):
        raise UsageError(f"{path} was made with another recipe", hint="choose another output, or delete the state")
    weights = {name for name in stored if name.startswith(f"{_WEIGHT}:")}
    if weights != {f"{_WEIGHT}:{name}" for name in _learning(task)} or then.frozen != now.frozen:
        raise UsageError(
            f"{path} belongs to other starting weights than the recipe's start has now",
            hint="restore what the run began with, choose another output, or delete the state",
        )
    _make_room(task, optimizer, stored)
    try:
        with _quiet():
            load(_tensors(task, optimizer), storage_reader=FileSystemReader(path), no_dist=ranks.count == 1)
    except (Exception, CheckpointException) as error:  # as above
        raise _damaged(path) from error
    return then.step


@contextmanager
def _quiet() -> Iterator[None]:
    """One process alone is no reason for a warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield


def _damaged(path: Path) -> ModelError:
    return ModelError(f"{path} is damaged", hint="delete it to go on from an earlier state, or to start again")


def _states(folder: Path) -> list[Path]:
    """Complete states, the last one at the end."""
    return sorted((folder / STATES).glob("step-*"))


def _tensors(task: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Everything that changes, by name, where it is."""
    found = {f"{_WEIGHT}:{name}": tensor for name, tensor in _learning(task).items()}
    for name, parameter in task.named_parameters():
        for kind, moment in optimizer.state.get(parameter, {}).items():
            found[f"{_MOMENT}:{name}:{kind}"] = moment
    return found


def _make_room(task: nn.Module, optimizer: torch.optim.Optimizer, stored: Mapping[str, object]) -> None:
    """Give the optimizer the moments that are stored, still empty."""
    parameters = dict(task.named_parameters())
    for entry, what in stored.items():
        sort, name, *kind = entry.split(":")
        if sort == _MOMENT and isinstance(what, TensorStorageMetadata):
            parameter = parameters[name]
            like = what.size == parameter.shape
            moment = torch.zeros_like(parameter) if like else torch.zeros(what.size, device=parameter.device)
            optimizer.state[parameter][kind[0]] = moment.detach()


def _learning(task: nn.Module) -> dict[str, Tensor]:
    """The tensors of ``task`` that are not frozen."""
    frozen = {name for name, p in task.named_parameters(remove_duplicate=False) if not p.requires_grad}
    return {name: tensor for name, tensor in task.state_dict().items() if name not in frozen}


def fingerprint(task: nn.Module) -> str:
    """A few numbers of every frozen tensor, hashed: enough to notice a start that was trained or replaced since.

    Every process must call this.
    """
    mark = hashlib.sha256()
    for name, tensor in _frozen(task):
        whole = gathered(tensor)
        some = whole.detach().flatten()[:: max(1, whole.numel() // _SAMPLES)].cpu().float()
        mark.update(f"{name} {tuple(whole.shape)}".encode())
        mark.update(some.numpy().tobytes())
    return mark.hexdigest()


def _frozen(task: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Frozen weights, and buffers that no state dict has, such as integers below adapters."""
    kept = task.state_dict().keys()
    yield from ((name, p) for name, p in task.named_parameters() if not p.requires_grad)
    yield from ((name, buffer) for name, buffer in task.named_buffers() if name not in kept)


def _what_matters(recipe: str) -> dict[str, object]:
    """The recipe without the fields that do not change what is learned."""
    values: dict[str, object] = json.loads(recipe)
    return {name: value for name, value in values.items() if name not in UNIMPORTANT}


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Let a rename in ``folder`` reach the disk, where the system can."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _remove(folder: Path) -> None:
    """Out of sight first: half of a state must not be taken for one."""
    hidden = folder.with_name(f".{folder.name}.old")
    folder.replace(hidden)
    shutil.rmtree(hidden)
