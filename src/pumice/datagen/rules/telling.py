"""What a conversation has told so far, so that it tells nothing twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from pumice.annotations.categories import Vocabulary
from pumice.datagen.samples import Exchange

#: What is told of a category: that it is there (or not), how many, where, in which colour.
Topic: TypeAlias = Literal["there", "count", "place", "colour"]


class Telling:
    """The exchanges of one conversation, each of which tells something of its own."""

    def __init__(self, words: Vocabulary) -> None:
        self.exchanges: list[Exchange] = []
        self._words = words
        self._told: set[tuple[Topic, str]] = set()

    def add(self, topic: Topic, exchange: Exchange) -> None:
        """As the next."""
        self.exchanges.append(exchange)
        self._told |= self._facts(topic, exchange)

    def add_one(self, topic: Topic, offered: Sequence[Exchange]) -> None:
        """The first of those offered that repeats nothing, if there is one."""
        for exchange in offered:
            if self._told.isdisjoint(self._facts(topic, exchange)):
                self.add(topic, exchange)
                return

    def _facts(self, topic: Topic, exchange: Exchange) -> set[tuple[Topic, str]]:
        """An answer that names one thing, or a number, tells the number, too."""
        answered = [(name, each) for each in self._words.mentions(exchange.answer) for name in each.categories]
        asked = {name for each in self._words.mentions(exchange.question) for name in each.categories}
        facts: set[tuple[Topic, str]] = {(topic, name) for name in asked | {name for name, _ in answered}}
        if topic == "there":
            facts |= {("count", name) for name, each in answered if each.number is not None or not each.plural}
        return facts
