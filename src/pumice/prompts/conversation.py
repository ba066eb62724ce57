"""What was said: plain values without tensors, files or network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from pumice.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

Role: TypeAlias = Literal["user", "assistant"]


@dataclass(frozen=True)
class Text:
    """Words. Never markup: ``<image>`` or ``</s>`` inside stays text."""

    text: str


@dataclass(frozen=True)
class Image:
    """A picture by reference: a path, an http(s) URL, a ``data:`` URI, the file's bytes, or a decoded PIL image.

    Nothing is read here; ``pumice.images.load`` does that. overview: seen once as a whole, also by a model that would
    look closer at parts of it; fewer tokens, less detail. data: the file that a decoded image was read from, for
    whoever passes the picture on to another machine.
    """

    source: str | Path | bytes | PilImage
    overview: bool = False
    data: bytes | None = field(default=None, compare=False, repr=False)


Part: TypeAlias = Text | Image


@dataclass(frozen=True)
class Turn:
    """One speaker's contribution; pictures stand where they were put among the words."""

    role: Role
    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        if self.role not in ("user", "assistant"):
            raise UsageError(f"a turn's role is 'user' or 'assistant', found {self.role!r}")
        if self.role == "assistant" and any(isinstance(part, Image) for part in self.parts):
            raise UsageError("an assistant's turn cannot hold a picture")

    @property
    def text(self) -> str:
        """The words of the turn, pictures left out."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))


@dataclass(frozen=True)
class Conversation:
    """Alternating turns, the user first. ``system`` replaces the template's own system text; None keeps it."""

    turns: tuple[Turn, ...] = ()
    system: str | None = None

    def __post_init__(self) -> None:
        for index, turn in enumerate(self.turns):
            expected = "user" if index % 2 == 0 else "assistant"
            if turn.role != expected:
                raise UsageError(f"turn {index + 1} must be the {expected}'s, found {turn.role!r}")

    @classmethod
    def ask(cls, prompt: str, images: tuple[Image, ...] = (), *, system: str | None = None) -> Conversation:
        """A first question, its pictures in front of the words as LLaVA was trained."""
        return cls(system=system).then_ask(prompt, images)

    def then_ask(self, prompt: str, images: tuple[Image, ...] = ()) -> Conversation:
        """The same conversation with one more question."""
        return replace(self, turns=(*self.turns, Turn("user", (*images, Text(prompt)))))

    def then_answer(self, answer: str) -> Conversation:
        """The same conversation with the assistant's answer."""
        return replace(self, turns=(*self.turns, Turn("assistant", (Text(answer),))))

    def images(self) -> Iterator[Image]:
        """All pictures in reading order."""
        for turn in self.turns:
            for part in turn.parts:
                if isinstance(part, Image):
                    yield part

    def texts(self) -> Iterator[str]:
        """The words of each turn."""
        return (turn.text for turn in self.turns)


@dataclass(frozen=True)
class Rendered:
    """A prompt that its sender wrote out by a template of his own, ``<image>`` in place of every picture.

    The one text that is markup: names of special tokens inside are recognised, as the original's servers did it. So
    whoever wrote it answers for the words of others in it.
    """

    prompt: str
    pictures: tuple[Image, ...] = ()

    def images(self) -> Iterator[Image]:
        """All pictures in reading order."""
        return iter(self.pictures)

    def texts(self) -> Iterator[str]:
        """The prompt as a whole."""
        yield self.prompt


Asked: TypeAlias = Conversation | Rendered
