"""Places, relations and sizes against boxes. Of several things of a name, one that fits is enough."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from pumice.annotations.scene import Thing
from pumice.boxes import Box
from pumice.datagen.verification.facts import Facts
from pumice.datagen.verification.findings import Finding, Truth
from pumice.datagen.verification.lexicon import Direction
from pumice.datagen.verification.sentences import Noun
from pumice.datagen.verification.statements import Measure, Place, Relation, Size

# All lengths are shares of the picture's side.
OVER_THE_MIDDLE = 0.05  # a thing "on the left" may have its centre so far right of the middle
AROUND_THE_MIDDLE = 0.2  # how far from the middle a thing's centre may be and still be "in the middle"
SHARE = 0.4  # of a thing's extent, which must be in the named half where its centre is not
APART = 0.05  # one thing is not left of another whose centre is so much further left
SLIP = 0.08  # what people err by beyond that
ROUGHLY_AS_LARGE, CLEARLY_SMALLER = 0.9, 0.67  # ratios of two things' extents
THIRD = 1 / 3


def place(said: Place, facts: Facts) -> Finding:
    """Whether one of the things meant is in that part of the picture."""
    best: Finding | None = None
    for noun in said.nouns:
        found = _of_noun(noun, facts)
        misses = [_miss(thing.box, said.where, facts.exact) for thing in found]
        if not misses or noun.mention.loose:
            return Finding(Truth.OPEN, f"no {noun.mention.word} is annotated for sure")
        reason = f"the {noun.mention.category} is at {_points(found)}"
        enough = noun.determiner in ("a", "Q", "#") or len(found) == 1
        clear = [_clearly(thing.box, said.where, facts.exact) for thing in found]
        if min(misses) <= 0:
            sure = any(clear) if enough else all(clear)
            return Finding(Truth.TRUE if sure else Truth.FITS, reason)
        if not facts.complete(noun.mention.categories):
            return Finding(Truth.OPEN, f"{reason}, and others may be elsewhere")
        truth = Truth.OFF if min(misses) <= SLIP and not facts.exact else Truth.FALSE
        best = Finding(truth, reason) if best is None or best.truth is not Truth.OFF else best
    return best or Finding(Truth.OPEN, "nothing is named")


def relation(said: Relation, facts: Facts) -> Finding:
    """Whether some pair of the things meant stands so to one another, by their centres."""
    finding = Finding(Truth.OPEN, "not both are annotated for sure")
    others = _of_noun(said.other, facts)
    for noun in said.nouns:
        found = _of_noun(noun, facts)
        pairs = [(one, other) for one, other in product(found, others) if one is not other]
        if not pairs or noun.mention.loose or said.other.mention.loose:
            return finding
        ahead = [_ahead(one.box, other.box, said.relation) for one, other in pairs]
        reason = f"{noun.mention.category} at {_points(found)}, {said.other.mention.category} at {_points(others)}"
        tolerance = 0.0 if facts.exact else APART
        if max(ahead) >= -tolerance:
            return Finding(Truth.TRUE if min(ahead) > APART else Truth.FITS, reason)
        if not facts.complete((*noun.mention.categories, *said.other.mention.categories)):
            return Finding(Truth.OPEN, f"{reason}, and others may be elsewhere")
        truth = Truth.OFF if max(ahead) >= -tolerance - SLIP and not facts.exact else Truth.FALSE
        if finding.truth is not Truth.OFF:
            finding = Finding(truth, reason)
    return finding


def size(said: Size, facts: Facts) -> Finding:
    """By the boxes: how large things appear in the picture, whatever they measure in the world."""
    found = _of_noun(said.noun, facts)
    own = {thing.category for thing in found}
    if said.other is not None:
        rivals = [thing for thing in _of_noun(said.other, facts) if not any(thing is each for each in found)]
    else:
        scope = facts.things(said.among.mention.categories) if said.among is not None else list(facts.scene.things)
        rivals = [thing for thing in scope if thing.category not in own]
    nouns = [noun for noun in (said.noun, said.other) if noun is not None]
    if not found or not rivals or any(noun.mention.loose for noun in nouns):
        return Finding(Truth.OPEN, "not both are annotated for sure")
    if not all(facts.complete(noun.mention.categories) for noun in nouns) or any(thing.crowd for thing in rivals):
        return Finding(Truth.OPEN, "others may be larger or smaller")
    ratio = _ratio(found, rivals, said)
    reason = f"as drawn by boxes, its size is {ratio:.2f} of what it is compared with"
    if said.smaller:
        ratio = 1 / max(ratio, 1e-9)
    if ratio >= ROUGHLY_AS_LARGE:
        return Finding(Truth.TRUE if ratio > 1 / ROUGHLY_AS_LARGE else Truth.FITS, reason)
    return Finding(Truth.OFF if ratio >= CLEARLY_SMALLER else Truth.FALSE, reason)


def _ratio(found: Sequence[Thing], rivals: Sequence[Thing], said: Size) -> float:
    """The kindest comparison: the largest of ours with the smallest of another kind, but with the largest of all."""
    ours = [_extent(thing.box, said.measure) for thing in found]
    theirs = [_extent(thing.box, said.measure) for thing in rivals]
    mine = min(ours) if said.smaller else max(ours)
    if said.other is not None:
        rival = max(theirs) if said.smaller else min(theirs)
    else:
        rival = min(theirs) if said.smaller else max(theirs)
    return mine / max(rival, 1e-9)


def _of_noun(noun: Noun, facts: Facts) -> list[Thing]:
    """What the noun may mean; its colour narrows that where colours are known."""
    found = facts.things(noun.mention.categories)
    fitting = facts.things(noun.mention.categories, noun.colours) if noun.colours else []
    return fitting or found


def _miss(box: Box, where: Direction, exact: bool) -> float:
    """How far the box is from the part of the picture; 0 or less if it is in it."""
    across = 0.0 if where.x is None else _axis(box[0], box[2], where.x, exact)
    down = 0.0 if where.y is None else _axis(box[1], box[3], where.y, exact)
    return max(across, down)


def _axis(low: float, high: float, side: int, exact: bool) -> float:
    centre = (low + high) / 2
    if exact:
        return abs(centre - (0.5 + side * THIRD)) - THIRD / 2
    if side == 0:
        room = AROUND_THE_MIDDLE + (0.1 if low <= 0.5 <= high else 0.0)
        return abs(centre - 0.5) - room
    if side < 0:
        low, high, centre = 1 - high, 1 - low, 1 - centre
    within = (high - 0.5) / max(high - low, 1e-9)
    return 0.0 if within >= SHARE else 0.5 - OVER_THE_MIDDLE - centre


def _clearly(box: Box, where: Direction, exact: bool) -> bool:
    """Whether nobody would say otherwise: it is within the third of that name, or all of it within the half."""
    for low, high, side in ((box[0], box[2], where.x), (box[1], box[3], where.y)):
        if side is None:
            continue
        third = abs((low + high) / 2 - (0.5 + side * THIRD)) <= THIRD / 2
        half = not exact and ((side < 0 and high <= 0.5) or (side > 0 and low >= 0.5))
        if not (third or half):
            return False
    return True


def _ahead(one: Box, other: Box, name: str) -> float:
    """By how much the centre of the one is further in the named direction."""
    axis = 0 if name in ("left", "right") else 1
    gap = (other[axis] + other[axis + 2] - one[axis] - one[axis + 2]) / 2
    return gap if name in ("left", "above") else -gap


def _extent(box: Box, measure: Measure) -> float:
    width, height = box[2] - box[0], box[3] - box[1]
    return {"area": width * height, "width": width, "height": height}[measure]


def _points(things: Sequence[Thing]) -> str:
    """Centres, in words for a report."""
    points = [
        f"({(thing.box[0] + thing.box[2]) / 2:.2f}, {(thing.box[1] + thing.box[3]) / 2:.2f})" for thing in things[:6]
    ]
    return " and ".join(points) + (" ..." if len(things) > len(points) else "")
