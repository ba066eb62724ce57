"""Several processes learn what one would: real ones, started by torchrun."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import torch

from pumice.train.loader import Order, batches, order
from pumice.train.ranks import ALONE
from train import small
from train.warm import Nursery

# Each of two processes works on its share of a step, in portions; the first compares with all of it done alone.
HALVES = """
import copy, sys, torch
from pathlib import Path
from pumice.data.batch import collate
from pumice.train.portions import portion
from pumice.train.ranks import ALONE, join_ranks, leave_ranks
from pumice.train.step import take_step
from train import small

torch.set_num_threads(1)
ranks = join_ranks()
rows = small.rows(9)
words = [row for row in rows if not row.tiles]
pictures = [row for row in rows if row.tiles]
# Of different sizes, for what counts is the number of predictions; with pictures in one process alone; in none; and
# with nothing left to do in one.
for shares in ((rows[:2], rows[2:]), (words, pictures), (words[:1], words[1:]), ([None, None], rows), ([], pictures)):
    for how in ({}, {"micro": 1}, {"pack": 64}):
        task, optimizer = small.prepared(small.recipe(Path("unused")))
        alone, lonely = small.prepared(small.recipe(Path("unused")), copy.deepcopy(task.model))
        mine = take_step(task, optimizer, portion(collate, shares[ranks.index], **how).batches, 1.0, 1.0, ranks)
        together = [row for share in shares for row in share if row is not None]
        whole = take_step(alone, lonely, [collate(together)], 1.0, 1.0, ALONE)
        assert mine.count == whole.count and mine.accuracy == whole.accuracy and mine.applied
        assert abs(mine.loss - whole.loss) < 1e-6, (mine.loss, whole.loss)
        # Gradients, not weights: Adam takes the signs of gradients for its first steps, however small these are.
        for (name, one), other in zip(task.named_parameters(), alone.parameters(), strict=True):
            assert (one.grad is None) == (other.grad is None), name
            if one.grad is not None:
                torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-6, msg=lambda m: f"{name}: {m}")
# The projector alone learns, and one process has words alone, or both have.
for shares in ((words, pictures), (words[:1], words[1:])):
    task, optimizer = small.prepared(small.recipe(Path("unused"), parts={"connector": 1e-3}))
    alone, lonely = small.prepared(small.recipe(Path("unused"), parts={"connector": 1e-3}))
    mine = take_step(task, optimizer, portion(collate, shares[ranks.index]).batches, 1.0, 1.0, ranks)
    whole = take_step(alone, lonely, [collate(shares[0]), collate(shares[1])], 1.0, 1.0, ALONE)
    assert abs(mine.gradient_norm - whole.gradient_norm) < 1e-5, (mine, whole)
nothing = take_step(task, optimizer, [], 1.0, 1.0, ranks)
assert not nothing.applied and nothing.count == 0
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


class Numbers:
    """Row ``i`` is ``i``."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> int:
        return index

    def size(self, index: int) -> int:
        return index * 37 % 11


@pytest.mark.slow
def test_two_halves_make_a_whole(tmp_path: Path, warm: Nursery) -> None:
    script = tmp_path / "halves.py"
    script.write_text(HALVES)
    warm.run(str(script), processes=2)


@pytest.mark.slow
def test_a_recipe_in_two_processes(tmp_path: Path, warm: Nursery) -> None:
    """As torchrun starts them. One log, one state, one model; what is not shared evenly is refused."""
    recipe = tmp_path / "recipe.toml"
    folder = tmp_path / "run"
    recipe.write_text(RECIPE.format(folder=folder))
    done = small.torchrun("-m", "pumice", "train", str(recipe))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(folder / "model")]
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert small.state_of(folder)["step"] == 3
    assert (folder / "model" / "pumice.json").is_file()

    refused = warm.start(
        "-m", "pumice", "train", str(recipe), "--set", "batch=3", "--set", f"output={tmp_path / 'no'}", processes=2
    )
    assert 0 not in refused.wait()
    assert "2 processes cannot share a batch of 3 rows evenly" in refused.text()


@pytest.mark.parametrize(("count", "batch", "parts"), [(13, 2, 2), (24, 3, 4), (90, 2, 3)])
def test_processes_take_different_rows(count: int, batch: int, parts: int) -> None:
    """Of every step, which has the same rows for any number of processes."""
    source = Numbers(count)
    whole = count // (batch * parts) * batch * parts
    shares = [list(batches(source, Order(batch, 1, 5, part, parts), list)) for part in range(parts)]
    steps = [sorted(itertools.chain(*each)) for each in zip(*shares, strict=True)]
    assert all(len(each) == batch * parts for each in steps)
    assert sorted(itertools.chain(*steps)) == sorted(order(count, 1, 5)[:whole])
    assert steps == [sorted(each) for each in batches(source, Order(batch * parts, 1, 5), list)]


def test_alone_nothing_changes() -> None:
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.grad = torch.full((2,), 3.0)
    ALONE.wait()
    ALONE.add_gradients([parameter])
    assert ALONE.first and ALONE.total([7, 8]) == [7, 8] and ALONE.most(3) == 3
    assert parameter.grad.tolist() == [3.0, 3.0]
