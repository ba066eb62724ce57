"""The order of the data: fixed by numbers alone, whoever prepares it."""

from __future__ import annotations

import itertools
import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from pumice.data.batch import Batch, collate
from pumice.data.packing import Row
from pumice.data.records import read_records
from pumice.errors import ImageError, UsageError
from pumice.prompts.encode import IMAGE_ID
from pumice.train.loader import WINDOW, Order, batches, order
from pumice.train.patches import PatchReader, PatchRows
from pumice.train.recipe import WorldData
from pumice.train.rows import RecordRows, WorldRows
from pumice.train.step import InstructionTuning
from pumice.world.patches import CLASSES
from train import small


class Numbers:
    """Row ``i`` is ``i``."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> int:
        return index

    def size(self, index: int) -> int:
        return 0


def as_tuple(rows: Sequence[int]) -> tuple[int, ...]:
    return tuple(rows)


@settings(deadline=None, max_examples=30)
@given(count=st.integers(0, 200), epoch=st.integers(0, 5), seed=st.integers(0, 2**31))
def test_order_is_a_shuffle_and_a_function(count: int, epoch: int, seed: int) -> None:
    torch.manual_seed(seed)
    before = torch.random.get_rng_state()
    first = order(count, epoch, seed)
    assert sorted(first) == list(range(count))
    assert first == order(count, epoch, seed)
    assert torch.equal(torch.random.get_rng_state(), before)
    if count > 20:
        assert first != order(count, epoch + 1, seed) and first != order(count, epoch, seed + 1)


@settings(deadline=None, max_examples=25)
@given(count=st.integers(1, 150), batch=st.integers(1, 7), skip=st.integers(0, 40))
def test_an_epoch(count: int, batch: int, skip: int) -> None:
    """Full batches only, no row twice, and skipping leaves the rest as it was."""
    which = Order(batch, 0, 1)
    made = list(batches(Numbers(count), which, as_tuple))
    assert len(made) == count // batch and all(len(each) == batch for each in made)
    flat = list(itertools.chain(*made))
    assert len(set(flat)) == len(flat) and set(flat) <= set(range(count))
    assert list(batches(Numbers(count), which, as_tuple, skip=skip)) == made[skip:]


def test_rows_of_like_length_come_together() -> None:
    source = small.Rows([Row((1,) * n, (), (), (), (), (), ()) for n in range(1, 2 * WINDOW * 4 + 1)])
    made = list(batches(source, Order(4, 0, 0), lambda rows: [len(row.ids) for row in rows]))
    spreads = [max(each) - min(each) for each in made]
    assert len(made) == 2 * WINDOW and sum(spreads) / len(spreads) < 16
    assert [sum(each) for each in made] != sorted(sum(each) for each in made)


def equal(first: Batch, second: Batch) -> bool:
    tensors = ("ids", "positions", "groups", "sources", "targets")
    return (
        all(torch.equal(getattr(first, name), getattr(second, name)) for name in tensors)
        and first.grids == second.grids
        and all(torch.equal(a, b) for a, b in zip(first.tiles, second.tiles, strict=True))
    )


def test_a_worker_process_gives_the_same_batches() -> None:
    source = small.Rows(small.rows(21))
    for skip in (0, 3, WINDOW + 1):
        alone, helped = (
            list(batches(source, Order(2, 1, 5), collate, skip=skip, workers=workers)) for workers in (0, 1)
        )
        assert len(alone) == len(helped) == 10 - skip
        assert all(equal(a, b) for a, b in zip(alone, helped, strict=True))


def written(folder: Path, *names: str) -> Path:
    path = folder / "records.jsonl"
    talk = [{"from": "human", "value": "<image>\nSky?"}, {"from": "gpt", "value": "Red."}]
    path.write_text("\n".join(json.dumps({"id": n, "image": n, "conversations": talk}) for n in names))
    return path


@pytest.mark.parametrize("workers", [0, 1])
def test_a_picture_that_is_missing_is_named_with_its_record(tmp_path: Path, workers: int) -> None:
    """The same one line, whether the row was made here or in a worker process."""
    tiny.picture(1).save(tmp_path / "a.png")
    source = RecordRows(read_records(written(tmp_path, "a.png", "b.png"), tmp_path), tiny.processor())
    assert source[0].ids.count(IMAGE_ID) == 4
    with pytest.raises(ImageError) as error:
        list(batches(source, Order(1, 0, 0), collate, workers=workers))
    assert str(error.value).startswith(f"{tmp_path / 'records.jsonl'}:2: ")
    assert "b.png" in str(error.value) and "\n" not in str(error.value)
    assert error.value.hint is not None and "did you mean" in error.value.hint and "data doctor" in error.value.hint


@pytest.mark.parametrize("workers", [0, 1])
def test_hints_survive_a_worker_process(workers: int) -> None:
    class Faulty(Numbers):
        def __getitem__(self, index: int) -> int:
            raise UsageError("nothing here", hint="look elsewhere")

    with pytest.raises(UsageError, match=r"^nothing here$") as error:
        list(batches(Faulty(3), Order(1, 0, 0), as_tuple, workers=workers))
    assert error.value.hint == "look elsewhere"


def test_an_empty_answer_is_named_with_its_record(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    talk = [{"from": "human", "value": "Sky?"}, {"from": "gpt", "value": ""}]
    path.write_text(json.dumps([{"id": "1", "conversations": talk}]))
    with pytest.raises(UsageError, match=r"r\.json:1 \(record 1\): .*no supervised token"):
        _ = RecordRows(read_records(path, tmp_path), tiny.processor())[0]


@pytest.mark.parametrize(
    ("task", "tails"), [({"task": "caption"}, 0), ({"task": "caption", "captions": 3}, 3), ({"task": "instruct"}, 5)]
)
def test_rows_of_the_world(task: dict[str, Any], tails: int) -> None:
    """The same row each time, also in another process; one picture, and an answer for every question."""
    template = "plain" if task["task"] == "caption" else "vicuna_v1"
    data = WorldData(**task, first=7, scenes=3, questions=4, sizes=(96, 120))
    source = WorldRows(data, tiny.processor(template), data.sizes)
    assert len(source) == 3
    there = pickle.loads(pickle.dumps(source))
    for index in range(2):
        row, again, elsewhere = source[index], source[index], there[index]
        assert row.ids == again.ids == elsewhere.ids and row.targets == elsewhere.targets
        assert (row.tiles[0] == elsewhere.tiles[0]).all()
        assert len(row.tiles) == 1 and row.ids.count(IMAGE_ID) == 4
        assert max(row.groups) == tails
    assert source[0].ids != source[1].ids


def test_patches_of_the_world() -> None:
    how = tiny.processor().preprocessing
    assert how is not None
    data = WorldData(task="patches", scenes=4, sizes=(96,))
    source = PatchRows(data, how, data.sizes)
    rows = [source[index] for index in range(4)]
    vision = tiny.model().vision
    assert vision is not None
    reader = PatchReader(vision)
    batch = reader.collate(rows)
    assert batch.rows == len(source) == 4 and batch.tiles.shape == (4, 3, 28, 28)
    assert batch.classes.shape == (4, 4, len(CLASSES)) and batch.boxes.shape == (4, 4, 4)
    loss = reader.loss(batch)
    assert loss.value.isfinite() and 0 <= int(loss.right) <= reader.counts(batch).predictions


def test_no_model_travels_to_a_worker() -> None:
    model = tiny.model()
    assert model.vision is not None
    for task in (InstructionTuning(model), PatchReader(model.vision)):
        assert len(pickle.dumps(task.collate)) < 200
