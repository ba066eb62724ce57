"""ScienceQA: 4,241 questions with options from school books (test), 2,017 of them with a picture.

The column that everyone reports is the accuracy upon those with a picture.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from pumice.errors import UsageError
from pumice.evaluate.formula import mean
from pumice.evaluate.predictions import Record, read_answers, read_object, read_records
from pumice.evaluate.questions import JSON, Answer, Question
from pumice.evaluate.scoring.choice import scienceqa_choice
from pumice.evaluate.scoring.matching import pair
from pumice.evaluate.statistic import Metric, Row, Scored
from pumice.evaluate.task import LETTER, File, Profile, Task
from pumice.evaluate.tasks import original
from pumice.evaluate.tasks.brought import Words, choice, choice_of, paired

_SITE = "https://github.com/lupantech/ScienceQA (folder data/scienceqa)"
_QUESTIONS = File(("llava_test_CQM-A.json",), "the original's questions, with their answers", original.ZIP)
_PROBLEMS = File(("problems.json", "data/scienceqa/problems.json"), "questions with their answers", _SITE)
_SPLITS = File(("pid_splits.json", "data/scienceqa/pid_splits.json"), "which questions are the test", _SITE)
_IMAGES = ("images/test", "test", "data/scienceqa/images/test", "images")
_UNREAD = "names no option"
_SUBJECTS = {"natural science": "NAT", "social science": "SOC", "language science": "LAN"}
_LOWER_GRADES = tuple(f"grade{number}" for number in range(1, 7))
# ScienceQA's table, in its order: by subject, by what comes with the question, by school year.
_COLUMNS = ("NAT", "SOC", "LAN", "TXT", "IMG", "NO", "G1-6", "G7-12")


def questions(folder: Path) -> Iterator[Question]:
    """The original's question file if it is there, else the same prompts from the benchmark's own files."""
    images = original.pictures(folder, _IMAGES)
    if not _QUESTIONS.all(folder):
        yield from (_question(name, problem, images) for name, problem in _problems(folder).items())
        return
    path = _QUESTIONS.find(folder)
    for number, record in enumerate(read_records(path), 1):
        place = f"{path}, question {number}"
        name, asked = original.text(record, "id", place), _first_turn(record, place)
        image = record.get("image")
        picture = None if image is None else images / str(image)
        yield Question(name, original.ask(_prompt(asked), picture), name if image is None else str(image))


def answers(path: Path) -> tuple[Answer, ...]:
    """Of the original's format; a ``_result.json`` of it or of ScienceQA's own tools, with the options that they chose
    (``results``) and the texts (``outputs``); or an ``_output.jsonl``, with what was right and what was not."""
    if path.suffix.lower() not in (".json", ".jsonl"):
        return read_answers(path)
    records = read_records(path)
    if len(records) == 1 and isinstance(records[0].get("results"), Mapping):
        return tuple(_chosen(records[0], str(path)))
    if len(records) == 1 and {"correct", "incorrect"} <= set(records[0]):
        both = [each for key in ("correct", "incorrect") for each in _objects(records[0][key])]
        return tuple(
            Answer(
                original.text(each, "question_id", str(path)), str(each.get("pred", "")), str(each.get("question", ""))
            )
            for each in both
        )
    return read_answers(path)


def score(given: Sequence[Answer], folder: Path, profile: Profile) -> Scored:
    """Accuracy upon questions with a picture, over all, and in the columns of ScienceQA's table.

    A question without an answer is wrong; but the original's script leaves it out of those with a picture, which it
    knows by the answer's prompt.
    """
    problems = _problems(folder)
    known = {name: _words(name, problem) for name, problem in problems.items()}
    keyed = paired(known, given, lambda answer: answer.question_id, choice_of)
    matched = pair(problems, keyed, "ScienceQA")
    rows = tuple(_row(name, problems[name], answer, profile) for name, answer in matched.pairs)
    metrics = [Metric("image accuracy", 100 * mean("image")), Metric("accuracy", 100 * mean("right"))]
    values = {value for row in rows for value in row.values}
    metrics += [Metric(column, 100 * mean(column)) for column in _COLUMNS if column in values]
    notes = matched.notes(
        "count as wrong, but not among those with a picture" if profile == "llava" else "count as wrong"
    )
    unread = sum(row.note == _UNREAD for row in rows)
    if unread:
        notes += (f"{unread} answers name no option and count as wrong.",)
    return Scored("scienceqa", profile, "image accuracy", rows, tuple(metrics), matched.missing, notes)


def _row(name: str, problem: Record, answer: Answer | None, profile: Profile) -> Row:
    options, truth = original.texts(problem, "choices", name), problem.get("answer")
    if not isinstance(truth, int) or not 0 <= truth < len(options):
        raise UsageError(f"problem {name} of ScienceQA: expected the number of an option as answer, found {truth!r}")
    chosen = None if answer is None else _choice(answer, options, profile)
    right = float(chosen == truth)
    values = {"right": right} | dict.fromkeys(_columns(problem), right)
    if problem.get("image") and (answer is not None or profile != "llava"):
        values["image"] = right
    return Row(
        question_id=name,
        cluster=_image_key(name, problem),
        values=values,
        group=str(problem.get("subject") or ""),
        correct=chosen == truth,
        asked=str(problem.get("question") or ""),
        answer="" if answer is None else answer.text,
        expected=f"{string.ascii_uppercase[truth]}. {options[truth]}",
        note="no answer" if answer is None else _UNREAD if chosen is None else "",
    )


def _choice(answer: Answer, options: Sequence[str], profile: Profile) -> int | None:
    """What the file says was chosen, if it does; else what the text means."""
    chosen = answer.meta.get("choice")
    if isinstance(chosen, int) and profile in ("official", "llava"):
        return chosen if 0 <= chosen < len(options) else None
    return scienceqa_choice(answer.text, options, profile)


def _words(name: str, problem: Record) -> Words:
    options, truth = original.texts(problem, "choices", name), problem.get("answer")
    letter = string.ascii_uppercase[truth] if isinstance(truth, int) else str(truth)
    return choice(str(problem.get("question") or ""), options, letter)


def _columns(problem: Record) -> Iterator[str]:
    subject = _SUBJECTS.get(str(problem.get("subject")))
    if subject:
        yield subject
    if problem.get("hint"):
        yield "TXT"
    if problem.get("image"):
        yield "IMG"
    if not problem.get("hint") and not problem.get("image"):
        yield "NO"
    if problem.get("grade"):
        yield "G1-6" if problem["grade"] in _LOWER_GRADES else "G7-12"


def _question(name: str, problem: Record, images: Path) -> Question:
    """As in the original's file: context, question, options ("CQM-A")."""
    options = original.texts(problem, "choices", name)
    lines = [f"{letter}. {option}" for letter, option in zip(string.ascii_uppercase, options, strict=False)]
    context = [f"Context: {problem['hint']}"] if problem.get("hint") else []
    asked = "\n".join([*context, original.text(problem, "question", name), *lines])
    image = problem.get("image")
    picture = images / name / str(image) if image else None
    return Question(name, original.ask(_prompt(asked), picture), _image_key(name, problem), tuple(options))


