"""A dialogue as a value that grows: what was said, what is shown next, and how answers are made.

Knows neither terminal nor engine. Every change is checked before it is made, so that a refused one changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace

from pumice.cli.pictures import Picture
from pumice.errors import UsageError
from pumice.options import SamplingOptions
from pumice.prompts.conversation import Conversation, Image

#: What ``/set`` may change, and how its words become a value.
_READERS = {
    "temperature": float,
    "top_p": float,
    "top_k": int,
    "max_tokens": int,
    "seed": int,
}


@dataclass(frozen=True)
class Exchange:
    """A question, the pictures that came with it, and what was answered."""

    question: str
    pictures: tuple[Picture, ...]
    answer: str


@dataclass
class Dialogue:
    """waiting: pictures for the next question."""

    options: SamplingOptions
    system: str | None = None
    exchanges: list[Exchange] = field(default_factory=list)
    waiting: list[Picture] = field(default_factory=list)

    def asked(self, question: str) -> Conversation:
        """The conversation up to ``question``, which comes with the pictures that wait."""
        said = Conversation(system=self.system)
        for each in self.exchanges:
            said = said.then_ask(each.question, _parts(each.pictures)).then_answer(each.answer)
        return said.then_ask(question, _parts(self.waiting))

    def answered(self, question: str, answer: str) -> None:
        """The question was answered; its pictures belong to it now."""
        self.exchanges.append(Exchange(question, tuple(self.waiting), answer))
        self.waiting = []

    def last(self) -> Exchange:
        """What was said last. Raises UsageError if nothing was."""
        if not self.exchanges:
            raise UsageError("nothing has been said yet")
        return self.exchanges[-1]

    def take_back(self) -> Exchange:
        """Forget the last exchange; its pictures wait again. Raises UsageError if there is none."""
        last = self.last()
        self.exchanges.pop()
        self.waiting = [*last.pictures, *self.waiting]
        return last

    def clear(self) -> None:
        self.exchanges, self.waiting = [], []

    def pictures(self) -> Iterator[tuple[Picture, bool]]:
        """All pictures in the order in which the model sees them, and whether each still waits."""
        for each in self.exchanges:
            yield from ((picture, False) for picture in each.pictures)
        yield from ((picture, True) for picture in self.waiting)

    def drop(self, number: int) -> Picture:
        """Take out picture ``number``, from 1, also from what was said. Raises UsageError if there is none."""
        listed = [picture for picture, _ in self.pictures()]
        if not 1 <= number <= len(listed):
            raise UsageError(f"no picture {number}: there are {len(listed)}", hint="/images lists them")
        at = number - 1
        for place, each in enumerate(self.exchanges):
            if at < len(each.pictures):
                kept = each.pictures[:at] + each.pictures[at + 1 :]
                self.exchanges[place] = replace(each, pictures=kept)
                return listed[number - 1]
            at -= len(each.pictures)
        return self.waiting.pop(at)

    def set_option(self, name: str, words: str) -> None:
        """Change one sampling option. Raises UsageError for a name or a value that makes no sense."""
        name = name.replace("-", "_")
        if name == "stop":
            self.options = replace(self.options, stop=() if words == "off" else (words,))
            return
        if name not in _READERS:
            raise UsageError(f"/set: no setting {name!r}", hint=f"there are {', '.join([*_READERS, 'stop'])}")
        if name == "seed" and words in ("off", "none"):
            self.options = replace(self.options, seed=None)
            return
        try:
            value = _READERS[name](words)
        except ValueError:
            raise UsageError(f"/set {name}: expected a number, found {words!r}") from None
        self.options = replace(self.options, **{name: value})

    def settings(self) -> dict[str, object]:
        """Every sampling option and its value."""
        names = {*_READERS, "stop"}
        return {each.name: getattr(self.options, each.name) for each in fields(self.options) if each.name in names}


def _parts(pictures: list[Picture] | tuple[Picture, ...]) -> tuple[Image, ...]:
    return tuple(picture.part for picture in pictures)
