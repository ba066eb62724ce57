"""Several files with weights: how often each record comes, the same for the same seed and epoch."""

from __future__ import annotations

import itertools
import json
import pickle
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from pumice.data.batch import Batch, collate
from pumice.data.records import Record, read_records
from pumice.errors import UsageError
from pumice.prompts.conversation import Conversation
from pumice.train.loader import Order, batches
from pumice.train.loop import run_steps
from pumice.train.recipe import FileData, Recipe
from pumice.train.recipe_file import read_recipe
from pumice.train.rows import MixedRows, RecordRows
from train import small

FILES = """
[[files]]
records = "a.json"
images = "a"

[[files]]
records = "b.json"
images = "b"
weight = 0.5
"""
HEAD = 'output = "x"\ntemplate = "plain"\nstart = {folder = "m"}\nparts = {connector = 1e-3}\n'


def part(name: str, count: int) -> RecordRows:
    said = [Conversation.ask(f"{name}{n}?").then_answer(f"{name}{n}.") for n in range(count)]
    return RecordRows([Record(f"{name}{n}", each, "") for n, each in enumerate(said)], tiny.processor())


def mixed(*parts: tuple[int, float]) -> MixedRows:
    rows = tuple(part("abc"[place], count) for place, (count, _) in enumerate(parts))
    return MixedRows(rows, tuple(weight for _, weight in parts))


PARTS = st.lists(
    st.tuples(st.integers(1, 20), st.sampled_from([0.25, 0.5, 1.0, 1.3, 2.0, 3.5])), min_size=1, max_size=3
)


