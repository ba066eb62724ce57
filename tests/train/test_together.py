"""Records about one picture that share a row: learned as if each stood alone, the picture seen once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

import tiny
from images.pictures import noise
from pumice.data.batch import collate
from pumice.data.packing import Row
from pumice.data.records import read_records
from pumice.errors import UsageError
from pumice.train.recipe import FileData
from pumice.train.rows import MixedRows, RecordRows
from pumice.train.step import InstructionTuning
from train.test_packing import assert_same

TALKS = [
    ("a.png", "What?"),
    ("b.png", "Sky?"),
    (None, "Why?"),
    ("a.png", "Where is it?"),
    ("a.png", "Who?"),
    (None, "Why?"),
]


def written(folder: Path, talks: Sequence[tuple[str | None, str]], answer: str = "A {}.") -> Path:
    records = []
    for number, (image, question) in enumerate(talks):
        asked = question if image is None else f"<image>\n{question}"
        turns = [{"from": "human", "value": asked}, {"from": "gpt", "value": answer.format("cup " * number)}]
        records.append({"id": str(number), **({"image": image} if image else {}), "conversations": turns})
    for name in {image for image, _ in talks if image}:
        noise(30, 20, seed=ord(name[0])).save(folder / name)
    path = folder / "r.json"
    path.write_text(json.dumps(records))
    return path


def rows(folder: Path, together: int, limit: int = 0, **more: str) -> RecordRows:
    return RecordRows(read_records(written(folder, TALKS, **more), folder), tiny.processor(), limit, together)


def there(source: RecordRows) -> list[Row]:
    return [row for index in range(len(source)) if (row := source[index]) is not None]


@pytest.mark.parametrize(("together", "count"), [(1, 6), (2, 5), (3, 4), (50, 4)])
def test_loss_and_gradients_are_those_of_separate_rows(tmp_path: Path, together: int, count: int) -> None:
    task = InstructionTuning(tiny.model())
    shared = there(rows(tmp_path, together))
    assert len(shared) == count and sum(len(row.tiles) for row in shared) == count - 2
    assert_same(task, [collate(shared)], [collate([row]) for row in there(rows(tmp_path, 1))])


def test_they_are_dealt_out_in_turn(tmp_path: Path) -> None:
    """Of three about one picture, two to a row: the first with the third, so that a row has of everything."""
    source = rows(tmp_path, 2)
    first, third = (rows(tmp_path, 1)[number] for number in (0, 4))
    mine = source[0]
    assert mine is not None and first is not None and third is not None
    assert sorted(mine.targets) == sorted(first.targets + third.targets)
    assert source.size(0) > source.size(1) > source.size(2)


def test_a_weight_counts_rows(tmp_path: Path) -> None:
    assert len(MixedRows((rows(tmp_path, 3),), (0.5,))) == 2
    with pytest.raises(ValueError, match="together"):
        FileData(records=tmp_path, images=tmp_path, together=0)


def test_the_limit_is_each_records(tmp_path: Path) -> None:
    """The row may be longer than any record; a record that does not fit leaves the others alone."""
    alone = [len(row.ids) for row in there(rows(tmp_path, 1))]
    whole, cut = (rows(tmp_path, 3, limit=max(alone) - less)[0] for less in (0, 1))
    assert whole is not None and len(whole.ids) > max(alone)
    first = rows(tmp_path, 1)[0]
    assert cut is not None and first is not None and cut.targets == first.targets
    assert rows(tmp_path, 3, limit=1)[0] is None


def test_the_record_that_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"record 1\): .*no supervised token"):
        _ = rows(tmp_path, 3, answer="")[0]
