"""Ways to say things, true or false: frames of sentences in text files, one a line under the name of its kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "wordings"
SETS = ("held-out", "known", "unusual")


@dataclass(frozen=True)
class Wordings:
    """Frames by kind. {a}: "a dog"; {things}: "dogs"; {name}: "dog"; the same with a capital begin a sentence."""

    existence_one: tuple[str, ...]
    existence_many: tuple[str, ...]
    denial: tuple[str, ...]
    count: tuple[str, ...]
    colour: tuple[str, ...]
    place: tuple[str, ...]
    place_upright: tuple[str, ...]
    relation: tuple[str, ...]
    size: tuple[str, ...]
    largest: tuple[str, ...]
    ask_existence: tuple[str, ...]
    ask_count: tuple[str, ...]
    ask_place: tuple[str, ...]
    ask_relation: tuple[str, ...]
    yes: tuple[str, ...]
    no: tuple[str, ...]


def wordings(name: str) -> Wordings:
    """One of ``SETS``. Each file says at its top, in lines that begin with "#", where its sentences come from."""
    found: dict[str, list[str]] = {}
    for line in (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            frames = found.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            frames.append(line)
    return Wordings(**{kind: tuple(frames) for kind, frames in found.items()})
