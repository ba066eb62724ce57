"""What is known of one picture, arranged for looking up: things by category, and what its captions say of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from functools import lru_cache

from pumice.annotations.categories import WORLD_SOURCE, Mention, Vocabulary, vocabulary_for
from pumice.annotations.scene import Scene, Thing
from pumice.datagen.verification.reading import statements
from pumice.datagen.verification.sentences import Noun, sentences
from pumice.datagen.verification.statements import Colour, Count, Existence

SCENES_KEPT = 64


class Facts:
    """Built once for a scene with ``facts``.

    captioned: what captions speak of, each name with the categories it may mean; words: the very names they use.
    numbers, colours: what captions say of a category. exact: nothing was overlooked, and every place is one of nine
    fields; so it is in the synthetic world, whose captions say nothing that its things do not.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.vocabulary: Vocabulary = vocabulary_for(scene)
        self.exact = scene.source == WORLD_SOURCE
        self._things: dict[str, list[Thing]] = defaultdict(list)
        for thing in scene.things:
            self._things[thing.category].append(thing)
        self._crowded = {thing.category for thing in scene.things if thing.crowd}
        self.captioned: set[Mention] = set()
        self.words: set[str] = set()
        self.numbers: dict[str, set[int]] = defaultdict(set)
        self.colours: dict[str, set[str]] = defaultdict(set)
        self.coloured_all: set[str] = set()
        for caption in () if self.exact else scene.captions:
            for sentence in sentences(caption, self.vocabulary):
                for statement in statements(sentence):
                    if not statement.denied:
                        self._hear(statement.content)

    def things(self, categories: Collection[str], colours: Collection[str] = ()) -> list[Thing]:
        """All of these categories; with ``colours``, those that are known to have one of them."""
        found = [thing for each in categories for thing in self._things.get(each, ())]
        return [thing for thing in found if thing.colour in colours] if colours else found

    def complete(self, categories: Collection[str]) -> bool:
        """Whether every thing of these categories has a box of its own."""
        return self.closed(categories) and self._crowded.isdisjoint(categories)

    def closed(self, categories: Collection[str]) -> bool:
        """Whether absence is known: nobody marked such a thing, though people looked for it."""
        every = self.exact and len(categories) > 1  # "things" are all there are, whatever each is called
        return every or self.scene.closed.issuperset(categories)

    def said(self, noun: Noun) -> bool:
        """Whether a caption speaks of just this: a dog is an animal, but "an animal" need not be a dog."""
        meant = set(noun.mention.categories)
        return any(meant.issuperset(each.categories) for each in self.captioned)

    def hinted(self, noun: Noun) -> bool:
        """Whether a caption speaks of something that may be this, and that no box accounts for."""
        meant = set(noun.mention.categories)
        return any(not (meant.isdisjoint(each.categories) or self._accounted(each)) for each in self.captioned)

    def _accounted(self, told: Mention) -> bool:
        """Whether boxes show what a general word stands for: as many things of those kinds as it says, at least."""
        few = told.number or (2 if told.plural else 1)
        return told.general and len(self.things(told.categories)) >= few

    def coloured(self, things: Collection[Thing]) -> bool:
        """Whether the colour of each of them is known, or is of no account as in the world."""
        return any(thing.colour for thing in things) and (self.exact or all(thing.colour for thing in things))

    def _hear(self, content: object) -> None:
        if isinstance(content, Existence):
            self.captioned.add(content.noun.mention)
            self.words.add(content.noun.mention.word)
        elif isinstance(content, Count) and content.number:
            noun = content.nouns[0]
            sharp = content.bound == "exact" or noun.determiner == "#" or len(content.nouns) > 1  # no "group of"
            if sharp and len(noun.mention.categories) == 1:
                self.numbers[noun.mention.category].add(content.number)
        elif isinstance(content, Colour) and len(content.noun.mention.categories) == 1 and not content.surface:
            mention = content.noun.mention
            self.colours[mention.category].update(() if mention.loose else content.colours)
            if mention.plural:
                self.coloured_all.add(mention.category)


@lru_cache(maxsize=SCENES_KEPT)
def facts(scene: Scene) -> Facts:
    """What is known of the scene; several samples are written about each, one after another."""
    return Facts(scene)
