"""Verification: what answers say about a picture against what its annotations say.

claims = verify(scene, exchanges)
rejection = refused(claims, "strict")
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pumice.annotations.scene import Scene
from pumice.boxes import written_boxes
from pumice.datagen.samples import Exchange
from pumice.datagen.verification.claims import Claim, ClaimKind, refused
from pumice.datagen.verification.facts import Facts, facts
from pumice.datagen.verification.findings import Truth, verdict
from pumice.datagen.verification.grounding import boxed, without_boxes
from pumice.datagen.verification.judging import judge
from pumice.datagen.verification.questions import Asked, asking, completed, yes_no
from pumice.datagen.verification.reading import statements
from pumice.datagen.verification.sentences import sentences
from pumice.datagen.verification.statements import Colour, Content, Count, Existence, Place, Relation, Statement

__all__ = ["refused", "verify"]

_LONGEST = 200  # characters of a sentence in a claim


def verify(scene: Scene, exchanges: Sequence[Exchange]) -> tuple[Claim, ...]:
    """Every claim of the answers that annotations might bear out or refute, in order.

    A question claims nothing by itself, but says what "yes", "two" or "on the left" is about.
    """
    known = facts(scene)
    return tuple(claim for number, exchange in enumerate(exchanges) for claim in _claims(known, exchange, number))


def _claims(known: Facts, exchange: Exchange, number: int) -> Iterator[Claim]:
    question = asking(sentences(exchange.question, known.vocabulary))
    answer = exchange.answer
    asked = yes_no(question, answer)
    if asked is not None:
        yield from _answered(known, asked, number)
    if next(written_boxes(answer), None) is not None:
        yield from boxed(known, exchange.question, answer, number)
        answer = without_boxes(answer)
    seen: set[tuple[str, ...]] = set()
    for place, sentence in enumerate(sentences(answer, known.vocabulary)):
        if sentence.asks:
            continue
        for statement in statements(sentence):
            yield from _claim(known, statement, sentence.text, number, seen)
        if place == 0 and asked is None:
            for statement in completed(question, sentence):
                yield from _claim(known, statement, f"{exchange.question} {sentence.text}", number, seen)


def _claim(known: Facts, statement: Statement, text: str, number: int, seen: set[tuple[str, ...]]) -> Iterator[Claim]:
    """The claim that a statement makes; none for a guess, and one for what is said again and again to be there."""
    if not statement.firm:
        return
    content = statement.content
    finding = judge(content, known)
    found = verdict(finding.truth, statement.denied)
    if isinstance(content, Existence):
        names = content.noun.mention.categories
        if names in seen and found != "contradicted":
            return
        seen.add(names)
    yield Claim(_kind(content), text[:_LONGEST], number, found, finding.reason, finding.truth is not Truth.OFF)


def _kind(content: Content) -> ClaimKind:
    if isinstance(content, Existence) or (isinstance(content, Count) and content.number == 0):
        return "existence"
    if isinstance(content, Count):
        return "count"
    if isinstance(content, Colour):
        return "colour"
    return "place" if isinstance(content, Place | Relation) else "size"


def _answered(known: Facts, asked: Asked, number: int) -> Iterator[Claim]:
    """One claim for a yes or a no: it is wrong if anything in it is, and right if all is."""
    findings = [judge(content, known) for content in asked.contents]
    if asked.denied and any(isinstance(each, Existence) and each.part for each in asked.contents):
        findings = [each for each in findings if each.truth is Truth.FALSE]
    verdicts = [verdict(each.truth, asked.denied) for each in findings]
    for wanted in ("contradicted", "unknown", "supported"):
        for finding, found in zip(findings, verdicts, strict=True):
            if found == wanted:
                yield Claim(
                    "yes_no", asked.text[:_LONGEST], number, found, finding.reason, finding.truth is not Truth.OFF
                )
                return
