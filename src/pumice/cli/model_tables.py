"""How ``pumice models`` shows what it knows: as a table, line by line, and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from pumice.errors import PumiceError

if TYPE_CHECKING:
    from pumice.checkpoint.facts import Facts
    from pumice.checkpoint.shelf import Shelved

_HEAD = ("", "NAME", "KIND", "WEIGHTS", "BITS", "PICTURE", "TEMPLATE", "ON DISK", "WHERE")


def facts_or_error(folder: Path) -> Facts | PumiceError:
    """What a model is, or why it cannot be told."""
    from pumice.checkpoint.facts import read_facts

    try:
        return read_facts(folder)
    except PumiceError as error:
        return error


def as_json_object(model: Shelved, facts: Facts | PumiceError, default: str) -> dict[str, object]:
    """One model. ``problem`` is there, and the facts are not, where it could not be opened."""
    about: dict[str, object] = {
        "name": model.name,
        "default": model.name == default,
        "folder": str(model.folder),
        "place": model.place,
        "bytes": model.size,
        "commit": model.commit,
    }
    if isinstance(facts, PumiceError):
        return {**about, "problem": {"message": str(facts), "hint": facts.hint}}
    return {**about, **asdict(facts)}


def row(model: Shelved, facts: Facts | PumiceError, default: str) -> tuple[str, ...]:
    """A line of the table; a star marks the default."""
    star, size = "*" if model.name == default else "", _bytes(model.size)
    if isinstance(facts, PumiceError):
        return star, model.name, "cannot be used", "", "", "", "", size, model.place
    picture = f"{facts.image_size} px, {facts.image_tokens} tokens" if facts.image_size else "none"
    weights = _count(facts.parameters)
    return star, model.name, facts.kind, weights, str(facts.bits), picture, facts.template, size, model.place


def lines(model: Shelved, facts: Facts, default: str) -> Iterator[tuple[str, str]]:
    """Title and text of everything there is to say."""
    yield "name", model.name + (" (the default)" if model.name == default else "")
    yield "folder", str(model.folder)
    yield "from", f"{model.place}{f', revision {model.commit}' if model.commit else ''}"
    yield "kind", f"{facts.kind}; {facts.source}" if facts.source else facts.kind
    yield "weights", f"{_count(facts.parameters)} in {facts.bits} bits, the rest {facts.dtype}; {_bytes(model.size)}"
    yield "language", f"{facts.language}; up to {facts.context} tokens of text and pictures"
    if facts.vision is not None:
        yield "vision", facts.vision
        yield "picture", f"tiles of {facts.image_size} pixels ({facts.image_mode}), at most {facts.image_tokens} tokens"
    yield "template", facts.template + (" (a guess: the checkpoint names none)" if facts.template_is_guessed else "")
    for warning in facts.warnings:
        yield "warning", warning


def print_table(rows: Sequence[tuple[str, ...]]) -> None:
    """Columns as wide as they need; nothing is cut, so that names can be copied."""
    table = [_HEAD, *rows]
    widths = [max(len(each[column]) for each in table) for column in range(len(_HEAD))]
    for each in table:
        print("  ".join(text.ljust(width) for text, width in zip(each, widths, strict=True)).rstrip())


@contextmanager
def watching(quiet: bool) -> Iterator[Callable[[str], object]]:
    """A line on stderr that says what is being looked at, on a terminal only."""
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda _: None
        return
    with console.status("") as status:
        yield lambda name: status.update(Text(name))


def _bytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 5e8 else f"{size / 1e6:.1f} MB"


def _count(number: int) -> str:
    for unit, name in ((1e9, "B"), (1e6, "M")):
        if number >= unit:
            return f"{number / unit:.1f}{name}"
    return str(number)
