"""LLaVA's training data: a JSON list, or one JSON object a line, read into conversations.

    {"id": "7", "image": "cats/7.jpg", "conversations": [
        {"from": "human", "value": "<image>\\nWhat is this?"}, {"from": "gpt", "value": "A cat."}]}

``image`` may be absent (text only) or a list. What a record must be is said in ``data.rules``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pumice.data.faults import Fault
from pumice.data.parsing import Raw, parse
from pumice.data.rules import between_placeholders, broken, image_names, said
from pumice.errors import UsageError
from pumice.prompts.conversation import Conversation, Image, Part, Role, Text, Turn


@dataclass(frozen=True)
class Record:
    """One training sample. ``where`` names file and place, for messages."""

    id: str
    conversation: Conversation
    where: str


def read_records(path: Path, images: Path) -> list[Record]:
    """All records of a JSON or JSONL file; pictures are looked for under ``images``.

    Raises: UsageError naming the file and the record that is wrong.
    """
    found = []
    for raw in parse(path):
        where = raw.place(path)
        fault = next(refusals(raw), None)
        if fault is not None:
            raise UsageError(f"{where}: {fault.found}", hint="pumice data doctor lists every fault of a file")
        assert isinstance(raw.value, dict)
        found.append(as_record(raw.value, images, where))
    return found


def refusals(raw: Raw) -> Iterator[Fault]:
    """Why a value of a file is no record that can be read."""
    yield from raw.faults
    if raw.value is not None or not raw.faults:
        yield from broken(raw.value)


def record_id(raw: Mapping[str, object]) -> str:
    """As text; empty if the record has none."""
    found = raw.get("id")
    return "" if found is None else str(found)


def as_record(raw: Mapping[str, object], folder: Path, where: str) -> Record:
    """A record that is not ``broken``, its pictures under ``folder``."""
    waiting = iter([Image(folder / name) for name in image_names(raw) or ()])
    turns = tuple(_turn(role, text, waiting) for role, text in said(raw))
    return Record(record_id(raw), Conversation(turns), where)


def _turn(role: Role, text: str, images: Iterator[Image]) -> Turn:
    """A user's single picture goes to the front, as LLaVA trains; several stay where they are.

    Space around words is taken off only beside a picture: the reference leaves other turns as they are.
    """
    if role == "assistant":
        return Turn("assistant", (Text(text),))
    pieces = between_placeholders(text)
    if len(pieces) == 1:
        return Turn("user", (Text(pieces[0]),))
    if len(pieces) == 2:
        return Turn("user", (next(images), Text("".join(pieces).strip())))
    parts: list[Part] = [Text(pieces[0])] if pieces[0].strip() else []
    for piece in pieces[1:]:
        parts.append(next(images))
        if piece.strip():
            parts.append(Text(piece))
    return Turn("user", tuple(parts))
