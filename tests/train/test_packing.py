"""Rows of different samples joined into one: the same loss and gradients, and no sample sees another."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import tiny
from pumice.data.batch import Batch, collate
from pumice.data.packing import Row, fill, pack
from pumice.model.language import View
from pumice.model.llava import Llava
from pumice.train.grounding import GroundedHeads, ground
from pumice.train.loader import Order, batches
from pumice.train.portions import portion
from pumice.train.rehearsal import tensors_in
from pumice.train.step import Counts, InstructionTuning
from pumice.world.draw import draw_scene
from pumice.world.scene import make_scene
from train import small

WORDS = ("What is in the picture?", "Sky?", "How many dice are there, please?")
ANSWERS = ("A red cup.", "Two dice; they add up to seven.", "0.35")


def row(seed: int | None, tails: Sequence[int]) -> Row:
    """One row of as many conversations as ``tails``, about the picture of ``seed`` if there is one."""
    seeds = () if seed is None else (seed,)
    talks = [tiny.question(WORDS[each], *seeds).then_answer(ANSWERS[each]) for each in tails]
    return pack([tiny.processor()(each) for each in talks])


ROWS = st.lists(
    st.builds(row, st.sampled_from([None, 1, 2]), st.lists(st.integers(0, 2), min_size=1, max_size=3)),
    min_size=1,
    max_size=5,
)


def whole(task: InstructionTuning, parts: Sequence[Batch]) -> tuple[float, dict[str, Tensor]]:
    """Loss and gradients of a step of these batches."""
    task.zero_grad()
    counts = Counts(*(sum(each) for each in zip(*(task.counts(batch) for batch in parts), strict=True)))
    loss = 0.0
    for batch in parts:
        value = task.loss(batch, counts).value
        value.backward()  # type: ignore[no-untyped-call]
        loss += float(value.detach())
    return loss, {name: p.grad.clone() for name, p in task.named_parameters() if p.grad is not None}


def assert_same(task: InstructionTuning, first: Sequence[Batch], second: Sequence[Batch]) -> None:
    (one, mine), (other, theirs) = whole(task, first), whole(task, second)
    assert one == pytest.approx(other, abs=1e-6, rel=1e-6)
    assert mine.keys() == theirs.keys()
    for name, gradient in theirs.items():
        scale = max(1.0, float(gradient.abs().max()))
        torch.testing.assert_close(mine[name], gradient, rtol=0, atol=1e-5 * scale, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("window", [None, 12])
@settings(deadline=None, max_examples=12)
@given(rows=ROWS, capacity=st.integers(1, 300))
def test_packed_is_unpacked(window: int | None, rows: list[Row], capacity: int) -> None:
    """Of any rows, with several conversations in them or one, with pictures or none: every gradient within 1e-5."""
    task = InstructionTuning(tiny.model(speak=tiny.language(sliding_window=window)))
    packed = portion(collate, rows, pack=capacity).batches
    assert sum(batch.rows for batch in packed) == len(rows)
    assert_same(task, packed, [collate([each]) for each in rows])


@settings(deadline=None, max_examples=12)
@given(rows=ROWS, micro=st.integers(1, 6))
def test_micro_batches_are_the_whole(rows: list[Row], micro: int) -> None:
    task = InstructionTuning(tiny.model())
    assert_same(task, portion(collate, rows, micro=micro).batches, [collate(rows)])


def logits(model: Llava, batch: Batch) -> Tensor:
    """[L, V] of a joined row."""
    with torch.inference_mode():
        seen = model.features(batch.tiles, batch.grids) if batch.tiles else None
        hidden = model(batch.ids, seen, positions=batch.positions, mask=batch.mask(), blocks=batch.blocks())
        return model.language.logits(hidden)[0]


@settings(deadline=None, max_examples=15)
@given(rows=ROWS, data=st.data())
def test_samples_do_not_see_one_another(rows: list[Row], data: st.DataObject) -> None:
    """Other words and another picture in one sample of a pack change no bit of the others' logits."""
    model = tiny.model()
    changed = data.draw(st.integers(0, len(rows) - 1))
    old = rows[changed]
    token = data.draw(st.integers(3, tiny.VOCABULARY - 1))
    new = dataclasses.replace(
        old, ids=tuple(each if each < 0 else token for each in old.ids), tiles=tuple(tile + 1.0 for tile in old.tiles)
    )
    first = collate(rows, joined=True)
    second = collate([new if at == changed else each for at, each in enumerate(rows)], joined=True)
    before, after = logits(model, first).split(first.lengths), logits(model, second).split(first.lengths)
    for at, (one, other) in enumerate(zip(before, after, strict=True)):
        assert torch.equal(one, other) == (at != changed)


def test_blocks_say_what_a_mask_says() -> None:
    model = tiny.model()
    batch = collate([row(1, [0, 1]), row(None, [2]), row(2, [1])], joined=True)
    blocks = batch.blocks()
    assert batch.mask() is None and blocks is not None
    assert [mask is None for _, mask in blocks] == [False, True, True]
    view = View(model.config.language, batch.positions, None, None, torch.float32, blocks)
    seen = model.features(batch.tiles, batch.grids)
    by_mask = model(batch.ids, seen, positions=batch.positions, mask=view.whole_mask())
    by_blocks = model(batch.ids, seen, positions=batch.positions, blocks=blocks)
    torch.testing.assert_close(by_blocks, by_mask, rtol=0, atol=1e-5)
    ends = torch.tensor(batch.lengths).cumsum(0)
    sample = torch.bucketize(torch.arange(int(ends[-1])), ends, right=True)
    assert not view.whole_mask()[0, 0][sample[:, None] != sample[None]].any()


