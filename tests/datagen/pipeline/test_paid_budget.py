"""A paid teacher and a budget that ends: what was paid for is in the records, but for the scenes just under way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from datagen.pipeline.runs import PRICE, annotations, paid, ran, records, rules, written
from paid.teacher_server import teaching
from pumice.datagen.generation import generate
from pumice.datagen.prompting import PromptSet
from pumice.paid.answers import BudgetError
from pumice.paid.prices import Prices

THREE = "conversation,detail,reasoning"


@pytest.mark.parametrize("concurrency", [4, 64])
def test_what_was_paid_before_the_budget_ended_is_in_the_records(coco: Path, tmp_path: Path, concurrency: int) -> None:
    """Pumice's own prompts, of which those for reasoning are the longest, so that a question's price depends on it."""

    def reply(messages: Sequence[Mapping[str, Any]]) -> str:
        return str(messages[-2]["content"])  # the last worked example

    table = coco / "caps_boxes_coco2014_val_80.jsonl"
    with teaching(reply, latency_s=0.1) as teacher:
        prices = Prices({"teacher": PRICE}, date(2026, 1, 1))
        own: dict[str, Any] = {"prompts": PromptSet.load(), "prices": prices, "parameters": {"max_tokens": 1024}}
        asked = paid(teacher.url, concurrency=concurrency, budget=0.6, **own)
        more: dict[str, Any] = {"verify": "off", "distinct": False}
        with pytest.raises(BudgetError):
            generate(rules(tmp_path / "out", table, THREE, paid=asked, **more))
        answered, made = teacher.books.answered.total(), len(records(tmp_path / "out"))
        assert 40 < answered < 200
        assert answered - 6 <= made <= answered, "two scenes at most that were not brought to their end"
        ran(rules(tmp_path / "out", table, THREE, paid=paid(teacher.url, **own), **more))
        assert set(teacher.books.answered.values()) == {1}


def test_second_tries_of_early_scenes_come_before_first_tries_of_late_ones(tmp_path: Path) -> None:
    table, refused = annotations(tmp_path / "table.jsonl", 60), set[str]()

    def reply(messages: Sequence[Mapping[str, Any]]) -> str:
        told = str(messages[-1]["content"])
        if told in refused or len(told) % 2:
            return written(messages)
        refused.add(told)
        return "I'm sorry, but I can't help with that."

    with teaching(reply, latency_s=0.05) as teacher:
        asked = paid(teacher.url, concurrency=40, budget=0.012)
        with pytest.raises(BudgetError):
            generate(rules(tmp_path / "out", table, "conversation", paid=asked, tries=2))
        answered, made = teacher.books.answered.total(), len(records(tmp_path / "out"))
    assert 10 < answered < 70 and answered - len(refused) - 4 <= made
