"""Statements that things are there, how many, and in which colours, against what is known of a picture."""

from __future__ import annotations

from pumice.annotations.categories import plural
from pumice.datagen.verification.facts import Facts
from pumice.datagen.verification.findings import Finding, Truth
from pumice.datagen.verification.geometry import place, relation, size
from pumice.datagen.verification.lexicon import NEAR_COLOURS
from pumice.datagen.verification.sentences import Noun
from pumice.datagen.verification.statements import Colour, Content, Count, Existence, Place, Relation

#: From here on annotators of photographs stop counting: what is more is often marked as a crowd, or not at all.
MANY = 10
_INDEFINITE = frozenset("a#Qz")


def judge(content: Content, facts: Facts) -> Finding:
    """How true the statement is of the picture."""
    if isinstance(content, Existence):
        return existence(content.noun, facts)
    if isinstance(content, Count):
        return count(content, facts)
    if isinstance(content, Colour):
        return colour(content, facts)
    if isinstance(content, Place):
        return place(content, facts)
    return relation(content, facts) if isinstance(content, Relation) else size(content, facts)


def existence(noun: Noun, facts: Facts) -> Finding:
    """Absence is certain only of categories that were looked for everywhere, and that no caption may speak of."""
    mention = noun.mention
    if facts.things(mention.categories):
        sure = not (mention.narrow or mention.loose) or mention.word in facts.words
        return Finding(Truth.TRUE if sure else Truth.FITS, f"{_several(noun)} annotated")
    if facts.said(noun):
        return Finding(Truth.FITS, "a caption speaks of it")
    if facts.hinted(noun):
        return Finding(Truth.OPEN, "a caption may speak of it")
    if mention.loose or not facts.closed(mention.categories):
        return Finding(Truth.OPEN, f"nobody looked for every {mention.word}")
    return Finding(Truth.FALSE, f"no {mention.category} is annotated, and no caption speaks of one")


def _several(noun: Noun) -> str:
    names = noun.mention.categories
    return f"{plural(names[0])} are" if len(names) == 1 else f"some of {', '.join(names)} are"


def count(said: Count, facts: Facts) -> Finding:
    """A number of some, as in "two men" or "two dogs on the couch", is wrong only if it exceeds all there are."""
    noun = said.nouns[0]
    mention = noun.mention
    found = facts.things(mention.categories)
    if noun.colours and not facts.coloured(found):
        said = Count(said.nouns, said.number, said.bound, False)
    elif noun.colours:
        found = facts.things(mention.categories, noun.colours)
    if said.number == 0:
        return _none(said, len(found), facts)
    if mention.loose:
        return Finding(Truth.OPEN, f"not every {mention.word} is annotated")
    if not facts.closed(mention.categories):
        return Finding(Truth.OPEN, f"nobody counted every {mention.word}")
    reason = _counted(noun, len(found))
    if not facts.complete(mention.categories):
        few = said.whole and said.bound == "exact" and said.number < len(found) and not mention.narrow
        return Finding(Truth.OFF if few else Truth.OPEN, f"{reason}, and a crowd")
    return _compared(said, len(found), facts, reason)


def _none(said: Count, found: int, facts: Facts) -> Finding:
    noun = said.nouns[0]
    mention = noun.mention
    named = not (mention.narrow or mention.loose) or mention.word in facts.words
    if found and named and said.whole:
        return Finding(Truth.FALSE, _counted(noun, found))
    if found or facts.said(noun) or facts.hinted(noun) or mention.loose or not facts.closed(mention.categories):
        return Finding(Truth.OPEN, _counted(noun, found) if found else "a caption may speak of it")
    return Finding(Truth.TRUE, f"no {mention.category} is annotated")


def _counted(noun: Noun, found: int) -> str:
    """How many of the kind there are, in words for a report."""
    name = " ".join((*noun.colours, noun.mention.category))
    return f"1 {name} is annotated" if found == 1 else f"{found} {plural(name)} are annotated"


