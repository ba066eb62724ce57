"""Runs of a paid teacher over real HTTP, faults and all: nothing lost, nothing paid twice, every cent in the books."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from datagen.pipeline.runs import (
    PRICE,
    annotations,
    complete,
    contents,
    lines,
    paid,
    ran,
    records,
    rules,
    stopping,
    written,
)
from paid.teacher_server import Teacher, teaching
from pumice.datagen.folder import LEDGER, PROVENANCE, REJECTIONS, REPORT
from pumice.datagen.generation import Ended, Generation, generate
from pumice.datagen.outlook import outlook
from pumice.datagen.prompting import PromptSet
from pumice.errors import AuthError, UsageError
from pumice.paid.answers import BudgetError, OutageError
from pumice.paid.ledger import Ledger
from pumice.paid.limits import Limits

THREE = "conversation,detail,reasoning"
FAULTS = {
    **{"limited": 0.05, "error": 0.1, "gateway": 0.02, "hang": 0.01, "drop": 0.03, "cut": 0.03, "html": 0.02},
    **{"forbidden": 0.02, "refusal": 0.05, "nonsense": 0.05, "null": 0.03, "long": 0.04},
}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return annotations(tmp_path_factory.mktemp("table") / "table.jsonl", 40)


def asked(folder: Path, table: Path, url: str, **more: Any) -> Generation:
    """A run of the paid teacher who is asked once for each sample."""
    server = {name: more.pop(name) for name in ("budget", "batches", "limits", "key", "prompts") if name in more}
    return rules(folder, table, THREE, paid=paid(url, **server), **{"tries": 1, **more})


def agree(teacher: Teacher, ended: Ended, batches: bool = False) -> None:
    """The ledger and the server's own books."""
    books, totals = teacher.books, ended.totals
    assert totals is not None and totals.cost is not None
    assert max(books.answered.values()) == 1, "something was paid for twice"
    assert books.answered.total() == totals.answered
    charged = (books.whole.cost(PRICE) + books.spoilt.cost(PRICE)) * (0.5 if batches else 1.0)
    assert totals.cost == pytest.approx(charged, rel=0.01)
    assert ended.tally.cost == pytest.approx(totals.cost, rel=1e-6)


@pytest.mark.parametrize("batches", [False, True])
def test_the_real_items_through_a_teacher_with_faults(coco: Path, tmp_path: Path, batches: bool) -> None:
    """Pumice's own prompts, the 80 real pictures, and every fault that the server knows."""

    def reply(messages: Sequence[Mapping[str, Any]]) -> str:
        said = messages[-2]["content"]  # the last worked example: readable, whatever the picture shows
        assert isinstance(said, str)
        return said

    table = coco / "caps_boxes_coco2014_val_80.jsonl"
    with teaching(reply, faults=FAULTS) as teacher:
        own: dict[str, Any] = {"prompts": PromptSet.load(), "verify": "off", "distinct": False}
        generation = asked(tmp_path / "out", table, teacher.url, batches=batches, **own)
        ended = ran(generation)
        agree(teacher, ended, batches)
        assert generate(generation).idle
        agree(teacher, ended, batches)
    complete(tmp_path / "out", 240)
    assert {"refusal", "cut-off", "refused-by-server"} <= set(ended.tally.given_up)
    assert 0.6 < ended.tally.samples / 240 < 0.95
    assert all(each["request"] for each in lines(tmp_path / "out", PROVENANCE))
    assert "$" in (tmp_path / "out" / REPORT).read_text(encoding="utf-8")


def test_what_was_refused_is_asked_again_as_a_question_of_its_own(table: Path, tmp_path: Path) -> None:
    times: Counter[str] = Counter()

    def second_time_right(messages: Sequence[Mapping[str, Any]]) -> str:
        key = json.dumps(list(messages))
        times[key] += 1
        return written(messages) if times[key] == 2 else "I'm sorry, but I can't help with that."

    with teaching(second_time_right) as teacher:
        ended = ran(asked(tmp_path / "out", table, teacher.url, tries=3))
    assert ended.tally.samples == 120 and ended.tally.refused == {"refusal": 120} and not ended.tally.given_up
    assert ended.totals is not None and ended.totals.answered == 240
    assert {each["attempt"] for each in lines(tmp_path / "out", PROVENANCE)} == {2}
    assert not any(each["given_up"] for each in lines(tmp_path / "out", REJECTIONS))


def test_contradictions_are_refused_with_their_claims(table: Path, tmp_path: Path) -> None:
    def lies(messages: Sequence[Mapping[str, Any]]) -> str:
        return "Question:\nWhat is there?\n===\nAnswer:\nThere are five elephants on the bench, and seven buses.\n===\n"

    with teaching(lies) as teacher:
        generation = rules(tmp_path / "out", table, "conversation", paid=paid(teacher.url), tries=1)
        ended = ran(generation)
    assert ended.tally.samples == 0 and ended.tally.given_up == {"contradicted": 40}
    for each in lines(tmp_path / "out", REJECTIONS):
        assert [check for check in each["checks"] if check["verdict"] == "contradicted"] and each["exchanges"]
    assert records(tmp_path / "out") == []


