"""Question files in the original's format (``eval.zip``), and where a benchmark's pictures are.

A line is ``{"question_id": 7, "image": "COCO_val2014_1.jpg", "text": "the whole prompt", "category": "adversarial"}``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pumice.errors import UsageError
from pumice.evaluate.predictions import Record, read_records
from pumice.evaluate.questions import Question
from pumice.prompts.conversation import Conversation, Image

#: A picture's placeholder in prompts.
PICTURE = "<image>"
ZIP = "the original's eval.zip (LLaVA, docs/Evaluation.md)"


def pictures(folder: Path, places: Sequence[str]) -> Path:
    """The folder that a benchmark's pictures are in: the first of the places that is there, else the first."""
    return next((folder / place for place in places if (folder / place).is_dir()), folder / places[0])


def ask(prompt: str, picture: Path | None) -> Conversation:
    """A question as a model gets it."""
    return Conversation.ask(prompt, () if picture is None else (Image(picture),))


def questions(path: Path, images: Path) -> Iterator[Question]:
    """The questions of such a file, prompts as they stand. images: where the pictures are."""
    for number, record in enumerate(read_records(path), 1):
        place = f"{path}, line {number}"
        image = text(record, "image", place)
        yield Question(
            id=text(record, "question_id", place),
            conversation=ask(text(record, "text", place), images / image),
            image_key=image,
            category=str(record.get("category") or ""),
            id_is_number=isinstance(record["question_id"], int),
        )


def text(record: Record, key: str, place: str) -> str:
    """A value of a record as text. place: for the error. Raises UsageError if it is not there."""
    value = record.get(key)
    if value is None:
        raise UsageError(
            f"{place}: expected {key!r}, found {', '.join(record) or 'nothing'}", hint="is it the right file?"
        )
    return str(value)


def whole(record: Record, key: str, place: str) -> int:
    """A number of a record. Raises UsageError if it is none."""
    value = text(record, key, place)
    if not value.isdecimal():
        raise UsageError(f"{place}: expected a number {key!r}, found {value!r}")
    return int(value)


def texts(record: Record, key: str, place: str) -> list[str]:
    """A list of a record, of texts or of objects with an "answer". Raises UsageError for anything else."""
    value = record.get(key)
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise UsageError(f"{place}: expected a list {key!r}, found {', '.join(record) or 'nothing'}")
    return [text(each, "answer", place) if isinstance(each, dict) else str(each) for each in value]
