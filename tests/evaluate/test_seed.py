"""SEED-Bench: prompts and pictures, scores by kind, and predictions in every shape in which they come."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmark_files import write_json, write_lines
from pumice.errors import UsageError
from pumice.evaluate.questions import Answer
from pumice.evaluate.tasks.seed_bench import SEED_BENCH

LETTER = "Answer with the option's letter from the given choices directly."
KINDS = {"Scene Understanding": 1, "Instances Counting": 5, "Action Recognition": 10, "Action Prediction": 11}
# id, kind, right letter, picture or video
ITEMS = (
    ("101669", 5, "A", "1454426_2591111986"),
    ("101670", 5, "B", "1454426_2591111986"),
    ("42", 1, "C", "77_1"),
    ("v1738", 10, "D", "94328.webm"),
    ("v1962", 11, "A", "P03/P03_24.MP4"),
)


def record(name: str, kind: int, answer: str, picture: str) -> dict[str, object]:
    choices = {f"choice_{letter}": f"{letter}-thing" for letter in "abcd"}
    data_type = "video" if kind >= 10 else "image"
    told = {"question_id": name, "question": f"Question {name}?", "question_type_id": kind, "data_type": data_type}
    return {**told, **choices, "answer": answer, "data_id": picture}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    questions = [record(*item) for item in ITEMS]
    write_json(tmp_path / "seed_bench" / "SEED-Bench.json", {"questions": questions, "question_type": KINDS})
    return tmp_path / "seed_bench"


def right() -> list[Answer]:
    return [Answer(name, answer) for name, _, answer, _ in ITEMS]


def test_prompts_and_pictures_are_the_original_s(folder: Path) -> None:
    questions = {each.id: each for each in SEED_BENCH.questions(folder)}
    words = f"Question 42?\nA. a-thing\nB. b-thing\nC. c-thing\nD. d-thing\n{LETTER}"
    assert questions["42"].prompt == words
    assert [each.id_is_number for each in questions.values()] == [True, True, True, False, False]
    shown = {name: next(each.conversation.images()).source for name, each in questions.items()}
    assert shown["101669"] == folder / "SEED-Bench-image" / "1454426_2591111986"
    assert shown["v1738"] == folder / "SEED-Bench-video-image" / "10_v1738.png"


def test_a_video_is_shown_by_its_middle_frame_wherever_that_is(folder: Path) -> None:
    official = folder / "SEED-Bench-video-image" / "task10" / "ssv2_8_frame" / "v1738" / "4.png"
    own = folder / "SEED-Bench-video-image" / "10_v1738.png"
    for path in (official, own):  # the original's frame, once it is there, goes before one of eight
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        questions = {each.id: each for each in SEED_BENCH.questions(folder)}
        assert next(questions["v1738"].conversation.images()).source == path


def test_the_original_s_question_file_goes_before(folder: Path) -> None:
    line = {
        "question_id": "v1738",
        "image": "SEED-Bench-video-image/10_v1738.png",
        "text": "Whole prompt",
        "category": "Action",
    }
    write_lines(folder / "llava-seed-bench.jsonl", [line])
    (question,) = SEED_BENCH.questions(folder)
    assert (question.id, question.prompt) == ("v1738", "Whole prompt")
    assert next(question.conversation.images()).source == folder / "SEED-Bench-video-image" / "10_v1738.png"


def test_scores_by_kind_by_medium_and_in_total(folder: Path) -> None:
    answers = [Answer("101670", "A") if each.question_id == "101670" else each for each in right()]
    scored = SEED_BENCH.score(answers, folder, "llava")
    values = {metric.name: scored.value(metric.name) for metric in scored.metrics}
    assert values == {
        "total": 80,
        "image": pytest.approx(200 / 3),
        "video": 100,
        "Scene Understanding": 100,
        "Instances Counting": 50,
        "Action Recognition": 100,
        "Action Prediction": 100,
    }
    assert len({row.cluster for row in scored.rows}) == 4  # two questions share a picture


def test_missing_answers_are_wrong_and_extra_ones_left_out(folder: Path) -> None:
    answers = [*right()[1:], Answer("999999", "A"), Answer("42", "C")]
    scored = SEED_BENCH.score(answers, folder, "official")
    assert (scored.value(), scored.missing) == (80, 1)
    notes = " ".join(scored.notes)
    assert "1 of 5 questions have no answer" in notes
    assert "to none of the questions" in notes
    assert "followed by another" in notes


def test_questions_without_a_public_answer_are_left_out_and_said(folder: Path) -> None:
    questions = [record(*item) for item in ITEMS]
    del questions[0]["answer"]
    write_json(folder / "SEED-Bench.json", {"questions": questions, "question_type": KINDS})
    scored = SEED_BENCH.score(right(), folder, "official")
    assert (scored.value(), len(scored.rows)) == (100, 4)
    assert any("1 questions have no public answer" in note for note in scored.notes)


def test_the_benchmark_s_own_results_hold_enough_to_score_by(tmp_path: Path, folder: Path) -> None:
    """Ids, kinds and right letters of ``results.json``, as the authors publish them; no words, no pictures."""
    results = [{"q_id": name, "q_type_id": kind, "prediction": "A", "gt": answer} for name, kind, answer, _ in ITEMS]
    (tmp_path / "results.json").write_text("\n".join(map(json.dumps, results)))
    for place, write in (("list", write_json), ("lines", write_lines)):
        write(tmp_path / place / "SEED-Bench.json", results)  # type: ignore[operator]
        scored = SEED_BENCH.score(right(), tmp_path / place, "official")
        assert (scored.value(), scored.value("video"), scored.value("Instances Counting")) == (100, 100, 100)
    write_lines(tmp_path / "official" / "SEED-Bench.json", [record(*item) for item in ITEMS])
    assert SEED_BENCH.score(right(), tmp_path / "official", "official").value("Scene Understanding") == 100
    answers = SEED_BENCH.answers(tmp_path / "results.json")
    assert SEED_BENCH.score(answers, folder, "official").value() == 40  # two of five are "A"


def test_the_upload_is_in_the_order_of_the_questions_and_whole(folder: Path, tmp_path: Path) -> None:
    SEED_BENCH.submission(right()[::-1], folder, tmp_path / "upload.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "upload.jsonl").read_text().splitlines()]
    assert lines == [{"question_id": name, "prediction": answer} for name, _, answer, _ in ITEMS]
    read = SEED_BENCH.answers(tmp_path / "upload.jsonl")
    assert SEED_BENCH.score(read, folder, "llava").value() == 100
    with pytest.raises(UsageError, match="question 101669 has no answer"):
        SEED_BENCH.submission(right()[1:], folder, tmp_path / "part.jsonl")
    assert not (tmp_path / "part.jsonl").exists()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"questions": 3}, "item 1: expected 'question_id'"),
        ([1, 2], "row 1: expected an object"),
        ([{"question": "?"}], "item 1.*question_id"),
    ],
)
def test_a_file_of_something_else_is_an_error_with_its_place(tmp_path: Path, content: object, expected: str) -> None:
    write_json(tmp_path / "SEED-Bench.json", content)
    with pytest.raises(UsageError, match=expected):
        list(SEED_BENCH.questions(tmp_path))
