"""VQAv2, GQA, VizWiz and TextVQA from their official files: prompts, profiles, submissions, and what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmark_files import SHORT, write_gqa, write_json, write_lines, write_textvqa, write_vizwiz, write_vqav2
from pumice.errors import UsageError
from pumice.evaluate.questions import Answer
from pumice.evaluate.tasks import gqa, textvqa, vizwiz, vqav2

TEN_YES = ["yes"] * 10
SOME_CAT = ["cat"] * 2 + ["dog"] * 8
UNSURE = "\nWhen the provided information is insufficient, respond with 'Unanswerable'."


@pytest.fixture
def vqa(tmp_path: Path) -> Path:
    return write_vqav2(tmp_path / "vqav2", [(10, 42, "Is it?", TEN_YES), (11, 42, "What is it?", SOME_CAT)])


def test_vqav2_in_three_profiles(vqa: Path, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [{"question_id": 10, "text": "Yes"}, {"question_id": 11, "text": "cat"}])
    answers = vqav2.TASK.answers(path)
    figures = {name: vqav2.score(answers, vqa, name).value() for name in ("official", "llava", "lmms-eval")}
    assert figures == pytest.approx({"official": 30.0, "llava": 80.0, "lmms-eval": 80.0})
    scored = vqav2.score(answers, vqa, "llava")
    assert (scored.value("yes/no"), scored.value("other")) == (100.0, pytest.approx(60.0))
    assert "number" not in {metric.name for metric in scored.metrics}
    assert {row.cluster for row in scored.rows} == {"COCO_val2014_000000000042.jpg"}


def test_vqav2_s_annotations_of_val_come_first_and_may_have_a_folder(vqa: Path, tmp_path: Path) -> None:
    answers = [Answer("10", "yes"), Answer("11", "dog")]
    expected = vqav2.score(answers, vqa, "official").value()
    write_json(vqa / "v2_mscoco_train2014_annotations.json", {"data_subtype": "train2014", "annotations": []})
    assert vqav2.score(answers, vqa, "official").value() == expected
    inner = tmp_path / "other" / "Annotations"
    inner.mkdir(parents=True)
    (vqa / "v2_mscoco_val2014_annotations.json").rename(inner / "v2_mscoco_val2014_annotations.json")
    assert vqav2.score(answers, tmp_path / "other", "official").value() == expected


def test_vqav2_questions_are_put_as_in_the_paper(vqa: Path) -> None:
    (vqa / "val2014").mkdir()
    first = next(vqav2.questions(vqa))
    assert (first.id, first.prompt, first.id_is_number) == ("10", "Is it?" + SHORT, True)
    assert next(first.conversation.images()).source == vqa / "val2014/COCO_val2014_000000000042.jpg"
    rows = [{"question_id": 5, "image": "COCO_test2015_1.jpg", "text": "Why?" + SHORT, "category": "default"}]
    write_lines(vqa / "llava_vqav2_mscoco_test-dev2015.jsonl", rows)
    assert [each.prompt for each in vqav2.questions(vqa)] == ["Why?" + SHORT]


def test_vqav2_submission_answers_all_of_test2015(vqa: Path, tmp_path: Path) -> None:
    answers = [Answer("7", "The dog's toy."), Answer("9", "2.")]
    out = tmp_path / "upload.json"
    with pytest.raises(UsageError, match="test2015"):
        vqav2.submission(answers, vqa, out)
    rows = [{"question_id": number, "image": "x.jpg", "text": "?"} for number in (9, 8, 7)]
    write_lines(vqa / "llava_vqav2_mscoco_test2015.jsonl", rows)
    vqav2.submission(answers, vqa, out)
    assert json.loads(out.read_text()) == [
        {"question_id": 9, "answer": "2"},
        {"question_id": 8, "answer": ""},
        {"question_id": 7, "answer": "dog 's toy"},
    ]
    with pytest.raises(UsageError, match="none of the answers"):
        vqav2.submission([Answer("1", "a")], vqa, out)


def test_where_labels_are_on_a_server_a_score_says_so(tmp_path: Path) -> None:
    write_lines(tmp_path / "llava_vqav2_mscoco_test-dev2015.jsonl", [])
    with pytest.raises(UsageError, match="server"):
        vqav2.score([Answer("1", "a")], tmp_path, "llava")
    with pytest.raises(UsageError, match="server"):
        vizwiz.score([Answer("1", "a")], tmp_path, "llava")


QUESTIONS = {"201": ("n1", "Is it?", "yes"), "202": ("n2", "What is it?", "t-shirt"), "203": ("n2", "Which?", "left")}


def test_gqa_in_four_profiles(tmp_path: Path) -> None:
    folder = write_gqa(tmp_path / "gqa", QUESTIONS)
    rows = [("201", "Yes."), ("202", "tshirt"), ("203", "left")]
    original = write_lines(
        tmp_path / "a.jsonl", [{"question_id": name, "prompt": "?", "text": text} for name, text in rows]
    )
    answers = gqa.TASK.answers(original)
    figures = {name: gqa.score(answers, folder, name).value() for name in gqa.TASK.profiles}
    assert figures == pytest.approx({"official": 100 / 3, "llava": 200 / 3, "lmms-eval": 100.0, "vlmevalkit": 100 / 3})
    scored = gqa.score(answers, folder, "llava")
    assert (scored.value("binary"), scored.value("open"), scored.value("verify")) == (100.0, 50.0, 100.0)
    assert scored.value("about: attribute") == scored.value()


def test_gqa_submission_is_what_its_tool_reads(tmp_path: Path) -> None:
    folder = write_gqa(tmp_path / "gqa", QUESTIONS)
    out = tmp_path / "predictions.json"
    gqa.submission([Answer("201", "Yes."), Answer("203", "Left")], folder, out)
    assert json.loads(out.read_text())[0] == {"questionId": "201", "prediction": "yes"}
    scored = gqa.score(gqa.TASK.answers(out), folder, "official")
    assert scored.value() == pytest.approx(200 / 3)
    assert scored.missing == 1
    first = next(gqa.questions(folder))
    assert first.prompt == "Is it?" + SHORT
    assert next(first.conversation.images()).source == folder / "data/images/n1.jpg"


def test_gqa_counts_balanced_questions_alone(tmp_path: Path) -> None:
    folder = write_gqa(tmp_path / "gqa", QUESTIONS)
    path = folder / "data" / "testdev_balanced_questions.json"
    content = json.loads(path.read_text())
    content["203"]["isBalanced"] = False
    write_json(path, content)
    assert len(gqa.score([Answer("201", "yes")], folder, "llava").rows) == 2


def test_vizwiz_by_number_and_by_picture(tmp_path: Path) -> None:
    people = ["dog's toy"] * 10
    folder = write_vizwiz(
        tmp_path, [("VizWiz_val_0.jpg", "what is this? ", people), ("VizWiz_val_1.jpg", "Why?", TEN_YES)]
    )
    numbered = [Answer("0", "dog's toy"), Answer("1", "Yes")]
    upload = write_json(
        tmp_path / "upload.json",
        [{"image": "VizWiz_val_0.jpg", "answer": "dog's toy"}, {"image": "VizWiz_val_1.jpg", "answer": "Yes"}],
    )
    for answers in (numbered, vizwiz.answers(upload)):
        figures = {name: vizwiz.score(answers, folder, name).value() for name in vizwiz.TASK.profiles}
        assert figures == {"official": 100.0, "llava": 50.0, "lmms-eval": 100.0, "vlmevalkit": 100.0}
    first = next(vizwiz.questions(folder))
    assert first.prompt == "What is this? " + UNSURE + SHORT
    assert next(first.conversation.images()).source == folder / "val/VizWiz_val_0.jpg"


def test_vizwiz_submission_is_what_the_original_uploaded(published: Path, tmp_path: Path) -> None:
    folder = published / "vizwiz"
    answers = vizwiz.answers(folder / "answers-first400.jsonl")
    vizwiz.submission(answers, folder, tmp_path / "upload.json")
    uploaded = json.loads((folder / "uploaded-first400.json").read_text())
    assert json.loads((tmp_path / "upload.json").read_text()) == uploaded
    with pytest.raises(UsageError, match="1 of 400 questions"):
        vizwiz.submission(answers[1:], folder, tmp_path / "upload.json")


def test_vizwiz_prompts_from_its_own_file(published: Path, tmp_path: Path) -> None:
    theirs = list(vizwiz.questions(published / "vizwiz"))
    content = [{"image": each.image_key, "question": each.prompt.split("\n")[0].lower()} for each in theirs]
    write_json(tmp_path / "test.json", content)
    assert [(each.id, each.prompt) for each in vizwiz.questions(tmp_path)] == [
        (each.id, each.prompt) for each in theirs
    ]


SIGNS = [
    ("0a1b", "what is written?", ["stop"] * 10, ["STOP", "ALL"]),
    ("0a1b", "which colour?", ["1. red"] * 10, ["STOP", "ALL"]),
    ("0c2d", "what brand?", ["coke"] * 10, []),
]


def test_textvqa_prompts_hold_the_words_found(tmp_path: Path) -> None:
    folder = write_textvqa(tmp_path, SIGNS)
    prompts = [each.prompt for each in textvqa.questions(folder)]
    assert prompts[0] == "What is written?\nReference OCR token: STOP, ALL" + SHORT
    assert prompts[2] == "What brand?\nReference OCR token: " + SHORT
    assert next(next(textvqa.questions(folder)).conversation.images()).source == folder / "train_images/0a1b.jpg"


def test_textvqa_prompts_are_those_of_the_original(published: Path, tmp_path: Path) -> None:
    theirs = list(textvqa.questions(published / "textvqa"))
    lines = [each.prompt.split("\n") for each in theirs]
    words = [line[1].removeprefix("Reference OCR token: ").split(", ") for line in lines]
    signs = [
        (each.id, line[0].lower(), TEN_YES, [] if found == [""] else found)
        for each, line, found in zip(theirs, lines, words, strict=True)
    ]
    ours = list(textvqa.questions(write_textvqa(tmp_path, signs)))
    assert [(each.id, each.prompt, each.image_key) for each in ours] == [
        (each.id, each.prompt, each.image_key) for each in theirs
    ]


def test_textvqa_finds_questions_by_picture_and_words_or_number(tmp_path: Path) -> None:
    folder = write_textvqa(tmp_path, SIGNS)
    asked = list(textvqa.questions(folder))
    said = ["Stop", "1. red", "Coke."]
    prompted = [Answer(question.id, text, question.prompt) for question, text in zip(asked, said, strict=True)]
    numbered = [Answer(str(34602 + place), text) for place, text in enumerate(said)]
    for answers in (prompted, numbered):
        assert textvqa.score(answers, folder, "llava").value() == pytest.approx(100.0)
        assert textvqa.score(answers, folder, "official").value() == pytest.approx(100.0)


def test_textvqa_original_averages_over_the_lines_of_the_file(tmp_path: Path) -> None:
    folder = write_textvqa(tmp_path, SIGNS)
    answers = [Answer("34602", "stop"), Answer("34602", "go"), Answer("34604", "coke")]
    original = textvqa.score(answers, folder, "llava")
    assert original.value() == pytest.approx(200 / 3)
    assert (original.missing, len(original.notes)) == (1, 2)
    assert textvqa.score(answers, folder, "official").value() == pytest.approx(100 / 3)


@pytest.mark.parametrize(
    "prompt",
    [
        "What Is It?" + SHORT,
        "What Is It?\nReference OCR token: A, B" + SHORT,
        "Reference OCR token: A, B\nWhat Is It?" + SHORT,
        "OCR tokens: A. Question: What Is It? Short answer:",
        "What is it?",
    ],
)
def test_the_question_within_a_prompt(prompt: str) -> None:
    assert textvqa.question_of(prompt) == "what is it?"


def test_published_answers_are_to_the_questions(published: Path, tmp_path: Path) -> None:
    folder = published / "textvqa"
    answers = textvqa.TASK.answers(folder / "answers-first200.jsonl")
    signs = [(each.question_id, textvqa.question_of(each.prompt), [each.text] * 10, []) for each in answers]
    scored = textvqa.score(answers, write_textvqa(tmp_path, signs), "llava")
    assert (scored.value(), scored.missing, len(scored.rows)) == (pytest.approx(100.0), 0, 200)


def test_textvqa_sees_through_somebody_else_s_prompt(tmp_path: Path) -> None:
    folder = write_textvqa(tmp_path, SIGNS)
    answers = [
        Answer("0a1b", "stop", "<image>\nWhat is written?\nReference OCR token: STOP, ALL" + SHORT),
        Answer("0a1b", "1. red", "Read the sign, then tell: which colour? Be short."),
        Answer("0c2d", "coke"),
    ]
    assert textvqa.score(answers, folder, "official").value() == pytest.approx(100.0)
