"""VQAv2: 107,394 questions about COCO's pictures (test-dev2015), answered by ten people each.

People's answers to the test questions are on a server; those to val2014 are public, and are scored here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pumice.errors import UsageError
from pumice.evaluate.formula import mean
from pumice.evaluate.predictions import Record, read_answers, read_object, read_records
from pumice.evaluate.questions import Answer, Question
from pumice.evaluate.scoring.matching import match
from pumice.evaluate.scoring.normalise import m4c
from pumice.evaluate.scoring.vqa import vqav2_accuracy
from pumice.evaluate.statistic import Metric, Row, Scored
from pumice.evaluate.task import SHORT, File, Profile, Task
from pumice.evaluate.tasks import original
from pumice.files import fresh_file

_SITE = "https://visualqa.org/download.html"

_QUESTIONS = File(
    (
        "llava_vqav2_mscoco_test-dev2015.jsonl",
        "*test-dev2015_questions.json",
        *("v2_OpenEnded_mscoco_val2014_questions.json", "*/v2_OpenEnded_mscoco_val2014_questions.json"),
        "v2_*_questions.json",
        "questions*.jsonl",
    ),
    "questions",
    f"{original.ZIP} or {_SITE}",
)
_ALL = File(
    ("llava_vqav2_mscoco_test2015.jsonl", "*_test2015_questions.json"),
    "all questions of test2015, which the server wants answered",
    f"{original.ZIP} or {_SITE}",
)
_ANNOTATIONS = File(
    ("v2_mscoco_val2014_annotations.json", "*/v2_mscoco_val2014_annotations.json", "v2_*_annotations.json"),
    "people's answers (val2014)",
    _SITE,
)
_KINDS = ("yes/no", "number", "other")


def questions(folder: Path) -> Iterator[Question]:
    """The original's question file if it is there, else the benchmark's own."""
    path = _QUESTIONS.find(folder)
    if path.suffix == ".jsonl":
        yield from original.questions(path, original.pictures(folder, ("test2015", "val2014")))
        return
    content = read_object(path)
    subset = _split(content, path)
    images = original.pictures(folder, (subset,))
    for number, record in enumerate(_list(content, "questions", path), 1):
        place = f"{path}, question {number}"
        image = f"COCO_{subset}_{original.whole(record, 'image_id', place):012d}.jpg"
        prompt = f"{original.text(record, 'question', place)}\n{SHORT}"
        yield Question(
            original.text(record, "question_id", place), original.ask(prompt, images / image), image, id_is_number=True
        )


def score(answers: Sequence[Answer], folder: Path, profile: Profile) -> Scored:
    """Soft accuracy, over all and by the kind of answer. Raises UsageError without people's answers."""
    if not _ANNOTATIONS.all(folder):
        raise UsageError(
            f"{folder} has no v2_*_annotations.json: people's answers to the test questions are on VQA's server",
            hint="write a submission and upload it (EvalAI, challenge 830), or put the annotations of val2014 there",
        )
    path = _ANNOTATIONS.find(folder)
    content = read_object(path)
    subset = _split(content, path)
    truth = {original.text(each, "question_id", str(path)): each for each in _list(content, "annotations", path)}
    matched = match(truth, answers, lambda answer: answer.question_id, "VQAv2")
    rows = tuple(_row(truth[name], answer, subset, profile) for name, answer in matched.pairs)
    metrics = [Metric("accuracy", 100 * mean("accuracy"))]
    metrics += [Metric(kind, 100 * mean("accuracy", kind)) for kind in _KINDS if any(row.group == kind for row in rows)]
    return Scored("vqav2", profile, "accuracy", rows, tuple(metrics), matched.missing, matched.notes())


def submission(answers: Sequence[Answer], folder: Path, path: Path) -> None:
    """What EvalAI takes: an answer to every question of test2015, normalised; "" where there is none."""
    found = {answer.question_id: m4c(answer.text) for answer in answers}
    rows = [{"question_id": number, "answer": found.get(str(number), "")} for number in _all_ids(folder)]
    if not any(row["answer"] for row in rows):
        raise UsageError("none of the answers is to a question of test2015", hint="which benchmark are they of?")
    with fresh_file(path, overwrite=True) as file:
        file.write(json.dumps(rows).encode())


def _all_ids(folder: Path) -> Iterator[int]:
    path = _ALL.find(folder)
    rows = read_records(path) if path.suffix == ".jsonl" else _list(read_object(path), "questions", path)
    return (original.whole(row, "question_id", str(path)) for row in rows)


def _row(truth: Record, answer: Answer | None, subset: str, profile: Profile) -> Row:
    place = f"the annotation of question {truth.get('question_id')}"
    people = original.texts(truth, "answers", place)
    said = "" if answer is None else answer.text
    return Row(
        question_id=original.text(truth, "question_id", place),
        cluster=f"COCO_{subset}_{original.whole(truth, 'image_id', place):012d}.jpg",
        values={"accuracy": 0.0 if answer is None else vqav2_accuracy(said, people, profile)},
        group=str(truth.get("answer_type") or ""),
        answer=said,
        expected=", ".join(dict.fromkeys(people)),
        note="no answer" if answer is None else "",
    )


def _list(content: Record, key: str, path: Path) -> Iterable[Record]:
    found = content.get(key)
    if not isinstance(found, Sequence) or isinstance(found, str):
        raise UsageError(f"{path}: expected a list {key!r}, found {', '.join(content)}", hint=f"get it from {_SITE}")
    return [each for each in found if isinstance(each, Mapping)]


def _split(content: Record, path: Path) -> str:
    """The folder of the pictures; those of test-dev are those of test."""
    return str(content.get("data_subtype") or path.name.split("mscoco_")[-1].split("_")[0]).replace("test-dev", "test")


TASK = Task(
    name="vqav2",
    title="VQAv2",
    folder="vqav2",
    files=(_QUESTIONS, _ALL, _ANNOTATIONS),
    questions=questions,
    answers=read_answers,
    score=score,
    profiles=("official", "llava", "lmms-eval"),
    published={"7B": 78.5, "13B": 80.0},
    submission=submission,
)
