"""Dialogues as files: saved whole to go on with another day, or exported to be read or to train on.

A saved dialogue holds its pictures' own bytes: it opens on another machine, and after the files have moved.
"""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pumice.cli.dialogue import Dialogue, Exchange
from pumice.errors import ImageError, UsageError
from pumice.files import fresh_file
from pumice.options import SamplingOptions

if TYPE_CHECKING:
    from pumice.cli.pictures import Picture

FORMAT, VERSION = "pumice-dialogue", 1


def save(dialogue: Dialogue, path: Path, model: str) -> None:
    """Write everything that was said, shown and set. Raises UsageError if the file exists or cannot be written."""
    value = {
        "format": FORMAT,
        "version": VERSION,
        "model": model,
        "system": dialogue.system,
        "options": dialogue.settings(),
        "exchanges": [
            {"question": each.question, "images": [_packed(own) for own in each.pictures], "answer": each.answer}
            for each in dialogue.exchanges
        ],
        "waiting": [_packed(each) for each in dialogue.waiting],
    }
    with fresh_file(path) as file:
        file.write(json.dumps(value, ensure_ascii=False, indent=1).encode())


def load(path: Path) -> Dialogue:
    """What ``save`` wrote. Raises UsageError for a file that is not one."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {str(path)!r}: {error.strerror or error}") from None
    except ValueError:  # no JSON, or no text at all
        raise UsageError(f"{path} is no saved dialogue", hint="/save writes one; /export does not") from None
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise UsageError(f"{path} is no saved dialogue", hint="/save writes one; /export does not")
    if value.get("version") != VERSION:
        raise UsageError(f"{path} is of version {value.get('version')!r}, expected {VERSION}", hint="update Pumice")
    try:
        return _dialogue(value)
    except (KeyError, TypeError, ValueError, ImageError) as error:
        raise UsageError(f"{path} is damaged: {type(error).__name__}: {error}") from None


def _dialogue(value: dict[str, Any]) -> Dialogue:
    options = dict(value["options"])
    options["stop"] = tuple(options.get("stop") or ())
    return Dialogue(
        options=replace(SamplingOptions(), **options),
        system=value["system"],
        exchanges=[
            Exchange(each["question"], tuple(map(_unpacked, each["images"])), each["answer"])
            for each in value["exchanges"]
        ],
        waiting=[_unpacked(each) for each in value["waiting"]],
    )


def _packed(picture: Picture) -> dict[str, str]:
    return {"source": picture.source, "data": base64.b64encode(picture.data).decode("ascii")}


def _unpacked(value: dict[str, str]) -> Picture:
    from pumice.cli.pictures import picture_of

    return picture_of(value["source"], base64.b64decode(value["data"], validate=True))


def export(dialogue: Dialogue, path: Path, model: str) -> None:
    """Write what was said: as a record to train on (``.json``), otherwise as Markdown to read.

    Raises: UsageError if nothing was said, or the file exists or cannot be written.
    """
    if not dialogue.exchanges:
        raise UsageError("nothing has been said yet")
    text = _record(dialogue, path.stem) if path.suffix == ".json" else _markdown(dialogue, model)
    with fresh_file(path) as file:
        file.write(text.encode())


def _markdown(dialogue: Dialogue, model: str) -> str:
    pieces = [f"# Dialogue with {model}"] + ([f"*{dialogue.system}*"] if dialogue.system else [])
    for each in dialogue.exchanges:
        pieces += [f"![{picture.source}](<{picture.source}>)" for picture in each.pictures]
        pieces += [f"**{line}**" if line else "" for line in each.question.split("\n")]
        pieces.append(each.answer)
    return "\n\n".join(pieces) + "\n"


def _record(dialogue: Dialogue, name: str) -> str:
    """One record in LLaVA's format, a list of one: pictures by their paths, typed placeholders escaped."""
    from pumice.data.rules import PLACEHOLDER, escape

    turns: list[dict[str, str]] = []
    sources: list[str] = []
    for each in dialogue.exchanges:
        sources += [picture.source for picture in each.pictures]
        words = [PLACEHOLDER] * len(each.pictures) + [escape(each.question)]
        turns.append({"from": "human", "value": "\n".join(words)})
        turns.append({"from": "gpt", "value": each.answer})
    record: dict[str, object] = {"id": name}
    if sources:
        record["image"] = sources[0] if len(sources) == 1 else sources
    return json.dumps([record | {"conversations": turns}], ensure_ascii=False, indent=1) + "\n"
