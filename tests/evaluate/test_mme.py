"""MME: the published score, and what pairs, sources and formats do to it."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark_files import SHORT, write_lines, write_mme
from pumice.errors import UsageError
from pumice.evaluate.questions import Answer
from pumice.evaluate.statistic import Scored
from pumice.evaluate.tasks import mme

ITEMS = {
    "color": [
        ("1.jpg", "Is it red?", "yes"),
        ("1.jpg", "Is it blue?", "no"),
        ("2.png", "Is it red?", "yes"),
        ("2.png", "Is it blue?", "no"),
    ],
    "code_reasoning": [("0001.png", "Is it 1?", "yes"), ("0001.png", "Is it 2?", "no")],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_mme(tmp_path / "MME", ITEMS)


def answered(folder: Path, said: list[str]) -> tuple[Answer, ...]:
    questions = list(mme.questions(folder))
    return tuple(Answer(question.id, text, question.prompt) for question, text in zip(questions, said, strict=True))


def test_the_published_score(published: Path) -> None:
    folder = published / "mme"
    scored = mme.score(mme.answers(folder / "answers-llava-v1.5-13b.jsonl"), folder, "llava")
    assert scored.value() == pytest.approx(1531.3187, abs=1e-4)
    assert scored.value("cognition") == pytest.approx(295.3571, abs=1e-4)
    assert (scored.missing, len(scored.rows)) == (0, 2374)
    assert sum(scored.value(name) for name in mme.PERCEPTION) == pytest.approx(scored.value())
    # Runs that ask a part of the pictures keep the rows of those.
    assert {row.cluster for row in scored.rows} == {each.image_key for each in mme.questions(folder)}


def test_the_order_of_the_answers_does_not_matter(published: Path) -> None:
    folder = published / "mme"
    answers = list(mme.answers(folder / "answers-llava-v1.5-13b.jsonl"))
    random.Random(5).shuffle(answers)
    assert mme.score(answers, folder, "llava").value() == pytest.approx(1531.3187, abs=1e-4)


def test_the_official_tools_own_files_need_no_folder(published: Path, tmp_path: Path) -> None:
    folder = published / "mme"
    scored = mme.score(mme.answers(folder / "answers-llava-v1.5-13b.jsonl"), folder, "official")
    lines: dict[str, list[str]] = {}
    for row in scored.rows:
        image = row.question_id.partition("/")[2]
        lines.setdefault(row.group, []).append("\t".join((image, row.asked, row.expected.capitalize(), row.answer)))
    for name, each in lines.items():
        (tmp_path / f"{name}.txt").write_text("\n".join(each) + "\n", encoding="utf-8")
    again = mme.score(mme.answers(tmp_path), tmp_path / "nowhere", "official")
    assert again.value() == scored.value()
    assert again.value("cognition") == scored.value("cognition")


def test_the_prompts_are_those_of_the_original(published: Path, tmp_path: Path) -> None:
    shutil.copytree(published / "mme" / "ground_truth", tmp_path / "ground_truth")
    ours = {(each.image_key.rpartition(".")[0], each.prompt) for each in mme.questions(tmp_path)}
    theirs = {(each.image_key.rpartition(".")[0], each.prompt) for each in mme.questions(published / "mme")}
    assert ours == theirs
    assert len(ours) == 2374


@pytest.mark.parametrize(
    ("said", "color"),
    [
        (["Yes", "No", "Yes", "No"], 200.0),
        (["Yes", "No", "Yes", "Yes"], 75.0 + 50.0),
        (["Yes", "Yes", "No", "No"], 50.0),
        (["Yes", "Yes", "Yes", "Yes"], 50.0),
        (["maybe", "No", "Yes", "No"], 75.0 + 50.0),
    ],
)
def test_accuracy_plus_pairs(folder: Path, said: list[str], color: float) -> None:
    scored = mme.score(answered(folder, [*said, "Yes", "No"]), folder, "official")
    assert scored.value("color") == scored.value("perception") == color
    assert scored.value("cognition") == 200.0


def test_a_pair_with_one_answer_is_not_right(folder: Path) -> None:
    scored: Scored = mme.score(answered(folder, ["Yes", "No"] * 3)[1:], folder, "llava")
    assert scored.value("color") == 75.0 + 50.0
    assert scored.missing == 1
    assert "1 of 6 questions have no answer" in scored.notes[0]
    assert any("Without existence" in note for note in scored.notes)


def test_answers_without_prompts_go_by_the_order_of_a_picture(folder: Path) -> None:
    answers = [replace(each, prompt="") for each in answered(folder, ["Yes", "No"] * 3)]
    assert mme.score(answers, folder, "llava").value("color") == 200.0


def test_somebody_else_s_words_around_a_question_do_not_hide_it(folder: Path) -> None:
    answers = [
        replace(each, prompt=f"<image>\nQ: {each.prompt} Say y or n.") for each in answered(folder, ["Yes", "No"] * 3)
    ]
    assert mme.score(answers, folder, "llava").value("color") == 200.0


def test_the_pictures_own_folders_hold_the_answers_too(folder: Path, tmp_path: Path) -> None:
    release = tmp_path / "other" / "MME_Benchmark_release_version"
    for subtask, items in ITEMS.items():
        inner = release / subtask / "questions_answers_YN"
        inner.mkdir(parents=True)
        (release / subtask / "images").mkdir()
        for image, text, label in items:
            (release / subtask / "images" / image).write_bytes(b"")
            with (inner / f"{Path(image).stem}.txt").open("a") as file:
                file.write(f"{text} Please answer yes or no.\t{label.capitalize()}\n")
    there = list(mme.questions(tmp_path / "other"))
    assert {(each.id, each.prompt) for each in there} == {(each.id, each.prompt) for each in mme.questions(folder)}
    assert next(there[0].conversation.images()).source == release / "color" / "images" / "1.jpg"
    scored = mme.score(answered(folder, ["Yes", "No"] * 3), tmp_path / "other", "llava")
    assert (scored.value("perception"), scored.value("cognition")) == (200.0, 200.0)


def test_the_paper_s_suffix(folder: Path) -> None:
    assert [each.prompt for each in mme.questions(folder)][:1] == ["Is it red?" + SHORT]


def test_what_is_missing_or_broken_is_said(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no folder") as nothing:
        list(mme.questions(tmp_path / "nowhere"))
    assert "BradyFU" in (nothing.value.hint or "")
    with pytest.raises(UsageError, match="none of the 1 answers"):
        mme.score([Answer("9", "yes", "What?")], folder, "llava")
    (folder / "eval_tool/Your_Results/color.txt").write_text("1.jpg\tIs it red?\tPerhaps\n")
    with pytest.raises(UsageError, match="expected Yes or No"):
        mme.score([Answer("color/1.jpg", "yes")], folder, "llava")
    path = write_lines(tmp_path / "color.txt", [{"not": "a table"}])
    with pytest.raises(UsageError, match="expected picture, question, right answer and answer"):
        mme.answers(path)
