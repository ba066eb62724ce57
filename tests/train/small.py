"""A small training run, for several tests and for processes that are killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

import tiny
from pumice.checkpoint.save import save_checkpoint
from pumice.data.packing import Row, pack
from pumice.model.llava import Llava
from pumice.train.loop import run_steps
from pumice.train.parts import choose_parts
from pumice.train.recipe import FileData, LoraShape, Recipe, Start
from pumice.train.starting import adapt
from pumice.train.state import PROGRESS, STATES
from pumice.train.step import InstructionTuning

LORA = {
    "lora": {"language": LoraShape(rank=4, alpha=8, dropout=0.2), "vision": LoraShape(rank=2, alpha=3, dropout=0.1)}
}
ANSWERS = ("A red cup.", "Two dice.", "Seven.", "The sky.")


@dataclass(frozen=True)
class Rows:
    """Rows in memory, handed out after ``pause`` seconds."""

    rows: list[Row]
    pause: float = 0.0

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Row:
        time.sleep(self.pause)
        return self.rows[index]

    def size(self, index: int) -> int:
        return len(self.rows[index].ids)


def rows(count: int) -> list[Row]:
    """Questions of different lengths about different pictures, every third without one."""
    read, made = tiny.processor(), []
    for number in range(count):
        seeds = () if number % 3 == 2 else (number,)
        asked = tiny.question("Sky? " * (1 + number % 4), *seeds)
        made.append(pack([read(asked.then_answer(ANSWERS[number % len(ANSWERS)]))]))
    return made


def recipe(output: Path, **changes: Any) -> Recipe:
    values: dict[str, Any] = {
        "output": output,
        "start": Start(folder=Path("in-memory")),
        "template": "vicuna_v1",
        "parts": {"vision": 1e-3, "connector": 3e-3, "language": 1e-3},
        "files": FileData(records=Path("r.json"), images=Path("i")),
        "batch": 2,
        "weight_decay": 0.1,
        "log_every": 1,
        "workers": 0,
    }
    return Recipe(**{**values, **changes})


def prepared(how: Recipe, model: Llava | None = None) -> tuple[InstructionTuning, torch.optim.Optimizer]:
    """A task and its optimizer, as ``pumice.train.run`` makes them."""
    made = (model or tiny.model()).train()
    adapt(made, how)
    task = InstructionTuning(made)
    groups = choose_parts(task, task.model, dict(how.parts), how.weight_decay)
    return task, torch.optim.AdamW(groups, betas=(0.9, how.beta2), fused=True)


def states(folder: Path) -> list[Path]:
    """The folders of saved steps, the last one at the end."""
    return sorted((folder / STATES).glob("step-*"))


def state_of(folder: Path) -> dict[str, Any]:
    """The last saved step: its number, and its tensors by name."""
    last = states(folder)[-1]
    flat = folder / "state.pt"
    dcp_to_torch_save(last, flat)
    tensors: dict[str, Tensor] = torch.load(flat, weights_only=True)
    return {**json.loads((last / PROGRESS).read_text()), "tensors": tensors}


def assert_same(first: dict[str, Any], second: dict[str, Any]) -> None:
    """Every bit of two states."""
    assert first["step"] == second["step"]
    assert first["tensors"].keys() == second["tensors"].keys()
    assert any(name.startswith("moment:") for name in first["tensors"])
    for name, tensor in first["tensors"].items():
        assert torch.equal(tensor, second["tensors"][name]), name


def run(how: Recipe, source: Rows) -> tuple[list[str], InstructionTuning]:
    """Train to the end; the log lines and what was trained."""
    task, optimizer = prepared(how)
    return list(run_steps(task, optimizer, source, how)), task


def environment() -> dict[str, str]:
    """With one thread each, and the tests' modules at hand."""
    paths = [str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def torchrun(*words: str) -> subprocess.CompletedProcess[str]:
    """Two processes, to their end. Without a port of its own two runs at a time would meet."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *words]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=240, check=False)


#: A recipe about scenes for the model of ``checkpoint``.
RECIPE = """
output = "{folder}/run"
template = "plain"
batch = 4
log_every = 1
workers = 0
[start]
folder = "{folder}/start"
[parts]
vision = 1e-3
connector = 1e-3
language = 1e-3
[world]
task = "caption"
scenes = 13
sizes = [96]
[held_out]
every = 2
rows = 4
samples = 1
tokens = 8
"""


def written(folder: Path) -> Path:
    """A small model in ``folder`` and a recipe that trains it; returns the recipe."""
    save_checkpoint(tiny.model(newline=False), tiny.processor(), folder / "start")
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(folder=folder), encoding="utf-8")
    return path
