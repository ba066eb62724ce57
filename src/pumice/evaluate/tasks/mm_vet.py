"""MM-Vet: 218 open questions, graded from 0 to 1 by a judge, in total and for each of six capabilities.

What is scored are grades: those of ``evaluate.judge``, or a file of the benchmark's own evaluator
(``*-grade-3runs.json``, several runs in one). The capabilities stand in the benchmark's ``mm-vet.json``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pumice.errors import UsageError
from pumice.evaluate.formula import Formula, average, mean
from pumice.evaluate.predictions import Record, read_answers, read_object, read_records
from pumice.evaluate.questions import JSON, Answer, Question
from pumice.evaluate.scoring.judged import Reading, in_words, runs_of, with_spread
from pumice.evaluate.scoring.marks import grade
from pumice.evaluate.scoring.matching import match
from pumice.evaluate.statistic import Metric, Row, Scored
from pumice.evaluate.task import File, Profile, Task
from pumice.evaluate.tasks import original
from pumice.evaluate.verdicts import Verdict, carrying, from_record
from pumice.files import fresh_file

_SOURCE = "https://github.com/yuweihao/MM-Vet/releases (mm-vet.zip)"
TRUTH = File(("mm-vet.json", "mm-vet/mm-vet.json"), "the questions with answers and capabilities", _SOURCE)
_QUESTIONS = File(("llava-mm-vet.jsonl", "questions.jsonl"), "the original's questions", original.ZIP)
_PLACES = ("images", "mm-vet/images")
_PICTURES = File(_PLACES, "the pictures", _SOURCE)
#: In the order of the paper's table.
CAPABILITIES = ("rec", "ocr", "know", "gen", "spat", "math")
# What MM-Vet's evaluator gives when it cannot read any of five grades.
_UNREAD = 0.0


@dataclass(frozen=True)
class Truth:
    """A question as the benchmark has it. answer: parts that are all wanted between <AND>, alternatives between
    <OR>."""

    id: str
    question: str
    answer: str
    picture: str
    capabilities: tuple[str, ...]


def truths(folder: Path) -> dict[str, Truth]:
    """The benchmark's own file by id ("v1_0"). Raises UsageError if it is not there or holds something else."""
    path = TRUTH.find(folder)
    found = {}
    for name, value in read_object(path).items():
        if not isinstance(value, Mapping):
            raise UsageError(f"{path}: expected an object for {name}", hint=TRUTH.advice)
        place = f"{path}, {name}"
        found[name] = Truth(
            id=name,
            question=original.text(value, "question", place),
            answer=original.text(value, "answer", place),
            picture=original.text(value, "imagename", place),
            capabilities=tuple(sorted(original.texts(value, "capability", place), key=_order)),
        )
    return found


def read_mm_vet(path: Path) -> tuple[Answer, ...]:
    """Grades (of the benchmark's evaluator, or of ``evaluate.judge``), or answers that no judge has seen yet.

    Ids are the benchmark's: the original's question 0 is "v1_0".
    """
    records = read_records(path)
    if len(records) == 1 and records[0] and all(isinstance(each, Mapping) for each in records[0].values()):
        return tuple(_graded(name, each) for name, each in records[0].items() if isinstance(each, Mapping))
    if records and "run" in records[0]:
        verdicts: dict[str, list[Verdict]] = {}
        for record in records:
            name = _name(original.text(record, "question_id", str(path)))
            verdicts.setdefault(name, []).append(from_record(record, name, 1))
        return tuple(carrying(Answer(name, ""), found) for name, found in verdicts.items())
    answers = read_answers(path)
    return tuple(Answer(_name(each.question_id), each.text, each.prompt, each.meta) for each in answers)


def _graded(name: str, value: Mapping[str, JSON]) -> Answer:
    """A question of the evaluator's file: lists with one entry for each run."""
    contents, scores, models = (_list(value.get(key)) for key in ("content", "score", "model"))
    verdicts = []
    for place in range(max(len(contents), len(scores))):
        told: Record = {
            "content": contents[place] if place < len(contents) else None,
            "score": scores[place] if place < len(scores) else None,
            "judge": models[place] if place < len(models) else None,
        }
        verdicts.append(from_record(told, _name(name), place + 1))
    return carrying(Answer(_name(name), ""), verdicts)


