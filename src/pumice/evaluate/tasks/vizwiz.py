"""VizWiz: 8,000 questions that blind people asked about their own photographs (test), answered by ten people each.

People's answers to the test questions are on a server; those to val are public, and are scored here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from pumice.errors import UsageError
from pumice.evaluate.formula import mean
from pumice.evaluate.predictions import IDS, Record, read_answers, read_records
from pumice.evaluate.questions import Answer, Question
from pumice.evaluate.scoring.matching import Matched, match
from pumice.evaluate.scoring.normalise import m4c
from pumice.evaluate.scoring.vqa import vizwiz_accuracy
from pumice.evaluate.statistic import Metric, Row, Scored
from pumice.evaluate.task import SHORT, File, Profile, Task
from pumice.evaluate.tasks import original
from pumice.files import fresh_file

_UNSURE = "When the provided information is insufficient, respond with 'Unanswerable'."
_SITE = "https://vizwiz.org/tasks-and-datasets/vqa/ (Annotations.zip)"
_QUESTIONS = File(
    ("llava_test.jsonl", "questions*.jsonl", "test.json", "Annotations/test.json", "val.json", "Annotations/val.json"),
    "questions",
    f"{original.ZIP} or {_SITE}",
)
_TRUTH = File(
    ("val.json", "Annotations/val.json", "test.json", "Annotations/test.json"), "people's answers (val)", _SITE
)
_KINDS = ("yes/no", "number", "other", "unanswerable")


def questions(folder: Path) -> Iterator[Question]:
    """The original's question file if it is there, else the benchmark's own: test before val."""
    path = _QUESTIONS.find(folder)
    if path.suffix == ".jsonl":
        yield from original.questions(path, original.pictures(folder, ("test", "val")))
        return
    images = original.pictures(folder, (path.stem,))
    for number, record in enumerate(read_records(path)):
        place = f"{path}, question {number}"
        image = original.text(record, "image", place)
        prompt = f"{original.text(record, 'question', place).capitalize()}\n{_UNSURE}\n{SHORT}"
        yield Question(str(number), original.ask(prompt, images / image), image, id_is_number=True)


def answers(path: Path) -> tuple[Answer, ...]:
    """Of the original's format, or what the server takes, where the picture's name is the question's."""
    return read_answers(path, (*IDS, "image"))


def score(given: Sequence[Answer], folder: Path, profile: Profile) -> Scored:
    """Soft accuracy, over all and by the kind of answer. Raises UsageError without people's answers."""
    truth = _truth(folder)
    matched = match(truth, given, _picture_of(_names(folder)), "VizWiz")
    rows = tuple(_row(truth[image], answer, profile) for image, answer in matched.pairs)
    metrics = [Metric("accuracy", 100 * mean("accuracy"))]
    metrics += [Metric(kind, 100 * mean("accuracy", kind)) for kind in _KINDS if any(row.group == kind for row in rows)]
    return Scored("vizwiz", profile, "accuracy", rows, tuple(metrics), matched.missing, matched.notes())


def submission(given: Sequence[Answer], folder: Path, path: Path) -> None:
    """What EvalAI takes: an answer to every picture, normalised. Raises UsageError if one is missing."""
    names = _names(folder)
    matched: Matched[str] = match(names.values(), given, _picture_of(names), "VizWiz")
    if matched.missing:
        raise UsageError(
            f"{matched.missing} of {len(matched.pairs)} questions have no answer; VizWiz's server wants all of them"
        )
    rows = [{"image": image, "answer": m4c(answer.text)} for image, answer in matched.pairs if answer is not None]
    with fresh_file(path, overwrite=True) as file:
        file.write(json.dumps(rows).encode())


def _names(folder: Path) -> dict[str, str]:
    """The pictures of the questions that are asked, by the question's id."""
    return {each.id: each.image_key for each in questions(folder)}


def _picture_of(names: Mapping[str, str]) -> Callable[[Answer], str]:
    return lambda answer: names.get(answer.question_id, answer.question_id)


def _truth(folder: Path) -> dict[str, Record]:
    for path in _TRUTH.all(folder):
        found = {original.text(each, "image", str(path)): each for each in read_records(path) if "answers" in each}
        if found:
            return found
    raise UsageError(
        f"{folder} has no val.json with people's answers: those to the test questions are on VizWiz's server",
        hint="write a submission and upload it (EvalAI, challenge 2185), or put val.json there",
    )


def _row(truth: Record, answer: Answer | None, profile: Profile) -> Row:
    image = str(truth["image"])
    people = original.texts(truth, "answers", f"the annotation of {image}")
    return Row(
        question_id=image,
        cluster=image,
        values={"accuracy": 0.0 if answer is None else vizwiz_accuracy(answer.text, people, profile)},
        group=str(truth.get("answer_type") or ""),
        asked=str(truth.get("question") or ""),
        answer="" if answer is None else answer.text,
        expected=", ".join(dict.fromkeys(people)),
        note="no answer" if answer is None else "",
    )


TASK = Task(
    name="vizwiz",
    title="VizWiz",
    folder="vizwiz",
    files=(_QUESTIONS, _TRUTH),
    questions=questions,
    answers=answers,
    score=score,
    published={"7B": 50.0, "13B": 53.6},
    submission=submission,
)