def test_a_budget_stops_in_time_and_more_money_goes_on(table: Path, tmp_path: Path) -> None:
    with teaching(written) as teacher:
        whole = ran(asked(tmp_path / "whole", table, teacher.url))
        spent = teacher.books.whole.cost(PRICE)
        with pytest.raises(BudgetError):
            generate(asked(tmp_path / "out", table, teacher.url, budget=spent / 2))
        assert teacher.books.whole.cost(PRICE) - spent <= spent / 2
        before = len(records(tmp_path / "out"))
        assert 0 < before < whole.tally.samples
        assert (tmp_path / "out" / REPORT).is_file()
        ran(asked(tmp_path / "out", table, teacher.url, budget=spent * 2))
        assert teacher.books.whole.cost(PRICE) == pytest.approx(2 * spent)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_wish_to_stop_is_met_and_nothing_is_paid_again(table: Path, tmp_path: Path) -> None:
    with teaching(written, latency_s=0.01) as teacher:
        ran(asked(tmp_path / "whole", table, teacher.url))
        with stopping(60) as stop:
            assert not generate(asked(tmp_path / "out", table, teacher.url), stop=stop).finished
        ended = ran(asked(tmp_path / "out", table, teacher.url))
        assert ended.totals is not None and ended.totals.answered == ended.totals.attempts == 120
        assert set(teacher.books.answered.values()) == {2}
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_an_outage_loses_nothing(table: Path, tmp_path: Path) -> None:
    with teaching(written) as teacher:
        ran(asked(tmp_path / "whole", table, teacher.url))
    with teaching(written, faults={"error": 1.0}, most_faults=10**6) as broken, pytest.raises(OutageError):
        generate(asked(tmp_path / "out", table, broken.url, limits=Limits(attempts=2, first_wait_s=0.001)))
    assert records(tmp_path / "out") == [] == lines(tmp_path / "out", REJECTIONS)
    with teaching(written) as teacher:
        ran(asked(tmp_path / "out", table, teacher.url))
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_one_question_without_an_answer_is_given_up_alone(table: Path, tmp_path: Path) -> None:
    def trips(messages: Sequence[Mapping[str, Any]]) -> str:
        if "number 7." in str(messages[-1]["content"]):
            raise RuntimeError("as planned")
        return written(messages)

    with teaching(trips) as teacher:
        ended = ran(asked(tmp_path / "out", table, teacher.url, limits=Limits(attempts=2, first_wait_s=0.2)))
    assert ended.tally.given_up == {"no-answer": 3} and ended.tally.samples == 117
    complete(tmp_path / "out", 120)


def test_a_wrong_key_ends_it_at_once(table: Path, tmp_path: Path) -> None:
    with teaching(written, key="another") as teacher:
        with pytest.raises(AuthError):
            generate(asked(tmp_path / "out", table, teacher.url))
        assert not teacher.books.asked
    assert records(tmp_path / "out") == []


def test_what_is_on_its_way_in_a_batch_is_not_asked_live(table: Path, tmp_path: Path) -> None:
    with teaching(written) as teacher:
        teacher.batches.looks = 10**9
        generation = asked(tmp_path / "out", table, teacher.url, batches=True)
        assert not generate(generation, stop=lambda: teacher.batches.looked.total() > 0).finished
        with pytest.raises(UsageError, match="batch"):
            generate(asked(tmp_path / "out", table, teacher.url))
        teacher.batches.looks = 1
        ended = ran(generation)
        agree(teacher, ended, batches=True)
        assert teacher.batches.made == 1
    assert ended.tally.samples == 120


def test_the_outlook_is_near_what_it_takes(table: Path, tmp_path: Path) -> None:
    with teaching(written) as teacher:
        generation = asked(tmp_path / "out", table, teacher.url)
        *kinds, together = outlook(generation)
        assert not (tmp_path / "out").exists() and not teacher.books.asked
        ended = ran(generation)
    assert [each.name for each in kinds] == ["conversation", "detail", "reasoning"]
    assert ended.totals is not None and together.requests == ended.totals.answered == 120
    assert together.cost_at_most is not None and ended.totals.cost is not None
    assert ended.totals.cost < together.cost_at_most
    free = replace(generation, paid=None)
    assert outlook(free)[-1].samples == 120 and outlook(free)[-1].cost == 0


def test_the_ledger_has_the_reply_behind_every_sample(table: Path, tmp_path: Path) -> None:
    with teaching(written) as teacher:
        ran(asked(tmp_path / "out", table, teacher.url))
    answers = {each["id"]: each["conversations"][1]["value"] for each in records(tmp_path / "out")}
    with Ledger(tmp_path / "out" / LEDGER) as ledger:
        for origin in lines(tmp_path / "out", PROVENANCE):
            found = ledger.rows("SELECT text FROM requests WHERE key = ?", bytes.fromhex(origin["request"]))
            assert answers[origin["id"]] in found[0][0]