def _image_key(name: str, problem: Record) -> str:
    return f"{name}/{problem['image']}" if problem.get("image") else name


def _prompt(asked: str) -> str:
    return f"{asked.replace(original.PICTURE, '').strip()}\n{LETTER}"


def _first_turn(record: Record, place: str) -> str:
    turns = _objects(record.get("conversations"))
    if not turns:
        raise UsageError(f"{place}: expected 'conversations', found {', '.join(record)}")
    return original.text(turns[0], "value", place)


def _problems(folder: Path) -> dict[str, Record]:
    """The problems of the test, in the order of the split; without ScienceQA's own files those that the original's
    question file tells, which knows no subjects and school years."""
    if _QUESTIONS.all(folder) and not _PROBLEMS.all(folder):
        path = _QUESTIONS.find(folder)
        records = list(enumerate(read_records(path), 1))
        return {original.text(each, "id", str(path)): _retold(each, f"{path}, question {n}") for n, each in records}
    problems, splits = read_object(_PROBLEMS.find(folder)), read_object(_SPLITS.find(folder))
    names = splits.get("test")
    if not isinstance(names, Sequence) or isinstance(names, str):
        raise UsageError(f"{_SPLITS.find(folder)}: expected a list 'test', found {', '.join(splits)}")
    found = {}
    for name in map(str, names):
        problem = problems.get(name)
        if not isinstance(problem, Mapping):
            raise UsageError(
                f"{_PROBLEMS.find(folder)} lacks problem {name} of the test", hint=f"get both from {_SITE}"
            )
        found[name] = problem
    return found


def _retold(record: Record, place: str) -> Record:
    """A problem from the original's two turns: context, question and options, and the right letter."""
    lines = _first_turn(record, place).replace(original.PICTURE, "").strip().split("\n")
    start = max((number for number, line in enumerate(lines) if line.startswith("A. ")), default=len(lines))
    options: list[str] = []
    for line in lines[start:]:
        if line.startswith(f"{string.ascii_uppercase[len(options)]}. "):
            options.append(line[3:])
        else:  # an option of several lines
            options[-1] += f"\n{line}"
    turns, image = _objects(record["conversations"]), record.get("image")
    letter = str(turns[1].get("value")) if len(turns) > 1 else ""
    return {
        "question": "\n".join(lines[:start]),
        "hint": "Context" if lines[0].startswith("Context: ") else "",
        "choices": options,
        "answer": string.ascii_uppercase.index(letter) if letter and letter in string.ascii_uppercase else letter,
        "image": PurePosixPath(str(image)).name if image else None,
    }


def _chosen(record: Record, place: str) -> Iterator[Answer]:
    results, outputs = record["results"], record.get("outputs")
    if not isinstance(results, Mapping):
        raise UsageError(f"{place}: expected 'results' from question to option")
    texts = outputs if isinstance(outputs, Mapping) else {}
    for name, chosen in results.items():
        yield Answer(name, str(texts.get(name, "")), meta={"choice": chosen})


def _objects(value: JSON) -> list[Record]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return []
    return [each for each in value if isinstance(each, Mapping)]


TASK = Task(
    name="scienceqa",
    title="ScienceQA",
    folder="scienceqa",
    files=(_QUESTIONS, _PROBLEMS, _SPLITS),
    questions=questions,
    answers=answers,
    score=score,
    published={"7B": 66.8, "13B": 71.6},
    max_tokens=1024,
)
