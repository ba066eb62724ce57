"""One step and many: what learns, what stays, how fast."""

from __future__ import annotations

import json
import math
from itertools import combinations, pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import tiny
from pumice.data.batch import Batch, collate
from pumice.images.grid import Grid
from pumice.train.initial import random_model
from pumice.train.parts import choose_parts, learns, sincos_positions
from pumice.train.recipe import LanguageShape, Start, VisionShape
from pumice.train.schedule import rate_at
from pumice.train.step import InstructionTuning, take_step
from train import small

PARTS = ("vision", "connector", "language")
SUBSETS = [subset for size in (1, 2, 3) for subset in combinations(PARTS, size)]


def weights(task: InstructionTuning) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in task.model.state_dict().items()}


def part_of(name: str) -> str:
    return "connector" if name == "image_newline" else name.partition(".")[0]


def mosaic_batch() -> Batch:
    """A row whose picture makes use of every weight, image_newline included."""
    read = tiny.processor(mode="anyres", merge="spatial_unpad")
    return collate([small.pack([read(tiny.question("Sky?", 1).then_answer("Red."))])])


@pytest.mark.parametrize("subset", SUBSETS, ids="+".join)
def test_what_is_not_named_stays_frozen(subset: tuple[str, ...]) -> None:
    how = small.recipe(Path("unused"), parts=dict.fromkeys(subset, 1e-2))
    task, optimizer = small.prepared(how)
    before = weights(task)
    assert take_step(task, optimizer, [mosaic_batch()], 1.0, 1.0).applied
    for name, tensor in weights(task).items():
        changed = not torch.equal(tensor, before[name])
        # The class token's features are dropped, and one key bias moves no attention weight.
        if not name.endswith("k_proj.bias"):
            assert changed == (part_of(name) in subset), name
    assert {name for name in PARTS if learns(getattr(task.model, name))} == set(subset)


@pytest.mark.parametrize("subset", SUBSETS, ids="+".join)
def test_groups(subset: tuple[str, ...]) -> None:
    """Every weight of the named parts once; only matrices decay; each part at its own rate."""
    rates = {part: 1e-3 * (1 + place) for place, part in enumerate(subset)}
    model = tiny.model()
    task = InstructionTuning(model)
    groups = choose_parts(task, model, rates, 0.1)  # type: ignore[arg-type]
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    seen = []
    for group in groups:
        parameters = group["params"]
        assert isinstance(parameters, list) and parameters
        for parameter in parameters:
            seen.append(names[id(parameter)])
            assert group["weight_decay"] == (0.1 if parameter.ndim >= 2 else 0.0)
            assert group["peak"] == group["lr"] == rates[part_of(seen[-1])]
            assert parameter.requires_grad
    assert sorted(seen) == sorted(name for name in names.values() if part_of(name) in subset)


def test_what_a_task_has_beside_the_model_learns_at_the_highest_rate() -> None:
    model = tiny.model()
    task = InstructionTuning(model)
    task.extra = torch.nn.Linear(2, 3)
    groups = choose_parts(task, model, {"connector": 1e-3, "language": 2e-3}, 0.1)
    extra = [group for group in groups if any(p is task.extra.weight for p in group["params"])]  # type: ignore[attr-defined]
    assert [group["peak"] for group in extra] == [2e-3]


@settings(deadline=None, max_examples=60)
@given(steps=st.integers(1, 400), warmup=st.floats(0, 0.9), final=st.floats(0, 1))
def test_the_rate_rises_then_falls(steps: int, warmup: float, final: float) -> None:
    rates = [rate_at(step, steps, warmup=warmup, final=final) for step in range(steps)]
    peak = math.ceil(warmup * steps)
    assert all(0 < rate <= 1 for rate in rates[:peak])
    assert all(a < b for a, b in pairwise(rates[:peak]))
    assert all(a >= b - 1e-12 for a, b in pairwise(rates[peak:]))
    assert all(final - 1e-12 <= rate <= 1 + 1e-12 for rate in rates[peak:])
    if steps - warmup * steps >= 1:
        assert rate_at(steps, steps, warmup=warmup, final=final) == pytest.approx(final, abs=1e-9)
    assert rates == [rate_at(step, steps, warmup=warmup, final=final) for step in range(steps)]


def test_the_rate_by_hand() -> None:
    rates = [rate_at(step, 10, warmup=0.2, final=0.1) for step in range(11)]
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert rates[6] == pytest.approx(0.1 + 0.9 * 0.5)
    assert rates[10] == pytest.approx(0.1)
    assert rate_at(0, 10, warmup=0.0, final=0.0) == 1.0


