"""GQA: 12,578 questions about how things in a picture relate (testdev_balanced), one right answer each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pumice.errors import UsageError
from pumice.evaluate.formula import mean
from pumice.evaluate.predictions import Record, read_answers, read_object
from pumice.evaluate.questions import Answer, Question
from pumice.evaluate.scoring.choice import gqa_right
from pumice.evaluate.scoring.matching import pair
from pumice.evaluate.statistic import Metric, Row, Scored
from pumice.evaluate.task import SHORT, File, Profile, Task
from pumice.evaluate.tasks import original
from pumice.evaluate.tasks.brought import paired, words, words_of
from pumice.files import fresh_file

_SITE = "https://cs.stanford.edu/people/dorarad/gqa/download.html (questions1.2.zip, images.zip)"
_PLACES = ("data/", "data/questions1.2/", "data/questions/", "questions1.2/", "questions/", "")
_QUESTIONS = File(("llava_gqa_testdev_balanced.jsonl", "questions*.jsonl"), "the original's questions", original.ZIP)
_TRUTH = File(
    tuple(
        f"{place}{name}.json" for name in ("testdev_balanced_questions", "*_balanced_questions") for place in _PLACES
    ),
    "questions with their answers",
    _SITE,
)
_IMAGES = ("data/images", "images", "data/allImages/images")
# GQA's codes of what a question is about.
_ABOUT = {"rel": "relation", "attr": "attribute", "obj": "object", "cat": "category", "global": "scene"}


def questions(folder: Path) -> Iterator[Question]:
    """The original's question file if it is there, else the benchmark's own; of that the balanced ones."""
    images = original.pictures(folder, _IMAGES)
    if _QUESTIONS.all(folder):
        yield from original.questions(_QUESTIONS.find(folder), images)
        return
    for name, record in _balanced(_TRUTH.find(folder)).items():
        image = f"{original.text(record, 'imageId', name)}.jpg"
        prompt = f"{original.text(record, 'question', name)}\n{SHORT}"
        yield Question(name, original.ask(prompt, images / image), image)


def score(answers: Sequence[Answer], folder: Path, profile: Profile) -> Scored:
    """Accuracy, over all, by the form of a question and by what it is about."""
    truth = _balanced(_TRUTH.find(folder))
    known = {name: words(str(each.get("question")), str(each.get("answer"))) for name, each in truth.items()}
    keyed = paired(known, answers, lambda answer: answer.question_id, lambda row: words_of(row, "question", "answer"))
    matched = pair(truth, keyed, "GQA")
    rows = tuple(_row(name, truth[name], answer, profile) for name, answer in matched.pairs)
    values = {value for row in rows for value in row.values}
    metrics = [Metric("accuracy", 100 * mean("right"))]
    metrics += [Metric(name, 100 * mean(name)) for name in ("binary", "open") if name in values]
    metrics += [Metric(name, 100 * mean("right", name)) for name in sorted({row.group for row in rows} - {""})]
    metrics += [Metric(f"about: {name}", 100 * mean(name)) for name in _ABOUT.values() if name in values]
    return Scored("gqa", profile, "accuracy", rows, tuple(metrics), matched.missing, matched.notes())


def submission(answers: Sequence[Answer], folder: Path, path: Path) -> None:
    """What GQA's own ``eval.py`` and its server take."""
    rows = [{"questionId": each.question_id, "prediction": each.text.rstrip(".").lower()} for each in answers]
    with fresh_file(path, overwrite=True) as file:
        file.write(json.dumps(rows).encode())


def _row(name: str, truth: Record, answer: Answer | None, profile: Profile) -> Row:
    expected = original.text(truth, "answer", f"question {name} of GQA")
    types = truth.get("types")
    types = types if isinstance(types, Mapping) else {}
    structure, about = str(types.get("structural") or ""), _ABOUT.get(str(types.get("semantic") or ""))
    right = answer is not None and gqa_right(answer.text, expected, profile)
    values = {"right": float(right)}
    if structure:
        values["open" if structure == "query" else "binary"] = float(right)
    if about:
        values[about] = float(right)
    return Row(
        question_id=name,
        cluster=f"{truth.get('imageId')}.jpg",
        values=values,
        group=structure,
        correct=right,
        asked=str(truth.get("question") or ""),
        answer="" if answer is None else answer.text,
        expected=expected,
        note="no answer" if answer is None else "",
    )


def _balanced(path: Path) -> dict[str, Record]:
    found = {name: each for name, each in read_object(path).items() if isinstance(each, Mapping)}
    balanced = {name: each for name, each in found.items() if each.get("isBalanced", True)}
    if not balanced:
        raise UsageError(f"{path} holds no questions of GQA", hint=f"get it from {_SITE}")
    return balanced


TASK = Task(
    name="gqa",
    title="GQA",
    folder="gqa",
    files=(_QUESTIONS, _TRUTH),
    questions=questions,
    answers=read_answers,
    score=score,
    published={"7B": 62.0, "13B": 63.3},
    submission=submission,
)
