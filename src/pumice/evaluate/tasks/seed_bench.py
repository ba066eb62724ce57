"""SEED-Bench: multiple choice about pictures (nine kinds) and about videos (three), of which one frame is shown.

Scored by the letter alone, per kind, for pictures, for videos and in total, as the original's
``convert_seed_for_submission.py`` does (reference/llava.md, sections 7.2 and 7.3).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pumice.errors import UsageError
from pumice.evaluate.formula import mean
from pumice.evaluate.predictions import Record, read_answers, read_object, read_records
from pumice.evaluate.questions import Answer, Question
from pumice.evaluate.scoring.letters import seed_letter
from pumice.evaluate.scoring.matching import pair
from pumice.evaluate.statistic import Metric, Row, Scored
from pumice.evaluate.task import LETTER, File, Profile, Task
from pumice.evaluate.tasks import original
from pumice.evaluate.tasks.brought import choice, choice_of, paired
from pumice.files import fresh_file
from pumice.prompts.conversation import Conversation, Image

_SOURCE = "https://huggingface.co/datasets/AILab-CVC/SEED-Bench"
_QUESTIONS = File(("SEED-Bench.json", "SEED-Bench_v1.json", "seed_bench.json"), "the questions", _SOURCE)
_PROMPTS = File(("llava-seed-bench.jsonl",), "the original's questions", original.ZIP)
_PICTURES = File(("SEED-Bench-image",), "the pictures of cc3m-image.zip", _SOURCE)
_FRAMES = File(
    ("SEED-Bench-video-image",),
    "the middle frame of every video, or the eight frames of v1_video.zip",
    _SOURCE,
)
_KINDS = {
    **{"Scene Understanding": 1, "Instance Identity": 2, "Instance Attributes": 3, "Instance Location": 4},
    **{"Instances Counting": 5, "Spatial Relation": 6, "Instance Interaction": 7, "Visual Reasoning": 8},
    **{"Text Understanding": 9, "Action Recognition": 10, "Action Prediction": 11, "Procedure Understanding": 12},
}
# The official frames of the three kinds of videos; of eight, the fourth stands for the middle.
_FRAME_FOLDERS = {10: "task10/ssv2_8_frame", 11: "task11/kitchen_8_frame", 12: "task12/breakfast_8_frame"}
_MIDDLE = "4.png"


@dataclass(frozen=True)
class _Item:
    id: str
    words: str
    options: Mapping[str, str]
    answer: str
    kind: str
    number: int
    video: bool
    picture: str


def _items(folder: Path) -> list[_Item]:
    """Raises UsageError for a file that is not SEED-Bench's."""
    path = _QUESTIONS.find(folder)
    records = read_records(path)
    kinds: object = None
    with suppress(UsageError):  # of one object ``read_records`` gives the questions alone; lines are no object
        kinds = read_object(path).get("question_type")
    named = kinds if isinstance(kinds, Mapping) else _KINDS
    names = {number: name for name, number in named.items() if isinstance(number, int)}
    return [_item(each, names, f"{path}, item {number}") for number, each in enumerate(records, 1)]


def _item(value: Record, names: Mapping[int, str], place: str) -> _Item:
    """A question; for scoring its id, kind and answer are enough, under the names of the benchmark's results as
    well."""
    name = original.text(value, "q_id" if "q_id" in value else "question_id", place)
    number = value.get("question_type_id", value.get("q_type_id"))
    kind = number if isinstance(number, int) else 0
    options = {letter: value.get(f"choice_{letter.lower()}") for letter in "ABCD"}
    return _Item(
        id=name,
        words=str(value.get("question") or ""),
        options={letter: str(text) for letter, text in options.items() if text is not None},
        answer=str(value.get("answer") or value.get("gt") or ""),
        kind=names.get(kind, f"kind {kind}"),
        number=kind,
        video=value.get("data_type") == "video" or kind in _FRAME_FOLDERS,
        picture=str(value.get("data_id") or name),
    )