def _questions(folder: Path) -> Iterator[Question]:
    images = original.pictures(folder, _PLACES)
    if _QUESTIONS.all(folder):
        for question in original.questions(_QUESTIONS.find(folder), images):
            yield replace(question, id=_name(question.id), id_is_number=False)
        return
    for truth in truths(folder).values():
        conversation = original.ask(truth.question, images / truth.picture)
        yield Question(truth.id, conversation, truth.picture, category="+".join(truth.capabilities))


def _score(answers: Sequence[Answer], folder: Path, profile: Profile) -> Scored:
    runs = runs_of(answers, "MM-Vet", "a file of grades")
    known = truths(folder) if TRUTH.all(folder) else {}
    pictures = {name: truth.picture for name, truth in known.items()} or _pictures(folder)
    reading = Reading(lambda verdict: _grade(verdict, profile), None if profile == "official" else _UNREAD)
    matched = match(
        pictures or [answer.question_id for answer in answers], answers, lambda answer: answer.question_id, "MM-Vet"
    )
    rows = [
        _row(name, answer, known.get(name), pictures.get(name, name), reading.marks(answer, runs))
        for name, answer in matched.pairs
    ]
    metrics = [Metric("total", _mean("grade", runs))]
    metrics += [Metric(f"run {run}", _mean("grade", [run])) for run in runs if len(runs) > 1]
    metrics += [Metric(each, _mean(each, runs)) for each in CAPABILITIES if any(each in row.group for row in rows)]
    together = [group for group in dict.fromkeys(row.group for row in rows) if "+" in group]
    metrics += [Metric(group, _mean("grade", runs, group)) for group in together]
    notes, about = matched.notes("are left out"), reading.notes()
    if not known:
        about += (f"Without {TRUTH.names[0]} of {_SOURCE} the capabilities are not scored.",)
    if not pictures:
        about += ("Without the questions every one of them counts as a picture of its own.",)
    scored = Scored("mm-vet", profile, "total", tuple(rows), tuple(metrics), matched.missing, notes, about)
    return with_spread(scored, runs)


def _row(name: str, answer: Answer | None, truth: Truth | None, picture: str, marks: Mapping[int, float]) -> Row:
    capabilities = () if truth is None else truth.capabilities
    return Row(
        question_id=name,
        cluster=picture,
        values={f"{what} {run}": mark for run, mark in marks.items() for what in ("grade", *capabilities)},
        group="+".join(capabilities),
        asked="" if truth is None else truth.question,
        answer="" if answer is None else answer.text,
        expected="" if truth is None else truth.answer,
        note=in_words(answer),
    )


def _mean(what: str, runs: Sequence[int], group: str | None = None) -> Formula:
    return 100 * average([mean(f"{what} {run}", group) for run in runs])


def _grade(verdict: Verdict, profile: str) -> float | None:
    """llava takes the grade that the evaluator noted, if it did; the others read the judge's words where there are
    any."""
    noted = verdict.scores[0] if verdict.scores else None
    if noted is not None and (profile == "llava" or not verdict.content):
        return noted
    return grade(verdict.content, profile)


def _pictures(folder: Path) -> dict[str, str]:
    if not _QUESTIONS.all(folder):
        return {}
    images = original.pictures(folder, _PLACES)
    return {_name(question.id): question.image_key for question in original.questions(_QUESTIONS.find(folder), images)}


def _submission(answers: Sequence[Answer], folder: Path, target: Path) -> None:
    """The JSON object that the benchmark's own evaluator reads, and its page on the web takes."""
    texts = {_name(answer.question_id): answer.text for answer in answers}
    with fresh_file(target, overwrite=True) as file:
        file.write(json.dumps(texts, ensure_ascii=False, indent=2).encode())


def _name(name: str) -> str:
    return f"v1_{name}" if name.isdigit() else name


def _order(capability: str) -> int:
    return CAPABILITIES.index(capability) if capability in CAPABILITIES else len(CAPABILITIES)


def _list(value: JSON) -> Sequence[JSON]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else [] if value is None else [value]


MM_VET = Task(
    name="mm-vet",
    title="MM-Vet",
    folder="mm-vet",
    files=(TRUTH, _QUESTIONS, _PICTURES),
    questions=_questions,
    answers=read_mm_vet,
    score=_score,
    default_profile="official",
    published={"7B": 31.1, "13B": 36.1},
    submission=_submission,
    max_tokens=1024,
)
