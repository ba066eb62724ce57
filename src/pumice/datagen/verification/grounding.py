"""Boxes that an answer gives: whether something of the named kind is there."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pumice.boxes import Box, has_area, iou, written_boxes
from pumice.datagen.verification.claims import Claim, Verdict
from pumice.datagen.verification.facts import Facts
from pumice.datagen.verification.sentences import Noun, sentences

_WRITTEN = re.compile(r"\[[\s\d.,-]*\]")
AGREED = 0.5  # intersection over union from which a box is the thing's
ELSEWHERE = 0.3  # and below which it is another's
ROUNDED = 0.012  # what two decimals may change of an edge


def without_boxes(text: str) -> str:
    """The text without its boxes, for reading the rest."""
    return _WRITTEN.sub("", text)


def boxed(known: Facts, question: str, answer: str, number: int) -> Iterator[Claim]:
    """A claim for every box, about what is named last before it; the first may be what the question asks for."""
    asked = [noun for sentence in sentences(question, known.vocabulary) for noun in sentence.nouns]
    noun = asked[-1] if asked else None
    start = 0
    for match in _WRITTEN.finditer(answer):
        box = next(written_boxes(match[0]), None)
        named = [
            each for sentence in sentences(answer[start : match.start()], known.vocabulary) for each in sentence.nouns
        ]
        noun = named[-1] if named else noun
        start = match.end()
        if box is not None and noun is not None:
            found, reason = _judged(known, noun, box)
            yield Claim("place", f"{noun.mention.word} {match[0]}", number, found, reason)


def _judged(known: Facts, noun: Noun, box: Box) -> tuple[Verdict, str]:
    names = noun.mention.categories
    things = known.things(names, noun.colours) or known.things(names)
    if not has_area(box):
        return "contradicted", "such a box holds nothing"
    if not things or noun.mention.loose:
        return "unknown", f"no {noun.mention.word} is annotated for sure"
    best = max(things, key=lambda thing: iou(box, thing.box) if has_area(thing.box) else 0.0)
    overlap = iou(box, best.box) if has_area(best.box) else 0.0
    near = all(abs(one - other) <= ROUNDED for one, other in zip(box, best.box, strict=True))
    reason = f"the nearest {best.category} overlaps by {overlap:.2f}"
    if near or overlap >= AGREED:
        return "supported", reason
    return ("contradicted" if overlap < ELSEWHERE and known.complete(names) else "unknown"), reason
