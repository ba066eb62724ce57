"""What a run needs to go on as if it had never stopped: one file, replaced in a single move."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from pumice.errors import ModelError, UsageError

FILE = "state.pt"
#: Fields of a recipe that may change between a run and its continuation.
UNIMPORTANT = {
    *("threads", "workers", "log_every", "save_every", "held_out", "trackers", "peak_flops"),
    *("micro", "pack", "recompute", "compile", "keep_features"),
}
_SAMPLES = 64  # numbers of a frozen tensor by which it is recognised


@dataclass(frozen=True)
class Progress:
    """``step`` optimisation steps are done; ``recipe`` is the recipe that made them, as JSON."""

    step: int
    recipe: str


def save_state(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
    """Write to a temporary file, flush it to the disk, then rename: a kill leaves the old state or the new one.

    Of the model only what learns is kept; what is frozen comes from where the run began.
    """
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f"{FILE}.new"
    state = {
        "model": _learning(model),
        "frozen": _fingerprint(model),
        "optimizer": optimizer.state_dict(),
        "step": progress.step,
        "recipe": progress.recipe,
    }
    with fresh.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(folder / FILE)


def load_state(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, recipe: str) -> int:
    """Fill model and optimizer from ``folder`` and return the number of steps done; 0 if there is no state.

    Raises: ModelError for a damaged state, UsageError for one of another recipe or upon other frozen weights.
    """
    path = folder / FILE
    if not path.is_file():
        return 0
    names = ("model", "frozen", "optimizer", "step", "recipe")
    try:
        state: dict[str, object] = torch.load(path, weights_only=True)
        weights, frozen, moments, step, made_with = (state[name] for name in names)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise ModelError(f"{path} is damaged", hint="delete it to start this run again") from error
    assert isinstance(weights, dict) and isinstance(moments, dict) and isinstance(step, int)
    if _what_matters(str(made_with)) != _what_matters(recipe):
        raise UsageError(f"{path} was made with another recipe", hint="choose another output, or delete the state")
    if weights.keys() != _learning(model).keys() or frozen != _fingerprint(model):
        raise UsageError(
            f"{path} belongs to other starting weights than the recipe's start has now",
            hint="restore what the run began with, choose another output, or delete the state",
        )
    model.load_state_dict(weights, strict=False)
    optimizer.load_state_dict(moments)
    return step


def _learning(model: nn.Module) -> dict[str, Tensor]:
    """The tensors of ``model`` that are not frozen."""
    frozen = {name for name, p in model.named_parameters(remove_duplicate=False) if not p.requires_grad}
    return {name: tensor for name, tensor in model.state_dict().items() if name not in frozen}


def _fingerprint(model: nn.Module) -> str:
    """A few numbers of every frozen tensor, hashed: enough to notice a start that was trained or replaced since."""
    mark = hashlib.sha256()
    for name, tensor in _frozen(model):
        step = max(1, tensor.numel() // _SAMPLES)
        some = tensor.detach().flatten()[::step].cpu().float()
        mark.update(f"{name} {tuple(tensor.shape)}".encode())
        mark.update(some.numpy().tobytes())
    return mark.hexdigest()


def _frozen(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Frozen weights, and buffers that no state dict has, such as integers below adapters."""
    kept = model.state_dict().keys()
    yield from ((name, p) for name, p in model.named_parameters() if not p.requires_grad)
    yield from ((name, buffer) for name, buffer in model.named_buffers() if name not in kept)


def _what_matters(recipe: str) -> dict[str, object]:
    """The recipe without the fields that do not change what is learned."""
    values: dict[str, object] = json.loads(recipe)
    return {name: value for name, value in values.items() if name not in UNIMPORTANT}
