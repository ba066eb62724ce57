"""LLaVA's training data: a JSON list, or one JSON object a line, read into conversations.

    {"id": "7", "image": "cats/7.jpg", "conversations": [
        {"from": "human", "value": "<image>\\nWhat is this?"}, {"from": "gpt", "value": "A cat."}]}

``image`` may be absent (text only) or a list. This is the one place that reads ``<image>`` as a placeholder.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pumice.errors import UsageError
from pumice.prompts.conversation import Conversation, Image, Part, Text, Turn

PLACEHOLDER = "<image>"
_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant"}


@dataclass(frozen=True)
class Record:
    """One training sample. ``where`` names file and place, for messages."""

    id: str
    conversation: Conversation
    where: str


def read_records(path: Path, images: Path) -> list[Record]:
    """All records of a ``.json`` or ``.jsonl`` file; pictures are looked for under ``images``.

    Raises: UsageError naming the file and the record that is wrong.
    """
    return [_record(raw, images, where) for raw, where in _raw_records(path)]


def _raw_records(path: Path) -> Iterator[tuple[Mapping[str, object], str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read training data {str(path)!r}: {error}") from error
    if text.lstrip().startswith("["):
        records = _parsed(text, path, 1)
        assert isinstance(records, list)
        found = [(raw, f"{path}: record {number}") for number, raw in enumerate(records, start=1)]
    else:
        # Not splitlines: JSON strings may hold Unicode's other line separators as they are.
        lines = enumerate(text.split("\n"), start=1)
        found = [(_parsed(line, path, number), f"{path}:{number}") for number, line in lines if line.strip()]
    if not found:
        raise UsageError(f"{path}: no records in it")
    for raw, where in found:
        if not isinstance(raw, dict):
            raise UsageError(f"{where}: a record must be a JSON object, found {type(raw).__name__}")
        yield raw, where


def _parsed(text: str, path: Path, first_line: int) -> object:
    try:
        value: object = json.loads(text)
    except json.JSONDecodeError as error:
        line = first_line + error.lineno - 1
        raise UsageError(f"{path}: not valid JSON at line {line}: {error.msg}") from error
    return value


def _record(raw: Mapping[str, object], folder: Path, where: str) -> Record:
    named = raw.get("image") or []
    names = named if isinstance(named, list) else [named]
    if not all(isinstance(name, str) for name in names):
        raise UsageError(f"{where}: 'image' must be a path or a list of paths")
    images = [Image(folder / str(name)) for name in names]
    said = raw.get("conversations")
    if not isinstance(said, list) or not said:
        raise UsageError(f"{where}: 'conversations' must be a list of turns")
    turns = [_turn_text(turn, where) for turn in said]
    if turns[0][0] == "assistant":
        turns = turns[1:]  # the reference drops a leading answer, for it answers nothing
    if all(role != "assistant" for role, _ in turns):
        raise UsageError(f"{where}: no question is answered, so there is nothing to learn")
    placeholders = sum(text.count(PLACEHOLDER) for role, text in turns if role == "user")
    if placeholders != len(images):
        raise UsageError(f"{where}: {placeholders} {PLACEHOLDER} placeholders for {len(images)} pictures")
    waiting = iter(images)
    try:
        made = tuple(_turn(role, text, waiting) for role, text in turns)
        return Record(str(raw.get("id", "")), Conversation(made), where)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error


def _turn_text(turn: object, where: str) -> tuple[str, str]:
    if not isinstance(turn, dict) or str(turn.get("from")) not in _ROLES or not isinstance(turn.get("value"), str):
        raise UsageError(f"{where}: a turn needs 'from' (human or gpt) and 'value' (text), found {turn!r:.80}")
    return _ROLES[turn["from"]], turn["value"]


def _turn(role: str, text: str, images: Iterator[Image]) -> Turn:
    """A user's single picture goes to the front, as LLaVA trains; several stay where they are.

    Space around words is taken off only beside a picture: the reference leaves other turns as they are.
    """
    if role == "assistant":
        return Turn("assistant", (Text(text),))
    if PLACEHOLDER not in text:
        return Turn("user", (Text(text),))
    if text.count(PLACEHOLDER) == 1:
        return Turn("user", (next(images), Text(text.replace(PLACEHOLDER, "").strip())))
    pieces = text.split(PLACEHOLDER)
    parts: list[Part] = [Text(pieces[0])] if pieces[0].strip() else []
    for piece in pieces[1:]:
        parts.append(next(images))
        if piece.strip():
            parts.append(Text(piece))
    return Turn("user", tuple(parts))