def test_a_step_moves_each_part_by_its_share_of_its_rate() -> None:
    """AdamW's first step moves each weight by about the rate, whatever the gradient."""
    how = small.recipe(Path("unused"), weight_decay=0.0, parts={"connector": 1e-3, "language": 4e-3})
    for share in (1.0, 0.25):
        task, optimizer = small.prepared(how)
        before = weights(task)
        take_step(task, optimizer, [mosaic_batch()], share, 1e9)
        after = task.model.state_dict()
        for name, rate in (("connector.layers.0.weight", 1e-3), ("language.layers.0.mlp.up_proj.weight", 4e-3)):
            moved = (after[name] - before[name]).abs()
            assert float(moved.max()) == pytest.approx(rate * share, rel=0.02)


def test_a_step_that_is_not_finite_changes_nothing() -> None:
    how = small.recipe(Path("unused"))
    task, optimizer = small.prepared(how)
    batch = collate(small.rows(2))
    assert take_step(task, optimizer, [batch], 1.0, 1.0).applied
    before, moments = (
        weights(task),
        [{name: value.clone() for name, value in state.items()} for state in optimizer.state.values()],
    )
    broken = Batch(**{**batch.__dict__, "tiles": tuple(torch.full_like(tiles, torch.nan) for tiles in batch.tiles)})
    metrics = take_step(task, optimizer, [broken], 1.0, 1.0)
    assert not metrics.applied and math.isnan(metrics.loss)
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights(task).items())
    for old, new in zip(moments, optimizer.state.values(), strict=True):
        assert all(torch.equal(old[name], new[name]) for name in old)
    assert take_step(task, optimizer, [batch], 1.0, 1.0).applied


def test_long_gradients_are_clipped() -> None:
    task, optimizer = small.prepared(small.recipe(Path("unused")))
    metrics = take_step(task, optimizer, [collate(small.rows(2))], 1.0, 0.001)
    assert metrics.gradient_norm > 0.01
    gradients = [p.grad for p in task.parameters() if p.grad is not None]
    assert float(torch.stack([g.norm() for g in gradients]).norm()) == pytest.approx(0.001, rel=1e-3)


def test_metrics_count_supervised_tokens() -> None:
    task, optimizer = small.prepared(small.recipe(Path("unused")))
    batch = collate(small.rows(3))
    with torch.no_grad():
        loss = task.loss(batch)
    metrics = take_step(task, optimizer, [batch], 1.0, 1.0)
    assert metrics.count == len(batch.targets)
    assert metrics.loss == pytest.approx(float(loss.value)) and metrics.accuracy == int(loss.right) / metrics.count


def test_a_frozen_tower_runs_without_a_graph() -> None:
    task, _ = small.prepared(small.recipe(Path("unused"), parts={"connector": 1e-3}))
    states = []
    assert task.model.vision is not None
    task.model.vision.register_forward_hook(lambda _module, _inputs, out: states.append(out.requires_grad))
    task.loss(collate(small.rows(1)))
    task.model.vision.requires_grad_(True)
    task.loss(collate(small.rows(1)))
    assert states == [False, True]


def test_ten_steps_on_two_rows(tmp_path: Path) -> None:
    """It learns them: the loss falls by far, and the log tells so."""
    how = small.recipe(tmp_path, epochs=10, parts=dict.fromkeys(PARTS, 1e-2))
    lines, task = small.run(how, small.Rows(small.rows(2)))
    log = [json.loads(line) for line in lines]
    assert [line["step"] for line in log] == list(range(1, 11))
    assert log[-1]["loss"] < 0.5 * log[0]["loss"]
    assert (tmp_path / "log.jsonl").read_text() == "".join(line + "\n" for line in lines)
    assert all(line["steps"] == 10 and line["skipped"] == 0 for line in log)
    with torch.no_grad():
        assert float(task.loss(collate(small.rows(2))).value) < log[0]["loss"]


def test_the_log_skips_what_was_not_asked_for(tmp_path: Path) -> None:
    lines, _ = small.run(small.recipe(tmp_path, epochs=7, log_every=3), small.Rows(small.rows(2)))
    assert [json.loads(line)["step"] for line in lines] == [3, 6, 7]


START = Start(
    vision=VisionShape(image_size=28, patch_size=7, hidden_size=32, intermediate_size=64, layers=2, heads=2),
    language=LanguageShape(vocab_size=50, hidden_size=32, intermediate_size=64, layers=2, heads=4, kv_heads=2),
)


def test_a_random_model_is_a_function_of_its_seed() -> None:
    first, again, other = (random_model(START, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
    model = random_model(START, 1)
    assert model.config.language.tied_embeddings and model.config.language.head_dim == 8
    assert model.vision is not None and len(model.vision.layers) == 2
    assert model.features([torch.zeros(1, 3, 28, 28)], [Grid(4)]).shape == (16, 32)


def test_positions_know_the_plane() -> None:
    """Every place is its own, and neighbours are nearer than places far apart."""
    table = sincos_positions(5, 34)
    assert table.shape == (25, 34)
    distances = torch.cdist(table, table)
    assert (distances + torch.eye(25)).min() > 0.1
    assert distances[12, 13] < distances[12, 14] and distances[12, 17] < distances[12, 22]
    assert distances[12, 13] == pytest.approx(float(distances[12, 17]), rel=1e-4)
