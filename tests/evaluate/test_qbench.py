"""Q-Bench: prompts in both languages, answers as the original writes them, scores by type and concern."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmark_files import write_json
from pumice.errors import UsageError
from pumice.evaluate.questions import Answer
from pumice.evaluate.tasks.q_bench import Q_BENCH

ITEMS = [
    {
        **{"img_path": picture, "question": question, "candidates": candidates},
        **{"correct_ans": right, "type": kind, "concern": concern},
    }
    for picture, question, candidates, right, kind, concern in (
        ("1.jpg", "Is it sharp?", ["No", "Yes"], "Yes", 0, 0),
        ("1.jpg", "How is the light?", ["Dim", "Bright", "Medium"], "Dim", 2, 1),
        ("2.jpg", "Is it sharp?", ["Yes", "No"], "No", 0, 3),
    )
]
SAID = ["B. Yes", "Bright", "The answer is no."]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_json(tmp_path / "qbench" / "llvisionqa_dev.json", ITEMS)
    (tmp_path / "qbench" / "images_llvisionqa").mkdir()
    return tmp_path / "qbench"


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    """Objects end to end, without anything between, as ``model_vqa_qbench.py`` appends them."""
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(json.dumps({**item, "response": said}) for item, said in zip(ITEMS, SAID, strict=True)))
    return path


def test_prompts_are_the_original_s(folder: Path) -> None:
    first, second, _ = Q_BENCH.questions(folder)
    assert first.prompt == "Is it sharp?\nChoose between one of the options as follows:\nA. No\nB. Yes\n"
    assert second.options == ("Dim", "Bright", "Medium")
    assert second.category == "how"
    assert next(first.conversation.images()).source == folder / "images_llvisionqa" / "1.jpg"


def test_chinese_questions_are_asked_in_chinese(folder: Path) -> None:
    write_json(
        folder / "llvisionqa_dev.json", [{**ITEMS[0], "question": "这张照片清晰吗?", "candidates": ["否", "是"]}]
    )
    (question,) = Q_BENCH.questions(folder)
    assert question.prompt == "这张照片清晰吗?\n在下列选项中选择一个:\nA. 否\nB. 是\n"


def test_the_original_s_answers_score_with_and_without_the_questions(folder: Path, answers: Path) -> None:
    read = Q_BENCH.answers(answers)
    for place in (folder, folder / "nothing"):
        scored = Q_BENCH.score(read, place, "official")
        values = {metric.name: round(scored.value(metric.name), 2) for metric in scored.metrics}
        types = {"yes-or-no": 100, "how": 0}
        assert values == {"overall": 66.67, **types, "distortion": 100, "others": 0, "in-context others": 100}
        assert [row.correct for row in scored.rows] == [True, False, True]
        assert len({row.cluster for row in scored.rows}) == 2


def test_answers_of_an_own_run_are_told_apart_by_picture_and_prompt(folder: Path) -> None:
    asked = list(Q_BENCH.questions(folder))
    answers = [Answer(each.id, said, each.prompt) for each, said in zip(asked, SAID, strict=True)]
    assert Q_BENCH.score(answers, folder, "official").value() == pytest.approx(200 / 3)
    scored = Q_BENCH.score([*answers[:1], Answer("1.jpg", "A", "Something else?")], folder, "official")
    assert scored.missing == 2
    assert any("to none of the questions" in note for note in scored.notes)


def test_the_file_for_the_authors_holds_the_items_with_responses(folder: Path, tmp_path: Path) -> None:
    asked = list(Q_BENCH.questions(folder))
    answers = [Answer(each.id, said, each.prompt) for each, said in zip(asked, SAID, strict=True)]
    Q_BENCH.submission(answers, folder, tmp_path / "upload.json")
    assert json.loads((tmp_path / "upload.json").read_text()) == [
        {**item, "response": said} for item, said in zip(ITEMS, SAID, strict=True)
    ]
    read = Q_BENCH.answers(tmp_path / "upload.json")
    assert Q_BENCH.score(read, folder, "official").value() == pytest.approx(200 / 3)


def test_a_split_without_right_answers_and_other_files_are_refused(folder: Path) -> None:
    bare = [{key: value for key, value in item.items() if key != "correct_ans"} for item in ITEMS]
    write_json(folder / "llvisionqa_dev.json", bare)
    with pytest.raises(UsageError, match="no right answers"):
        Q_BENCH.score([Answer("1.jpg", "A")], folder, "official")
    write_json(folder / "llvisionqa_dev.json", [{"question": "?"}])
    with pytest.raises(UsageError, match="item 1: expected 'img_path'"):
        list(Q_BENCH.questions(folder))
    with pytest.raises(UsageError, match="no folder"):
        Q_BENCH.score([Answer("1.jpg", "A")], folder / "nothing", "official")