def _questions(folder: Path) -> Iterator[Question]:
    if _PROMPTS.all(folder):
        yield from original.questions(_PROMPTS.find(folder), folder)
        return
    for item in _items(folder):
        lines = [item.words, *(f"{letter}. {text}" for letter, text in item.options.items()), LETTER]
        yield Question(
            id=item.id,
            conversation=Conversation.ask("\n".join(lines), (Image(_picture(item, folder)),)),
            image_key=item.picture,
            options=tuple(item.options.values()),
            category=item.kind,
            id_is_number=item.id.isdigit(),
        )


def _picture(item: _Item, folder: Path) -> Path:
    """Where the picture is, or should be; of a video the frame that the original's script takes, or the official
    one."""
    if not item.video:
        return folder / "SEED-Bench-image" / item.picture
    frames = folder / "SEED-Bench-video-image"
    own = frames / f"{item.number}_{item.id}.png"
    official = frames / _FRAME_FOLDERS.get(item.number, "") / item.id / _MIDDLE
    return official if official.is_file() and not own.is_file() else own


def read_seed(path: Path) -> tuple[Answer, ...]:
    """Answers from an upload, from the original's JSON lines, from the benchmark's own ``results.json``, or from the
    harnesses."""
    return read_answers(path, ids=("question_id", "q_id", "id", "index"))


def _score(answers: Sequence[Answer], folder: Path, profile: Profile) -> Scored:
    items = _items(folder)
    known = {item.id: item for item in items if item.answer}
    asked = {item.id: choice(item.words, list(item.options.values()), item.answer) for item in known.values()}
    keyed = paired(asked, answers, lambda answer: answer.question_id, choice_of)
    matched = pair(known, keyed, "SEED-Bench")
    notes = matched.notes()
    if len(known) < len(items):
        notes += (f"{len(items) - len(known)} questions have no public answer and are left out.",)
    rows = [_row(known[key], answer, profile) for key, answer in matched.pairs]
    kinds = dict.fromkeys(item.kind for item in sorted(known.values(), key=lambda item: item.number))
    parts = [part for part in ("image", "video") if any(part in row.values for row in rows)]
    metrics = [
        Metric("total", 100 * mean("right")),
        *(Metric(part, 100 * mean(part)) for part in parts),
        *(Metric(kind, 100 * mean("right", kind)) for kind in kinds),
    ]
    return Scored("seed-bench", profile, "total", tuple(rows), tuple(metrics), matched.missing, notes)


def _row(item: _Item, answer: Answer | None, profile: str) -> Row:
    letters = {letter: item.options.get(letter, "") for letter in "ABCD"}
    letter = None if answer is None else seed_letter(answer.text, letters, profile)
    right = letter == item.answer
    return Row(
        question_id=item.id,
        cluster=item.picture,
        values={"right": float(right), "video" if item.video else "image": float(right)},
        group=item.kind,
        correct=right,
        asked=item.words,
        answer="" if answer is None else answer.text,
        expected=item.answer,
        note="no answer" if answer is None else f"read as {letter or 'no option'}",
    )


def _submission(answers: Sequence[Answer], folder: Path, target: Path) -> None:
    """JSON lines in the order of the questions. Raises UsageError if a question has no answer."""
    texts = {answer.question_id: answer.text for answer in answers}
    with fresh_file(target, overwrite=True) as file:
        for item in _items(folder):
            if item.id not in texts:
                raise UsageError(f"question {item.id} has no answer; the leaderboard takes whole sets only")
            file.write(json.dumps({"question_id": item.id, "prediction": texts[item.id]}).encode() + b"\n")


SEED_BENCH = Task(
    name="seed-bench",
    title="SEED-Bench",
    folder="seed_bench",
    files=(_QUESTIONS, _PROMPTS, _PICTURES, _FRAMES),
    questions=_questions,
    answers=read_seed,
    score=_score,
    published={"7B": 58.6, "13B": 61.6},
    submission=_submission,
)
