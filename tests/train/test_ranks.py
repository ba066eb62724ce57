"""Several processes learn what one would: real ones, started by torchrun."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pumice.train.loader import Order, order
from pumice.train.ranks import ALONE

# Each of two processes works on its half of a batch; the first compares with the whole batch done alone.
HALVES = """
import copy, sys, torch
from pathlib import Path
from pumice.data.batch import collate
from pumice.train.ranks import ALONE, join_ranks, leave_ranks
from pumice.train.step import take_step
from train import small

torch.set_num_threads(1)
ranks = join_ranks()
rows = small.rows(6)
shares = [rows[:2], rows[2:]]  # of different sizes: what counts is the number of predictions
task, optimizer = small.prepared(small.recipe(Path("unused")))
alone, lonely = small.prepared(small.recipe(Path("unused")), copy.deepcopy(task.model))
mine = take_step(task, optimizer, collate(shares[ranks.index]), 1.0, 1.0, ranks)
whole = take_step(alone, lonely, collate(rows), 1.0, 1.0, ALONE)
assert mine.count == whole.count
# Gradients, not weights: Adam's first steps are the signs of gradients, however small these are.
for one, other in zip(task.parameters(), alone.parameters(), strict=True):
    torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-7)
ranks.wait()
leave_ranks()
"""

RECIPE = """
output = "{folder}"
template = "plain"
batch = 4
log_every = 1
save_every = 2
workers = 0
[start.vision]
image_size = 28
patch_size = 14
hidden_size = 32
intermediate_size = 48
layers = 2
heads = 2
[start.language]
vocab_size = 600
hidden_size = 32
intermediate_size = 48
layers = 2
heads = 4
kv_heads = 2
[parts]
vision = 1e-3
connector = 1e-3
language = 1e-3
[world]
task = "caption"
scenes = 13
sizes = [96]
"""


def torchrun(*words: str) -> subprocess.CompletedProcess[str]:
    # Without a port of its own two runs at a time would meet.
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *words]
    paths = os.pathsep.join([str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)


def test_two_halves_make_a_whole(tmp_path: Path) -> None:
    script = tmp_path / "halves.py"
    script.write_text(HALVES)
    done = torchrun(str(script))
    assert done.returncode == 0, done.stderr


def test_a_recipe_in_two_processes(tmp_path: Path) -> None:
    """One log, one state, one model; what is not shared evenly is refused."""
    recipe = tmp_path / "recipe.toml"
    folder = tmp_path / "run"
    recipe.write_text(RECIPE.format(folder=folder))
    done = torchrun("-m", "pumice", "train", str(recipe))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(folder / "model")]
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert torch.load(folder / "state.pt", weights_only=True)["step"] == 3
    assert (folder / "model" / "pumice.json").is_file()

    refused = torchrun("-m", "pumice", "train", str(recipe), "--set", "batch=3", "--set", f"output={tmp_path / 'no'}")
    assert refused.returncode != 0
    assert "2 processes cannot share a batch of 3 rows evenly" in refused.stderr


@pytest.mark.parametrize(("count", "batch", "parts"), [(13, 2, 2), (24, 3, 4), (7, 4, 2)])
def test_processes_take_different_rows(count: int, batch: int, parts: int) -> None:
    shares = [Order(batch, 1, 5, part, parts).indices(count) for part in range(parts)]
    together = [index for rows in zip(*shares, strict=True) for index in rows]
    assert together == order(count, 1, 5)[: count // (batch * parts) * batch * parts]


def test_alone_nothing_changes() -> None:
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.grad = torch.full((2,), 3.0)
    assert ALONE.first and ALONE.average([parameter], 7) == 7
    ALONE.wait()
    assert parameter.grad.tolist() == [3.0, 3.0]
