"""What a run needs to go on as if it had never stopped: one file, replaced in a single move."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from pumice.errors import ModelError, UsageError

FILE = "state.pt"
#: Fields of a recipe that may change between a run and its continuation.
UNIMPORTANT = {"threads", "workers", "log_every", "save_every", "held_out", "trackers", "peak_flops"}


@dataclass(frozen=True)
class Progress:
    """``step`` optimisation steps are done; ``recipe`` is the recipe that made them, as JSON."""

    step: int
    recipe: str


def save_state(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
    """Write to a temporary file, flush it to the disk, then rename: a kill leaves the old state or the new one."""
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f"{FILE}.new"
    state = {
        "model": model.state_dict(),
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
    """Fill model and optimizer from ``folder`` and return the number of steps done; 0 if there is no state."""
    path = folder / FILE
    if not path.is_file():
        return 0
    try:
        state: dict[str, object] = torch.load(path, weights_only=True)
        weights, moments, step, made_with = (state[name] for name in ("model", "optimizer", "step", "recipe"))
    except Exception as error:  # torch raises many kinds for a damaged file
        raise ModelError(f"{path} is damaged", hint="delete it to start this run again") from error
    assert isinstance(weights, dict) and isinstance(moments, dict) and isinstance(step, int)
    if _what_matters(str(made_with)) != _what_matters(recipe):
        raise UsageError(f"{path} was made with another recipe", hint="choose another output, or delete the state")
    model.load_state_dict(weights)
    optimizer.load_state_dict(moments)
    return step


def _what_matters(recipe: str) -> dict[str, object]:
    """The recipe without the fields that do not change what is learned."""
    values: dict[str, object] = json.loads(recipe)
    return {name: value for name, value in values.items() if name not in UNIMPORTANT}
