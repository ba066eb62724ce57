"""Whether training data holds what an evaluation asks: the same pixels, the same words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pumice.data.faults import Fault
from pumice.data.parsing import Raw, parse
from pumice.data.pictures import look
from pumice.data.rules import between_placeholders, broken, image_names, said
from pumice.errors import UsageError


@dataclass(frozen=True)
class Known:
    """A picture by name, and by the hash of its pixels; the hash is empty if it could not be read."""

    name: str
    hash: str

    @property
    def key(self) -> str:
        return self.hash or f"name:{self.name}"


@dataclass(frozen=True)
class Evaluation:
    """The lines of an evaluation file by its pictures' keys, and by a picture's key (empty for none) and question."""

    path: Path
    pictures: Mapping[str, int]
    questions: Mapping[tuple[str, str], int]

    def leaks(self, pictures: Sequence[Known], asked: Sequence[str]) -> Iterator[Fault]:
        """What a record with these pictures and questions shares with the evaluation."""
        # A picture of the evaluation that could not be read is known by its name alone.
        keys = [key for each in pictures for key in (each.key, f"name:{each.name}") if key in self.pictures]
        for question in asked:
            for key in keys if pictures else [""]:
                line = self.questions.get((key, _as_compared(question, bool(pictures))))
                if line is not None:
                    yield Fault("leaked-question", f"{question.strip()!r:.80} is asked in {self.path}:{line}")
                    return
        if keys:
            yield Fault("leaked-image", f"the picture is in {self.path}:{self.pictures[keys[0]]}")


def read_evaluation(path: Path, images: Path) -> Evaluation:
    """Read a file of questions: LLaVA's ``{"image", "text"}`` a line (or ``question``), or records as for training.

    images: the folder of its pictures; one that is not there is compared by its name.
    Raises: UsageError for a file that is neither.
    """
    pictures: dict[str, int] = {}
    questions: dict[tuple[str, str], int] = {}
    hashes: dict[str, str] = {}
    for raw in parse(path):
        names, asked = _content(raw, path)
        for name in names:
            if name not in hashes:
                hashes[name] = look(name, images).hash
        keys = [Known(name, hashes[name]).key for name in names]
        pictures.update({key: raw.line for key in keys if key not in pictures})
        for question in asked:
            compared = _as_compared(question, bool(names))
            for key in (keys or [""]) if compared else []:
                questions.setdefault((key, compared), raw.line)
    return Evaluation(path, pictures, questions)


def questions_of(raw: Mapping[str, object]) -> list[str]:
    """The words of every question of a record that is not ``broken``."""
    return ["".join(between_placeholders(text)) for role, text in said(raw) if role == "user"]


def _content(raw: Raw, path: Path) -> tuple[list[str], list[str]]:
    value = raw.value
    if isinstance(value, dict) and not raw.faults:
        names, asked = image_names(value), value.get("text", value.get("question"))
        if names is not None and isinstance(asked, str):
            return names, [asked]
        if names is not None and not any(broken(value)):
            return names, questions_of(value)
    found = raw.faults[0].found if raw.faults else "expected 'image' and 'text', or a record as for training"
    raise UsageError(f"{raw.place(path)}: {found}")


def _as_compared(question: str, has_picture: bool) -> str:
    """Beside a picture the first line is the question; what follows tells how to answer, and differs by benchmark."""
    words = question.strip()
    return " ".join((words.split("\n")[0] if has_picture else words).casefold().split())
