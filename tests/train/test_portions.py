"""A step in portions: the same step, whatever learns; and what is not there is counted, not trained on."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch

import tiny
from pumice.data.batch import collate
from pumice.data.packing import Row
from pumice.train.loader import Order, batches
from pumice.train.patches import PatchReader, PatchRows
from pumice.train.portions import portion
from pumice.train.recipe import WorldData
from pumice.train.step import take_step
from train import small


@pytest.mark.parametrize("how", [{"micro": 1}, {"micro": 2}, {"micro": 5}, {"pack": 60}, {"pack": 4000}])
def test_loss_and_gradients_do_not_depend_on_portions(how: dict[str, int]) -> None:
    rows = small.rows(5)
    found = []
    for each in (portion(collate, rows, **how), portion(collate, rows)):
        task, optimizer = small.prepared(small.recipe(Path("unused")))
        metrics = take_step(task, optimizer, each.batches, 1.0, 1e9)
        found.append((metrics, [p.grad for p in task.parameters()]))
    (one, mine), (other, theirs) = found
    assert one.loss == pytest.approx(other.loss, abs=1e-6) and one.accuracy == other.accuracy
    assert one.count == other.count == sum(len(row.targets) for row in rows)
    assert one.gradient_norm == pytest.approx(other.gradient_norm, rel=1e-5)
    for a, b in zip(mine, theirs, strict=True):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_patches_in_portions() -> None:
    """A loss of three kinds, each divided by its own number."""
    how = tiny.processor().preprocessing
    assert how is not None
    data = WorldData(task="patches", scenes=5, sizes=(96,))
    rows = [PatchRows(data, how, data.sizes)[index] for index in range(5)]
    losses, gradients = [], []
    for micro in (0, 1, 2):
        vision = tiny.model().vision
        assert vision is not None
        torch.manual_seed(3)
        reader = PatchReader(vision)
        optimizer = torch.optim.SGD([{"params": list(reader.parameters()), "peak": 0.1, "lr": 0.1}])
        losses.append(take_step(reader, optimizer, portion(reader.collate, rows, micro=micro).batches, 1.0, 1e9).loss)
        gradients.append([p.grad.clone() for p in reader.parameters() if p.grad is not None])
    assert losses == [pytest.approx(losses[0], rel=1e-6)] * 3
    for mine in gradients[1:]:
        for one, other in zip(mine, gradients[0], strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@dataclasses.dataclass(frozen=True)
class Gaps:
    """Rows of which every third does not fit, and every fourth lost a turn."""

    rows: list[Row]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Row | None:
        return None if index % 3 == 0 else dataclasses.replace(self.rows[index], cut=2 * (index % 4 == 0))

    def size(self, index: int) -> int:
        return len(self.rows[index].ids)


def test_what_was_dropped_or_cut_is_counted(tmp_path: Path) -> None:
    source = Gaps(small.rows(12))
    task, optimizer = small.prepared(small.recipe(tmp_path))
    log = [json.loads(line) for line in small.run_steps(task, optimizer, source, small.recipe(tmp_path, batch=4))]
    assert (log[-1]["dropped"], log[-1]["cut"], log[-1]["skipped"]) == (4, 2, 0)
    steps = list(batches(source, Order(4, 0, 0), lambda rows: portion(collate, rows)))
    assert sum(each.rows for each in steps) == 8 and all(each.rows + each.dropped == 4 for each in steps)


@pytest.mark.parametrize("how", [{}, {"micro": 1}, {"pack": 50}])
def test_a_step_without_anything_to_learn(tmp_path: Path, how: dict[str, int]) -> None:
    """It is skipped and counted; its loss is nothing, not 0."""

    class Nothing(Gaps):
        def __getitem__(self, index: int) -> Row | None:
            return None

    recipe = small.recipe(tmp_path, batch=4, **how)
    task, optimizer = small.prepared(recipe)
    before = {name: tensor.clone() for name, tensor in task.state_dict().items()}
    log = [json.loads(line) for line in small.run_steps(task, optimizer, Nothing(small.rows(4)), recipe)]
    assert log[0]["loss"] is None and (log[0]["dropped"], log[0]["skipped"]) == (4, 1)
    assert all(torch.equal(tensor, before[name]) for name, tensor in task.state_dict().items())
    assert math.isnan(take_step(task, optimizer, [], 1.0, 1.0).loss)


@pytest.mark.parametrize("how", [{"pack": 64}, {"micro": 1}])
@pytest.mark.parametrize("stop", [1, 4])
def test_portions_resume_exactly(tmp_path: Path, how: dict[str, int], stop: int) -> None:
    source = small.Rows(small.rows(12))
    recipe = small.recipe(tmp_path / "parts", batch=4, epochs=2, save_every=1, **how)
    task, optimizer = small.prepared(recipe)
    lines = small.run_steps(task, optimizer, source, recipe)
    for _ in range(stop):
        next(lines)
    lines.close()
    small.run(recipe, source)
    whole = small.recipe(tmp_path / "whole", batch=4, epochs=2, **how)
    small.run(whole, source)
    one, other = (small.state_of(each.output) for each in (recipe, whole))
    assert one["step"] == 6
    small.assert_same(one, other)


def test_a_run_may_go_on_in_other_portions(tmp_path: Path) -> None:
    """Memory ran out: fewer rows at a time from here on."""
    source = small.Rows(small.rows(8))
    task, optimizer = small.prepared(small.recipe(tmp_path))
    lines = small.run_steps(task, optimizer, source, small.recipe(tmp_path, batch=4, epochs=2, save_every=1))
    next(lines)
    lines.close()
    rest, _ = small.run(small.recipe(tmp_path, batch=4, epochs=2, save_every=1, micro=1), source)
    assert [json.loads(line)["step"] for line in rest] == [2, 3, 4]
