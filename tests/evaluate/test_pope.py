"""POPE: three files, three ways to name a question, and two ways to add up."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from benchmark_files import SHORT, Labelled, write_json, write_lines, write_pope
from pumice.errors import UsageError
from pumice.evaluate.questions import Answer, Question
from pumice.evaluate.tasks import pope


def asked(image: str, *labels: str) -> list[Labelled]:
    return [(image, f"Is there a thing {place} in the image?", label) for place, label in enumerate(labels)]


ITEMS = {
    "random": asked("a.jpg", "yes", "no", "yes", "no"),
    "popular": asked("a.jpg", "yes", "no", "yes", "no", "yes", "no"),
    "adversarial": asked("b.jpg", "yes", "no"),
}
# random: 1 of 2 found, nothing made up: F1 2/3. popular: 3 of 3 found, 2 made up: 3/4. adversarial: perfect.
SAID = {
    "random": ["Yes", "No", "No", "no"],
    "popular": ["Yes", "Yes", "Yes, there is.", "Yes", "yes", "There is not."],
    "adversarial": ["Yes", "No, there is none"],
}
F1 = {"random": 2 / 3, "popular": 3 / 4, "adversarial": 1.0}
OFFSETS = {"adversarial": 0, "random": 10_000_000, "popular": 20_000_000}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_pope(tmp_path / "pope", ITEMS)


def all_said() -> list[tuple[str, int, str]]:
    return [(category, place, text) for category, texts in SAID.items() for place, text in enumerate(texts, 1)]


def original_lines(folder: Path) -> Path:
    rows = [
        {"question_id": OFFSETS[name] + place, "prompt": ITEMS[name][place - 1][1] + SHORT, "text": text}
        for name, place, text in all_said()
    ]
    return write_lines(folder / "original.jsonl", rows)


def shuffled_lines(folder: Path) -> Path:
    path = original_lines(folder)
    lines = path.read_text().splitlines(keepends=True)
    random.Random(3).shuffle(lines)
    path.write_text("".join(lines))
    return path


def one_list(folder: Path) -> Path:
    rows = [{"question_id": place, "answer": text, "category": name} for name, place, text in all_said()]
    return write_json(folder / "answers.json", rows)


def official_folder(folder: Path) -> Path:
    for name, texts in SAID.items():
        rows = [{"question": item[1], "answer": text} for item, text in zip(ITEMS[name], texts, strict=True)]
        write_lines(folder / "answers" / f"coco_pope_{name}_answers.json", rows)
    return folder / "answers"


@pytest.mark.parametrize("write", [original_lines, shuffled_lines, one_list, official_folder])
@pytest.mark.parametrize("profile", ["official", "llava"])
def test_every_format_gives_the_mean_of_three(folder: Path, tmp_path: Path, write, profile) -> None:  # type: ignore[no-untyped-def]
    scored = pope.score(pope.answers(write(tmp_path)), folder, profile)
    for name, value in F1.items():
        assert scored.value(f"F1 {name}") == pytest.approx(100 * value)
    assert scored.value() == pytest.approx(100 * sum(F1.values()) / 3)
    assert scored.value("accuracy random") == pytest.approx(75)
    assert scored.value("yes popular") == pytest.approx(100 * 5 / 6)
    assert scored.value("recall popular") == pytest.approx(100)
    assert scored.value("precision popular") == pytest.approx(60)
    assert scored.missing == 0
    assert not scored.notes


def test_the_harnesses_add_all_questions_up(folder: Path, tmp_path: Path) -> None:
    answers = pope.answers(original_lines(tmp_path))
    lmms = pope.score(answers, folder, "lmms-eval")
    # Bare words only: of 6 true ones 4 are said, 1 denied and 1 is no bare word; 2 are made up.
    assert lmms.value("precision") == pytest.approx(100 * 4 / 6)
    assert lmms.value("recall") == pytest.approx(100 * 4 / 5)
    assert lmms.value("yes") == 50.0  # of the labels, as its code has it
    assert lmms.value("accuracy") == pytest.approx(100 * (4 + 2) / 12)
    vlm = pope.score(answers, folder, "vlmevalkit")
    # "There is not." is neither word: no yes for F1, but wrong.
    assert vlm.value() == pytest.approx(100 * 2 * 5 / (2 * 5 + 2 + 1))
    assert vlm.value("accuracy") == pytest.approx(100 * 8 / 12)
    assert any("1 answers are neither" in note for note in vlm.notes)


def test_ids_of_the_original_s_question_file(folder: Path, tmp_path: Path) -> None:
    ours = list(pope.questions(folder))
    rows = [
        {"question_id": 500 + place, "image": each.image_key, "text": each.prompt, "category": each.category}
        for place, each in enumerate(reversed(ours))
    ]
    write_lines(folder / "llava_pope_test.jsonl", rows)
    theirs = list(pope.questions(folder))
    assert [each.prompt for each in theirs] == [each.prompt for each in reversed(ours)]
    answers = [Answer(each.id, _truth(folder, each)) for each in theirs]
    assert pope.score(answers, folder, "llava").value() == 100.0


def _truth(folder: Path, question: Question) -> str:
    lines = (folder / "coco" / f"coco_pope_{question.category}.json").read_text().splitlines()
    (label,) = [
        each["label"]
        for each in map(json.loads, lines)
        if (each["image"], each["text"] + SHORT) == (question.image_key, question.prompt)
    ]
    return str(label)


def test_without_the_original_s_file_its_numbers_are_places(folder: Path, tmp_path: Path) -> None:
    path = folder / "coco" / "coco_pope_random.json"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    write_lines(path, [{**row, "question_id": row["question_id"] * 7} for row in rows])  # an edition with gaps
    scored = pope.score(pope.answers(original_lines(tmp_path)), folder, "llava")
    assert (scored.value("F1 random"), scored.missing) == (pytest.approx(100 * F1["random"]), 0)


def test_another_edition_s_words_are_matched_by_place(folder: Path, tmp_path: Path) -> None:
    rows = [
        {"question_id": each.id, "image": each.image_key, "text": f"Is there an {SHORT}", "category": each.category}
        for each in pope.questions(folder)
    ]
    write_lines(folder / "llava_pope_test.jsonl", rows)
    scored = pope.score(pope.answers(original_lines(tmp_path)), folder, "llava")
    assert scored.value() == pytest.approx(100 * sum(F1.values()) / 3)


def test_questions_are_numbered_and_put_as_in_the_paper(folder: Path) -> None:
    questions = list(pope.questions(folder))
    assert [each.id for each in questions][:3] == ["1", "2", "10000001"]
    assert questions[0].prompt == "Is there a thing 0 in the image?" + SHORT
    assert questions[0].id_is_number
    assert next(questions[0].conversation.images()).source == folder / "val2014" / "b.jpg"
    assert {each.image_key for each in questions} == {"a.jpg", "b.jpg"}


def test_what_is_left_over_is_counted(folder: Path, tmp_path: Path) -> None:
    answers = list(pope.answers(original_lines(tmp_path)))
    scored = pope.score([*answers[2:], answers[5], Answer("77", "Yes")], folder, "llava")
    assert scored.missing == 2
    assert [note.split()[0] for note in scored.notes] == ["2", "1", "1"]
    assert scored.value("recall random") == 0.0  # the one found has no answer now, the other was denied


def test_answers_out_of_order_are_noticed(folder: Path, tmp_path: Path) -> None:
    path = official_folder(tmp_path)
    rows = (path / "coco_pope_popular_answers.json").read_text().splitlines()
    (path / "coco_pope_popular_answers.json").write_text("\n".join(reversed(rows)))
    assert any("repeat another question" in note for note in pope.score(pope.answers(path), folder, "llava").notes)


def test_what_cannot_be_told_or_found_is_said(folder: Path, tmp_path: Path) -> None:
    nameless = write_lines(tmp_path / "x.jsonl", [{"question": "?", "answer": "yes"}])
    with pytest.raises(UsageError, match="no question_id"):
        pope.score(pope.answers(nameless), folder, "llava")
    with pytest.raises(UsageError, match=r"coco_pope_random\.json") as nothing:
        list(pope.questions(tmp_path))
    assert "AoiDragon/POPE" in (nothing.value.hint or "")
    (folder / "coco" / "coco_pope_random.json").unlink()
    (folder / "coco" / "coco_pope_popular.json").unlink()
    scored = pope.score([Answer("1", "yes"), Answer("2", "no")], folder, "llava")
    assert (scored.value(), len(scored.rows)) == (100.0, 2)
    assert "Only of adversarial" in scored.notes[-1]
