"""True answers with one word changed where it stands, so that they are false."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence

from verification_doubtless import NUMBERS, Known
from verification_planting import Planted

from pumice.annotations.categories import plural, vocabulary_for
from pumice.annotations.scene import Scene
from pumice.datagen.samples import Exchange

_COLOUR = re.compile(r"\b(red|green|blue|yellow|orange|purple|pink|brown|black|white)\b")
_OTHER = {"red": "green", "green": "red", "blue": "yellow", "yellow": "blue", "orange": "blue", "purple": "yellow",
          "pink": "green", "brown": "blue", "black": "yellow", "white": "red"}  # fmt: skip
EACH = 2


def edited(scene: Scene, answers: Sequence[Exchange], rng: random.Random) -> Iterator[tuple[Planted, Exchange]]:
    """Up to two changes of each kind. Answers that reason are left out: they speak of what might be, too."""
    known = Known(scene)
    made: list[tuple[Planted, Exchange]] = []
    for exchange in answers:
        if not re.search(r"\b(may|might|could|would|can be|if)\b", exchange.answer):
            made += [
                *_names(scene, known, exchange, rng),
                *_numbers(scene, known, exchange),
                *_colours(scene, exchange),
            ]
    rng.shuffle(made)
    for kind in ("existence", "count", "colour"):
        yield from [each for each in made if each[0].kind == kind][:EACH]


def _change(exchange: Exchange, start: int, end: int, words: str) -> Exchange:
    return Exchange(exchange.question, f"{exchange.answer[:start]}{words}{exchange.answer[end:]}")


def _plant(kind: str, exchange: Exchange, start: int) -> Planted:
    begin = max(exchange.answer.rfind(".", 0, start), 0)
    return Planted(kind, exchange.answer[begin : begin + 200], True, way="changed")  # type: ignore[arg-type]


def _names(scene: Scene, known: Known, exchange: Exchange, rng: random.Random) -> Iterator[tuple[Planted, Exchange]]:
    """Another kind of thing in place of one that is there."""
    for mention in vocabulary_for(scene).mentions(exchange.answer):
        if not known.absent or mention.loose or mention.category not in known.counts:
            continue
        name = rng.choice(known.absent)
        other = _change(exchange, mention.start, mention.end, plural(name) if mention.plural else name)
        yield _plant("existence", other, mention.start), other


def _numbers(scene: Scene, known: Known, exchange: Exchange) -> Iterator[tuple[Planted, Exchange]]:
    """A number that is larger than all there are."""
    for mention in vocabulary_for(scene).mentions(exchange.answer):
        said = re.search(
            r"\b(two|three|four|five|six|seven|\d)( \w+)? $", exchange.answer[: mention.start], re.IGNORECASE
        )
        count = known.counts.get(mention.category)
        if said is None or count is None or mention.loose or count > 6:
            continue
        more = count + 2
        if known.said(more):
            continue
        word = str(more) if said[1].isdigit() else NUMBERS[more]
        other = _change(exchange, said.start(1), said.end(1), word.capitalize() if said[1][0].isupper() else word)
        yield _plant("count", other, said.start(1)), other


def _colours(scene: Scene, exchange: Exchange) -> Iterator[tuple[Planted, Exchange]]:
    """Another colour right before the only thing of its name, where its colour is known."""
    colours = {thing.category: thing.colour for thing in scene.things if len(scene.named(thing.category)) == 1}
    for mention in vocabulary_for(scene).mentions(exchange.answer):
        said = re.search(r"(\w+) $", exchange.answer[: mention.start])
        if said is None or colours.get(mention.category) != said[1] or not _COLOUR.fullmatch(said[1]):
            continue
        other = _change(exchange, said.start(1), said.end(1), _OTHER[said[1]])
        yield _plant("colour", other, said.start(1)), other