def test_plain_rows_need_no_mask() -> None:
    """Nor do their paddings show, whatever the window: they stand later than everything real."""
    rows = [row(1, [0]), row(None, [1])]
    batch = collate(rows)
    assert batch.mask() is None and batch.blocks() is None
    for window in (None, 7):
        task = InstructionTuning(tiny.model(speak=tiny.language(sliding_window=window)))
        assert_same(task, [batch], [collate([each]) for each in rows])


def test_grounded_rows_can_be_packed() -> None:
    """What words speak of is found within their own sample."""
    rows = grounded(3)
    model = tiny.model()
    task = InstructionTuning(model, GroundedHeads(model.language, (0, 1)), 0.5)
    apart = [collate([each]) for each in rows]
    assert sum(task.counts(batch).others for batch in apart) > 3
    for capacity in (100, 1000):
        assert_same(task, portion(collate, rows, pack=capacity).batches, apart)


def grounded(count: int) -> list[Row]:
    """Rows about scenes of the world, of one conversation and of two."""
    read, rows = tiny.processor(), []
    for index in range(count):
        scene = make_scene("train", index)
        picture = read.see(draw_scene(scene, 96))
        name = scene.items[0].name
        talks = [
            tiny.question(f"A {name}?", index).then_answer(said) for said in ("Yes.", f"A {name}.")[: 1 + index % 2]
        ]
        rows.append(ground(pack([read.encode(each, [picture]) for each in talks]), scene, read.tokenizer))
    return rows


@pytest.mark.parametrize("joined", [False, True])
def test_nothing_waits_for_the_device(joined: bool) -> None:
    """On a device whose numbers cannot be read, all of a loss can be asked for, and gradients of the words."""
    nowhere = torch.device("meta")
    model = tiny.model()
    task = InstructionTuning(model, GroundedHeads(model.language, (0, 1)), 0.5).to(nowhere)
    batch = collate([*grounded(2), row(None, [1])], joined=joined)
    there = batch.to(nowhere)
    assert all(tensor.device == nowhere for tensor in tensors_in(there))
    assert [each.shape for each in tensors_in(there)] == [each.shape for each in tensors_in(batch)]
    assert (there.lengths, there.tailed, there.grids) == (batch.lengths, batch.tailed, batch.grids)
    assert there.tailed == (False, True, False) and batch.to(torch.device("cpu")) is batch
    assert task.loss(there, task.counts(batch)).value.device == nowhere
    task.requires_grad_(False)
    model.language.requires_grad_(True)
    found = task.loss(there, task.counts(batch))
    found.value.backward()  # type: ignore[no-untyped-call]
    assert found.right.device == nowhere and all(p.grad is not None for p in model.language.parameters())


@settings(deadline=None, max_examples=200)
@given(lengths=st.lists(st.integers(1, 60), max_size=40), capacity=st.integers(1, 60))
def test_fill(lengths: list[int], capacity: int) -> None:
    """Everything once, nothing above the capacity but what is longer alone, and no two rows that fit into one."""
    rows = fill(lengths, capacity)
    assert sorted(at for each in rows for at in each) == list(range(len(lengths)))
    totals = [sum(lengths[at] for at in each) for each in rows]
    assert all(total <= capacity or len(each) == 1 for total, each in zip(totals, rows, strict=True))
    assert all(one + other > capacity for one, other in combinations(totals, 2))
    assert rows == fill(lengths, capacity)


def test_fill_by_hand() -> None:
    assert fill([3, 9, 4, 7, 5, 2], 10) == [[1], [0, 3], [2, 4], [5]]
    assert fill([], 5) == []


def test_a_step_has_the_same_samples_packed_or_not(tmp_path: Path) -> None:
    """So packing changes how a step is computed, and nothing else of a run."""
    source = small.Rows(small.rows(20))
    apart = list(batches(source, Order(4, 1, 3), lambda rows: portion(collate, rows)))
    packed = list(batches(source, Order(4, 1, 3), lambda rows: portion(collate, rows, pack=80)))
    for one, other in zip(apart, packed, strict=True):
        assert len(one.batches) == 1 and 1 < len(other.batches) < 4 and one.rows == other.rows == 4
        assert sorted(torch.cat([b.targets for b in one.batches]).tolist()) == sorted(
            torch.cat([b.targets for b in other.batches]).tolist()
        )
    logs = []
    for name, how in (("apart", {}), ("micro", {"micro": 1}), ("packed", {"pack": 80})):
        lines, _ = small.run(small.recipe(tmp_path / name, batch=4, epochs=2, **how), source)
        logs.append([json.loads(line) for line in lines])
    for lines in zip(*logs, strict=True):
        for key in ("loss", "gradient_norm"):
            assert len({line["step"] for line in lines}) == 1
            assert max(line[key] for line in lines) - min(line[key] for line in lines) < 2e-3
