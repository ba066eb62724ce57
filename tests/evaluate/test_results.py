"""Results on disk: what is read back is what was written, and what is none is refused with a hint."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pumice.errors import UsageError
from pumice.evaluate.bootstrap import intervals
from pumice.evaluate.compare import compare
from pumice.evaluate.formula import mean, total
from pumice.evaluate.layout import Place, Shard
from pumice.evaluate.questions import Question
from pumice.evaluate.results import as_facts, read_result, read_results, write_result
from pumice.evaluate.statistic import Metric, Row, Scored
from pumice.evaluate.summary import comparison_facts, only, summarise
from pumice.evaluate.task import Task
from pumice.prompts.conversation import Conversation

RANDOM = np.random.default_rng(3)
TASK = Task(
    "toy", "The Toy", "toy", (), lambda folder: (), lambda path: (), lambda *about: SCORED, published={"7B": 62.0}
)


def _scored(share: float) -> Scored:
    rows = tuple(
        Row(
            str(n),
            f"{n // 2}.jpg",
            {"right": float(RANDOM.random() < share), "weight": 1.5},
            "ab"[n % 2],
            bool(n % 3) if n % 5 else None,
            asked="Is it 貓?" if n % 2 else "",
            answer="Yes\nno",
            note="n",
        )
        for n in range(60)
    )
    metrics = (
        Metric("accuracy", 100 * mean("right")),
        Metric("ratio", total("right", "a") / total("weight", "b"), scale=1, smaller_is_better=True),
        Metric("nothing", mean("absent")),
    )
    return Scored("toy", "official", "accuracy", rows, metrics, missing=2, notes=("A note.",))


SCORED = _scored(0.6)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    place = Place(tmp_path / "out", "toy")
    result = summarise(SCORED, TASK, place, {"model": "tiny", "at_the_start": {"torch": "2"}})
    assert result.headline.value == SCORED.value()
    assert result.headline.interval == intervals(SCORED)["accuracy"]
    write_result(result, SCORED.rows, {"3.jpg": tmp_path / "3.jpg"})
    found = read_result(place.result)
    assert as_facts(found) == as_facts(result)
    assert found.scored() == SCORED
    assert found.picture_files() == {"3.jpg": tmp_path / "3.jpg"}
    assert (found.task, found.control, found.questions, found.pictures) == ("toy", "", 60, 30)
    nothing = found.figures[2]
    assert math.isnan(nothing.value)
    assert "undefined" in nothing.interval.unknown
    json.loads(place.result.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


@pytest.mark.parametrize("answer", ["one\u2028two", "one\x85two", "one\x1ctwo", "one\rtwo", "half \ud83d of a face"])
def test_any_answer_survives_its_file(tmp_path: Path, answer: str) -> None:
    """Unicode's ends of lines end none of ours, and what is no UTF-8 stays an escape."""
    rows = (Row("1", "1.jpg", {"right": 1.0}, answer=answer), *SCORED.rows)
    place = Place(tmp_path, "toy")
    write_result(summarise(SCORED, TASK, place, {"system": answer}), rows, {"1.jpg": Path("\udcff.jpg")})
    found = read_result(place.result)
    assert found.scored().rows == rows
    assert found.picture_files()["1.jpg"] == Path("\udcff.jpg")
    assert found.made_with == {"system": answer}


def test_a_comparison_from_disk_is_that_of_the_rows(tmp_path: Path) -> None:
    other = _scored(0.9)
    for name, scored in (("a", SCORED), ("b", other)):
        place = Place(tmp_path / name, "toy")
        write_result(summarise(scored, TASK, place, {}), scored.rows, {})
    read = [read_results(tmp_path / name)[0].scored() for name in "ab"]
    facts = comparison_facts(compare(*read))
    assert facts == comparison_facts(compare(SCORED, other))
    json.dumps(facts, allow_nan=False)


def test_a_folder_is_read_in_order_controls_behind(tmp_path: Path) -> None:
    for task, control in (("b", ""), ("a", "blind"), ("a", "")):
        place = Place(tmp_path, task, control)
        write_result(summarise(SCORED, TASK, place, {}), SCORED.rows, {})
    assert [each.place.name for each in read_results(tmp_path)] == ["a", "a.blind", "b"]
    assert {each.control for each in read_results(tmp_path)} == {"", "blind"}


def test_what_is_no_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no folder"):
        read_results(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="holds no results"):
        read_results(tmp_path)
    path = tmp_path / "toy.result.json"
    for content, words in (
        ("{", "no JSON"),
        ("[]", "no result"),
        ('{"format": 9}', "format 9"),
        ('{"format": 1}', "no result"),
        ("[" * 100_000, "no result"),
    ):
        path.write_text(content)
        with pytest.raises(UsageError, match=words):
            read_results(tmp_path)
    place = Place(tmp_path, "toy")
    write_result(summarise(SCORED, TASK, place, {}), SCORED.rows, {})
    for content in (
        "{",
        '{"question_id": "1", "cluster": "a"}',
        '{"question_id": "1", "cluster": "a", "values": {}, "x": 1}',
    ):
        place.rows.write_text(content)
        with pytest.raises(UsageError, match="damaged"):
            read_result(path).scored()
    place.rows.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="damaged"):
        read_result(path).picture_files()
    whole = path.read_text()
    for figure in ('"value": "much"', '"scale": "wide"'):
        name, _ = figure.split(": ")
        path.write_text(re.sub(f"{name}: [^,]*", figure, whole, count=1))
        with pytest.raises(UsageError, match="no result"):
            read_result(path)
    path.write_text(whole)
    place.rows.unlink()
    with pytest.raises(UsageError, match="cannot read the rows of a result"):
        read_result(path).scored()


def test_a_part_of_a_result_is_that_of_its_pictures() -> None:
    asked = [Question(str(n), Conversation.ask("?"), f"{n // 2}.jpg") for n in range(20)]
    about = replace(SCORED, about=("About scenes of a world.",))
    part = only(about, asked, of=60, missing=1)
    assert part.rows == SCORED.rows[:20]
    assert part.missing == 1
    assert part.notes == ("Only 20 of 60 questions were asked.", "1 of them have no answer.")
    assert summarise(part, TASK, Place(Path(), "toy"), {}).notes == ("About scenes of a world.", *part.notes)
    assert part.value() == 100 * np.mean([row.values["right"] for row in SCORED.rows[:20]])


@pytest.mark.parametrize(("questions", "count"), [(10, 3), (9, 3), (2, 4), (1, 1), (12_578, 8)])
def test_parts_are_the_original_s_chunks(questions: int, count: int) -> None:
    everything = list(range(questions))
    parts = [everything[Shard(index, count).slice(questions)] for index in range(count)]
    size = -(-questions // count)
    assert parts[: len(everything[::size])] == [everything[k : k + size] for k in range(0, questions, size)]
    assert [each for part in parts for each in part] == everything