def _compared(said: Count, found: int, facts: Facts, reason: str) -> Finding:
    noun = said.nouns[0]
    captioned = {number for each in noun.mention.categories for number in facts.numbers.get(each, ())}
    if not found:
        there = existence(noun, facts)
        told = there.truth is not Truth.FITS or said.number in (1, *captioned)
        return there if told else Finding(Truth.OPEN, f"{there.reason}, but not of {said.number}")
    if said.bound == "about":
        room = max(1, round(0.3 * found))
        near = abs(said.number - found) <= room or said.number in captioned
        return Finding(Truth.FITS if near else Truth.FALSE, reason)
    uncounted = not facts.exact and found >= MANY and said.number >= found
    if said.number > found:
        if said.number in captioned or uncounted:
            return Finding(Truth.OPEN, f"{reason}, but a caption says so" if not uncounted else f"{reason}, at least")
        return Finding(_wrong(said.number, found), reason)
    if said.number == found:
        return Finding(Truth.TRUE if said.bound == "exact" and said.whole else Truth.FITS, reason)
    if said.bound == "least" or noun.mention.narrow or len(said.nouns) > 1 or said.number in captioned:
        return Finding(Truth.FITS, reason)
    if not said.whole and (captioned != {found} or noun.determiner != "#" or not noun.plain):
        return Finding(Truth.FITS, reason)
    return Finding(_wrong(said.number, found) if said.whole else Truth.OFF, reason)


def _wrong(said: int, found: int) -> Truth:
    """One more or less of four or more is an annotator's slip as easily as a writer's."""
    return Truth.OFF if abs(said - found) == 1 and found >= 4 else Truth.FALSE


def colour(said: Colour, facts: Facts) -> Finding:
    """From the things themselves where their colours are known, else from captions about the only one of its kind."""
    mention = said.noun.mention
    found = facts.things(mention.categories)
    if not found or mention.loose:
        return Finding(Truth.OPEN, f"no {mention.word} is annotated for sure")
    if said.surface and not facts.exact:  # the synthetic world's things have one colour all over
        return Finding(Truth.OPEN, "a surface may differ from the rest")
    if facts.coloured(found):
        shown = sorted({thing.colour for thing in found if thing.colour is not None})
        fitting = facts.things(mention.categories, said.colours)
        reason = f"{_counted(said.noun, len(found)) if not said.noun.colours else 'annotated'}: {', '.join(shown)}"
        if not fitting:
            return Finding(Truth.FALSE if facts.complete(mention.categories) else Truth.OPEN, reason)
        every = len(fitting) == len(found) or said.noun.determiner in _INDEFINITE
        return Finding(Truth.TRUE if every else Truth.FITS, reason)
    if mention.category == "person":
        return Finding(Truth.OPEN, "people have many colours")
    return _captioned_colour(said, len(found), facts)


def _captioned_colour(said: Colour, found: int, facts: Facts) -> Finding:
    names = said.noun.mention.categories
    captioned = {each for name in names for each in facts.colours.get(name, ())}
    if not captioned:
        return Finding(Truth.OPEN, "no caption says its colour")
    reason = f"captions say {', '.join(sorted(captioned))}"
    if captioned.intersection(said.colours):
        sure = found == 1 and captioned == set(said.colours) and facts.complete(names)
        return Finding(Truth.TRUE if sure else Truth.FITS, reason)
    if any(frozenset((one, other)) in NEAR_COLOURS for one in captioned for other in said.colours):
        return Finding(Truth.OPEN, f"{reason}, which some call {' and '.join(said.colours)}")
    alike = found == 1 or not facts.coloured_all.isdisjoint(names)
    if not alike or not facts.complete(names):
        return Finding(Truth.OPEN, f"{reason}, of one of {found}")
    return Finding(Truth.FALSE, reason)