@settings(deadline=None, max_examples=40)
@given(parts=PARTS, epoch=st.integers(0, 3), seed=st.integers(0, 9))
def test_shares_of_an_epoch(parts: list[tuple[int, float]], epoch: int, seed: int) -> None:
    wanted = [round(count * weight) for count, weight in parts]
    if not all(wanted):
        with pytest.raises(UsageError, match="leaves none of"):
            mixed(*parts)
        return
    source = mixed(*parts)
    chosen = source.epoch(epoch, seed).chosen
    assert len(source) == len(source.epoch(epoch, seed)) == len(chosen) == sum(wanted)
    assert chosen == mixed(*parts).epoch(epoch, seed).chosen
    begin = 0
    for (count, _), number in zip(parts, wanted, strict=True):
        times = Counter(each for each in chosen if begin <= each < begin + count)
        assert times.total() == number
        # Nothing comes twice before everything has come once.
        assert {times[each] for each in range(begin, begin + count)} <= {number // count, number // count + 1}
        begin += count


def test_a_half_is_another_in_every_epoch() -> None:
    source = mixed((40, 0.5), (5, 2.0))
    halves = [frozenset(each for each in source.epoch(epoch, 1).chosen if each < 40) for epoch in range(6)]
    assert len(set(halves)) == 6 and all(len(half) == 20 for half in halves)
    assert halves[0] != frozenset(source.epoch(0, 2).chosen)
    assert len(frozenset.union(*halves)) > 36


def test_rows_are_those_of_the_parts() -> None:
    source = mixed((3, 1.0), (2, 2.0))
    there = pickle.loads(pickle.dumps(source.epoch(0, 0)))
    wanted = [part(name, count)[n].ids for name, count in (("a", 3), ("b", 2), ("b", 2)) for n in range(count)]
    assert [there[index].ids for index in range(7)] == wanted
    with pytest.raises(IndexError):
        _ = source[5]


def test_one_file_of_weight_one_is_as_before() -> None:
    """The same rows in the same order as without a mixture."""
    alone, source = part("a", 9), MixedRows((part("a", 9),), (1.0,))
    for epoch in range(2):
        ours, theirs = (list(batches(each, Order(2, epoch, 3), collate)) for each in (source, alone))
        assert [batch.ids.tolist() for batch in ours] == [batch.ids.tolist() for batch in theirs]


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_go_on_where_they_stopped(workers: int) -> None:
    source = mixed((9, 0.5), (7, 1.5))
    for epoch in range(2):
        which = Order(2, epoch, 3)
        whole = [batch.ids.tolist() for batch in batches(source, which, collate)]
        rest = [batch.ids.tolist() for batch in batches(source, which, collate, skip=3, workers=workers)]
        assert rest == whole[3:] and len(whole) == len(source) // 2


def ids(batch: Batch) -> list[list[int]]:
    """Its rows, whatever their order, without padding."""
    return sorted(row[: row.index(0)] if 0 in row else row for row in batch.ids.tolist())


@pytest.mark.parametrize("parts", [2, 3, 4])
def test_a_step_is_the_same_for_any_number_of_processes(parts: int) -> None:
    """Words and pictures of many lengths, mixed: sizes are known beforehand, so nobody's share changes a step."""
    long = Record("long", Conversation.ask("why? " * 40).then_answer("so. " * 40), "")
    seen = [Record(str(n), tiny.question(f"{n}?" * n, *range(n)).then_answer("A."), "") for n in range(3)]
    source = MixedRows((part("a", 23), RecordRows([long, *seen], tiny.processor())), (1.3, 2.5))
    alone = [ids(batch) for batch in batches(source, Order(12, 1, 5), collate)]
    shares = [list(batches(source, Order(12 // parts, 1, 5, own, parts), collate)) for own in range(parts)]
    together = [sorted(row for batch in step for row in ids(batch)) for step in zip(*shares, strict=True)]
    assert together == alone and len(alone) == 3
    assert all(batch.rows == 12 // parts for step in shares for batch in step)


def steps(how: Recipe, source: MixedRows, count: int) -> list[str]:
    """The log lines of the next ``count`` steps at most."""
    task, optimizer = small.prepared(how)
    return list(itertools.islice(run_steps(task, optimizer, source, how), count))


def test_training_resumes_exactly(tmp_path: Path) -> None:
    """Stopped in the middle of an epoch, twice, it ends with the weights of a run that never stopped."""
    source = mixed((6, 0.5), (4, 1.5))  # nine rows, four batches an epoch
    whole, often = (small.recipe(tmp_path / name, epochs=3, save_every=1) for name in ("whole", "often"))
    assert len(steps(whole, source, 99)) == 12
    assert [len(steps(often, mixed((6, 0.5), (4, 1.5)), count)) for count in (2, 5, 99)] == [2, 5, 5]
    small.assert_same(*(small.state_of(how.output) for how in (whole, often)))


def read(tmp_path: Path, text: str, *overrides: str) -> Recipe:
    path = tmp_path / "recipe.toml"
    path.write_text(HEAD + text, encoding="utf-8")
    return read_recipe(path, overrides)


def test_recipes(tmp_path: Path) -> None:
    several = read(tmp_path, FILES)
    first, second = (FileData(records=Path(f"{n}.json"), images=Path(n), weight=w) for n, w in (("a", 1.0), ("b", 0.5)))
    assert several.files == (first, second)
    assert Recipe.model_validate_json(several.model_dump_json()) == several
    single = read(tmp_path, '[files]\nrecords = "a.json"\nimages = "x"\n', "files.images=a", "files.weight=1.0")
    assert single.files == (first,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (FILES.replace("weight = 0.5", "weight = 0"), "files.1.weight: "),
        (FILES.replace("weight = 0.5", "weight = -1"), "files.1.weight: "),
        (FILES.replace("weight = 0.5", "weight = inf"), "files.1.weight: "),
        (FILES.replace("weight = 0.5", "wieght = 0.5"), "unknown field 'files.1.wieght'; did you mean 'weight'?"),
        ("files = []\n", "files: "),
        ('files = "a.json"\n', "files: "),
        ('[files]\nrecords = "a"\n', "files.0.images: "),
    ],
)
def test_recipes_that_are_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        read(tmp_path, text)
    assert message in str(error.value)


def test_records_of_two_files(tmp_path: Path) -> None:
    """As ``run`` reads them: a fault names its own file."""
    for name in "ab":
        talk = [{"from": "human", "value": f"{name}?"}, {"from": "gpt", "value": "" if name == "b" else "A."}]
        (tmp_path / f"{name}.json").write_text(json.dumps([{"id": name, "conversations": talk}]))
    files = [read_records(tmp_path / f"{name}.json", tmp_path) for name in "ab"]
    source = MixedRows(tuple(RecordRows(each, tiny.processor()) for each in files), (1.0, 1.0))
    assert source[0].targets
    with pytest.raises(UsageError, match=r"b\.json:1 "):
        _ = source[1]
