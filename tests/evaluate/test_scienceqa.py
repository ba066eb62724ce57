"""ScienceQA: prompts, the column of pictures, and files of results."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark_files import write_json, write_lines, write_scienceqa
from pumice.errors import UsageError
from pumice.evaluate.questions import Answer
from pumice.evaluate.task import Profile
from pumice.evaluate.tasks import scienceqa

LETTER = "\nAnswer with the option's letter from the given choices directly."
PROBLEMS = {
    "11": {"question": "Which colony?", "choices": ["Maryland", "Vermont"], "answer": 1, "image": "image.png"},
    "15": {"question": "Which word?", "choices": ["no", "yes", "maybe"], "answer": 0, "grade": "grade8"},
    "23": {
        "question": "Which organism?",
        "choices": ["bilberry", "mushroom"],
        "answer": 1,
        "hint": "A food web.",
        "image": "image.png",
        "subject": "social science",
    },
    "26": {"question": "How long?", "choices": ["33 minutes", "33 hours"], "answer": 0, "hint": "Estimate."},
}
PROMPTS = {
    "11": "Which colony?\nA. Maryland\nB. Vermont" + LETTER,
    "23": "Context: A food web.\nWhich organism?\nA. bilberry\nB. mushroom" + LETTER,
    "26": "Context: Estimate.\nHow long?\nA. 33 minutes\nB. 33 hours" + LETTER,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_scienceqa(tmp_path / "scienceqa", PROBLEMS)


def given(**texts: str) -> list[Answer]:
    return [Answer(name.lstrip("q"), text) for name, text in texts.items()]


def test_prompts_are_the_original_s(folder: Path) -> None:
    questions = {each.id: each for each in scienceqa.questions(folder)}
    assert {name: questions[name].prompt for name in PROMPTS} == PROMPTS
    assert next(questions["11"].conversation.images()).source == folder / "images/test/11/image.png"
    assert not list(questions["15"].conversation.images())
    records = [
        {
            "id": name,
            "conversations": [
                {
                    "from": "human",
                    "value": ("<image>\n" if "image" in PROBLEMS[name] else "") + prompt.removesuffix(LETTER),
                },
                {"from": "gpt", "value": "B"},
            ],
            **({"image": f"{name}/image.png"} if "image" in PROBLEMS[name] else {}),
        }
        for name, prompt in PROMPTS.items()
    ]
    write_json(folder / "llava_test_CQM-A.json", records)
    theirs = {each.id: each for each in scienceqa.questions(folder)}
    for name, prompt in PROMPTS.items():
        assert theirs[name].prompt == prompt
        assert theirs[name].image_key == questions[name].image_key
        assert list(theirs[name].conversation.images()) == list(questions[name].conversation.images())


def test_the_column_of_pictures_and_the_table(folder: Path) -> None:
    answers = given(q11="B", q15="A. no", q23="The answer is A.", q26="33 hours")
    scored = scienceqa.score(answers, folder, "llava")
    figures = {metric.name: scored.value(metric.name) for metric in scored.metrics}
    assert figures == {
        "image accuracy": 50.0,
        "accuracy": 50.0,
        "NAT": pytest.approx(200 / 3),
        "SOC": 0.0,
        "TXT": 0.0,
        "IMG": 50.0,
        "NO": 100.0,
        "G1-6": pytest.approx(100 / 3),
        "G7-12": 100.0,
    }
    assert scored.headline == "image accuracy"
    assert "1 answers name no option" in scored.notes[0]


@pytest.mark.parametrize(("profile", "pictures"), [("llava", 100.0), ("official", 50.0)])
def test_a_missing_answer_is_wrong_but_for_the_original_s_column(
    folder: Path, profile: Profile, pictures: float
) -> None:
    answers = given(q11="The answer is B.", q15="The answer is A.", q26="The answer is A.")
    scored = scienceqa.score(answers, folder, profile)
    assert (scored.value(), scored.value("accuracy"), scored.missing) == (pictures, 75.0, 1)
    assert "1 of 4 questions have no answer" in scored.notes[0]


def test_an_option_that_is_not_there_is_wrong(folder: Path) -> None:
    scored = scienceqa.score(given(q11="C", q15="C"), folder, "llava")
    assert [row.note for row in scored.rows][:2] == ["names no option", ""]
    assert not any(row.correct for row in scored.rows)


def test_files_of_results_say_what_was_chosen(folder: Path, tmp_path: Path) -> None:
    results = {"acc": 50.0, "correct": 2, "count": 4, "results": {"11": 1, "15": -1, "23": 1, "26": 1}}
    outputs = {"11": "B", "15": "I cannot tell", "23": "The answer is B.", "26": "B"}
    path = write_json(tmp_path / "x_result.json", results | {"outputs": outputs})
    answers = scienceqa.answers(path)
    assert scienceqa.score(answers, folder, "official").value("accuracy") == 50.0
    assert scienceqa.score(answers, folder, "llava").value() == 100.0
    assert [each.text for each in answers] == list(outputs.values())
    without = scienceqa.answers(write_json(tmp_path / "y.json", results))
    assert scienceqa.score(without, folder, "llava").value("accuracy") == 50.0


def test_the_original_s_analysis(folder: Path, tmp_path: Path) -> None:
    analysis = {
        "correct": [{"question_id": "11", "pred": "B", "question": "<image>"}],
        "incorrect": [{"question_id": name, "pred": "B", "question": "?"} for name in ("15", "26")]
        + [{"question_id": "23", "pred": "A", "question": "<image>"}],
    }
    answers = scienceqa.answers(write_json(tmp_path / "x_output.jsonl", analysis))
    assert scienceqa.score(answers, folder, "llava").value("accuracy") == 25.0


def test_the_original_s_answers(folder: Path, tmp_path: Path) -> None:
    rows = [{"question_id": name, "prompt": "?", "text": "B", "metadata": {}} for name in PROBLEMS]
    answers = scienceqa.answers(write_lines(tmp_path / "answers.jsonl", rows))
    assert scienceqa.score(answers, folder, "llava").value() == 100.0


def test_what_is_missing_is_said(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"problems\.json"):
        scienceqa.score(given(q11="B"), tmp_path, "llava")
    write_json(folder / "pid_splits.json", {"test": ["11", "404"]})
    with pytest.raises(UsageError, match="lacks problem 404"):
        scienceqa.score(given(q11="B"), folder, "llava")
    write_scienceqa(folder, {"11": {**PROBLEMS["11"], "answer": 7}})
    with pytest.raises(UsageError, match="found 7"):
        scienceqa.score(given(q11="B"), folder, "llava")


def test_the_original_s_questions_tell_the_answers_too(folder: Path, tmp_path: Path) -> None:
    """Both give the same figures, but for what only ScienceQA's own files know."""
    prompts = {each.id: each.prompt for each in scienceqa.questions(folder)}
    records = [
        {
            "id": name,
            "conversations": [
                {
                    "from": "human",
                    "value": ("<image>\n" if "image" in each else "") + prompts[name].removesuffix(LETTER),
                },
                {"from": "gpt", "value": "ABC"[int(str(each["answer"]))]},
            ],
            **({"image": f"{name}/image.png"} if "image" in each else {}),
        }
        for name, each in PROBLEMS.items()
    ]
    alone = tmp_path / "alone"
    path = write_json(alone / "llava_test_CQM-A.json", records)
    answers = given(q11="B", q15="A", q23="A", q26="A")
    expected, scored = (scienceqa.score(answers, each, "llava") for each in (folder, alone))
    shared = [metric.name for metric in scored.metrics]
    assert shared == ["image accuracy", "accuracy", "TXT", "IMG", "NO"]
    assert [scored.value(name) for name in shared] == [expected.value(name) for name in shared]
    assert scored.value() == 50.0
    assert [row.cluster for row in scored.rows] == [row.cluster for row in expected.rows]
    write_json(path, [{**records[0], "conversations": records[0]["conversations"][:1]}, *records[1:]])  # type: ignore[index]
    with pytest.raises(UsageError, match="problem 11 of ScienceQA: expected the number of an option"):
        scienceqa.score(answers, alone, "llava")


def test_options_of_several_lines(tmp_path: Path) -> None:
    asked = "Context: A. Smith\nA. B. Jones wrote this.\nWhich?\nA. one\nB. two\nlines\nC. three"
    turns = [{"from": "human", "value": asked}, {"from": "gpt", "value": "C"}]
    write_json(tmp_path / "llava_test_CQM-A.json", [{"id": "1", "conversations": turns}])
    scored = scienceqa.score([Answer("1", "C")], tmp_path, "llava")
    assert (scored.value("accuracy"), scored.rows[0].expected) == (100.0, "C. three")
