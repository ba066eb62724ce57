"""MM-Vet: published grades give the published figure; capabilities as the benchmark's own file has them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from benchmark_files import write_json, write_lines
from pumice.errors import UsageError
from pumice.evaluate.questions import Answer
from pumice.evaluate.task import PROFILES
from pumice.evaluate.tasks.mm_vet import MM_VET

TRUTH = {
    "v1_0": ("v1_0.png", "What is x?", "-1<AND>-5", ["ocr", "math"]),
    "v1_1": ("v1_1.png", "What is d?", "1.25<OR>5/4", ["math", "ocr"]),
    "v1_2": ("v1_1.png", "Who is it?", "somebody", ["rec"]),
    "v1_3": ("v1_3.png", "Why so?", "because", ["rec", "gen", "know"]),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    content = {
        name: {"imagename": picture, "question": question, "answer": answer, "capability": able, "imagesource": "web"}
        for name, (picture, question, answer, able) in TRUTH.items()
    }
    return write_json(tmp_path / "mm-vet" / "mm-vet.json", content).parent


def graded(tmp_path: Path, **contents: list[str]) -> tuple[Answer, ...]:
    def score(content: str) -> float:
        try:
            return float(content)
        except ValueError:
            return 0.0  # as the evaluator notes what it could not read

    lines = {
        name: {"model": ["gpt-4"] * len(told), "content": told, "score": [score(each) for each in told]}
        for name, told in contents.items()
    }
    return MM_VET.answers(write_json(tmp_path / "grades.json", lines))


@pytest.mark.parametrize("profile", PROFILES)
def test_published_grades_give_the_published_figures(published: Path, profile: str) -> None:
    folder = published / "mm_vet"
    scored = MM_VET.score(MM_VET.answers(folder / "grades-llava-v1.5-13b-3runs.json"), folder, MM_VET.require(profile))
    with (folder / "expected-capability-scores-3runs.csv").open() as file:
        (expected,) = [row for row in csv.DictReader(file) if row[""] == "llava-v1.5-13b"]
    assert [round(scored.value(f"run {run}"), 1) for run in (1, 2, 3)] == json.loads(expected["runs"])
    assert scored.value("run 1") == pytest.approx(MM_VET.published["13B"], abs=0.05)
    assert round(scored.value(), 1) == float(expected["total"])
    assert any(f"36.3 ± {expected['std']}" in note for note in scored.about)
    assert (len(scored.rows), scored.missing) == (218, 0)
    assert any("capabilities are not scored" in note and "mm-vet.json" in note for note in scored.about)
    assert len({row.cluster for row in scored.rows}) < 218  # some questions share a picture


def test_capabilities_and_what_they_make_together(tmp_path: Path, folder: Path) -> None:
    answers = graded(tmp_path, v1_0=["1.0", "0.5"], v1_1=["0.0", "0.5"], v1_2=["0.4", "0.4"], v1_3=["0.2", "0.0"])
    scored = MM_VET.score(answers, folder, "official")
    values = {metric.name: round(scored.value(metric.name), 2) for metric in scored.metrics}
    assert values == {
        "total": 37.5,
        "run 1": 40.0,
        "run 2": 35.0,
        "rec": 25.0,  # (0.4 + 0.4 + 0.2 + 0.0) / 4
        "ocr": 50.0,
        "know": 10.0,
        "gen": 10.0,
        "math": 50.0,
        "ocr+math": 50.0,
        "rec+know+gen": 10.0,
    }
    assert {row.question_id: row.expected for row in scored.rows}["v1_1"] == "1.25<OR>5/4"


def test_unreadable_grades_are_missing_and_zero_only_for_those_who_want_it(tmp_path: Path, folder: Path) -> None:
    answers = graded(tmp_path, v1_0=["1.0"], v1_1=["Sorry"], v1_2=["0.5"], v1_3=["0.5"])
    official, llava = (MM_VET.score(answers, folder, profile) for profile in ("official", "llava"))
    assert official.value() == pytest.approx(200 / 3)
    assert official.value("math") == 100
    assert any("1 verdicts of the judge could not be read and are missing" in note for note in official.about)
    assert (llava.value(), llava.value("math")) == (50, 50)


def test_missing_and_extra_grades_are_counted_and_said(tmp_path: Path, folder: Path) -> None:
    scored = MM_VET.score(graded(tmp_path, v1_0=["1.0"], v1_1=["0.0"], v1_99=["1.0"]), folder, "official")
    assert (scored.value(), scored.missing) == (50, 2)
    assert "2 of 4 questions have no answer and are left out" in " ".join(scored.notes)
    assert "1 answers are to none" in " ".join(scored.notes)


def test_prompts_come_from_the_original_s_questions_or_the_benchmark_s_own(folder: Path) -> None:
    first = next(iter(MM_VET.questions(folder)))
    assert (first.id, first.prompt, first.category) == ("v1_0", "What is x?", "ocr+math")
    line = {"question_id": 0, "image": "v1_0.png", "text": "What is x?", "category": "conv"}
    write_lines(folder / "llava-mm-vet.jsonl", [line])
    (question,) = MM_VET.questions(folder)
    assert (question.id, question.prompt, question.image_key) == ("v1_0", "What is x?", "v1_0.png")


def test_answers_in_three_shapes_mean_the_same(tmp_path: Path, folder: Path) -> None:
    object_of_texts = write_json(tmp_path / "answers.json", {"v1_0": "3", "v1_1": "4"})
    lines = write_lines(
        tmp_path / "answers.jsonl", [{"question_id": 0, "prompt": "?", "text": "3"}, {"question_id": 1, "text": "4"}]
    )
    read = MM_VET.answers(object_of_texts)
    MM_VET.submission(MM_VET.answers(lines), folder, tmp_path / "upload.json")
    assert json.loads((tmp_path / "upload.json").read_text()) == {"v1_0": "3", "v1_1": "4"}
    for path in (lines, tmp_path / "upload.json"):
        assert [(each.question_id, each.text) for each in MM_VET.answers(path)] == [
            (each.question_id, each.text) for each in read
        ]
    with pytest.raises(UsageError, match="scored by what a judge says"):
        MM_VET.score(read, folder, "official")


def test_a_file_of_something_else_is_an_error_with_its_place(folder: Path, tmp_path: Path) -> None:
    write_json(folder / "mm-vet.json", {"v1_0": {"question": "?", "answer": "x", "capability": ["rec"]}})
    with pytest.raises(UsageError, match="v1_0: expected 'imagename'"):
        list(MM_VET.questions(folder))
    write_json(folder / "mm-vet.json", {"v1_0": "text"})
    with pytest.raises(UsageError, match="expected an object for v1_0"):
        list(MM_VET.questions(folder))
