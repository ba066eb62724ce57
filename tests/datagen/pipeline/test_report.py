"""The page about a run: examples from all of it, and axes that count whole things."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest

from datagen.pipeline.runs import annotations, ran, rules, stopping
from pumice.data.rules import doubtful
from pumice.datagen.charts import histogram
from pumice.datagen.folder import REPORT, read_progress
from pumice.datagen.generation import generate
from pumice.datagen.samples import Json


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return annotations(tmp_path_factory.mktemp("table") / "table.jsonl", 40)


def shown(folder: Path) -> dict[str, list[Json]]:
    """Examples by kind and by reason."""
    _, tally = read_progress(folder)
    return {**tally.kept, **tally.lost}


def test_examples_are_from_anywhere_as_the_seed_chooses(table: Path, tmp_path: Path) -> None:
    ran(rules(tmp_path / "one", table, "detail,negatives", seed=1))
    ran(rules(tmp_path / "two", table, "detail,negatives", seed=2))
    generation = rules(tmp_path / "stopped", table, "detail,negatives", seed=1)
    with stopping(20) as stop:
        generate(generation, stop=stop)
    ran(generation)
    one = shown(tmp_path / "one")
    assert shown(tmp_path / "stopped") == one != shown(tmp_path / "two")
    ids = [str(each["id"]) for each in one["detail"] if isinstance(each, dict)]
    assert len(ids) == 3 and max(ids) > "000010", "they are not the first"
    page = (tmp_path / "one" / REPORT).read_text(encoding="utf-8")
    assert all(each in page for each in ids) and "claims checked: " in page


@pytest.mark.parametrize("numbers", [{"1": 5}, {"1": 5, "2": 3}, {"0": 1, "7": 2}, {"3": 1, "180": 9}])
def test_an_axis_has_whole_numbers(numbers: dict[str, int]) -> None:
    found = re.search(r"base64,([A-Za-z0-9+/=]+)", str(histogram("questions of a sample", {"samples": numbers})))
    assert found is not None
    drawn = base64.b64decode(found[1]).decode()
    across = re.findall(r'id="xtick_\d+".*?<!-- (.*?) -->', drawn, re.DOTALL)
    assert across and all(re.fullmatch(r"[\d−]+", tick) for tick in across), across


def test_the_manual_names_what_a_record_is_refused_for() -> None:
    turns = [{"from": "human", "value": " "}, {"from": "gpt", "value": "<image> </s> \ufffd"}]
    kinds = {fault.kind for fault in doubtful({"conversations": [*turns, turns[0], {"from": "gpt", "value": ""}]})}
    assert len(kinds) == 5
    manual = (Path(__file__).parents[3] / "docs/datagen.md").read_text(encoding="utf-8")
    reasons = manual.partition("## What is refused")[2].partition("\n## ")[0]
    assert not [kind for kind in kinds if f"`{kind}`" not in reasons]
