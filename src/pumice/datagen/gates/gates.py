"""What a draft must pass before it is compared with annotations: length, refusals, sources, loops, language."""

from __future__ import annotations

from collections.abc import Callable

from pumice.datagen.gates.language import foreign
from pumice.datagen.gates.mentions import source_mention
from pumice.datagen.gates.refusal import refusal
from pumice.datagen.gates.repetition import repetition
from pumice.datagen.samples import Draft, Kind, Rejection

#: Words of an answer, at least; a single word can be one in a conversation.
FEWEST_WORDS: dict[Kind, int] = {"detail": 8, "reasoning": 8}
MOST_WORDS = 1500  # LLaVA-Instruct's longest answers have some 700
MOST_EXCHANGES = 20


def check(draft: Draft, language: str = "en") -> Rejection | None:
    """Why the draft is not taken, or None.

    Codes, in the order in which they are looked for: "too-short", "too-long", "refusal", "mentions-source",
    "repetition", "language". language: that it should be in (ISO 639-1).

    Raises: UsageError if a library of the extra ``datagen`` is missing.
    """
    rejection = _length(draft)
    if rejection is not None:
        return rejection
    answers = [each.answer for each in draft.exchanges]
    everything = [part for each in draft.exchanges for part in (each.question, each.answer)]
    mentions = everything if draft.kind != "grounding" else []  # there boxes are the answer
    gates: tuple[tuple[str, Callable[[str], str | None], list[str]], ...] = (
        ("refusal", refusal, answers),
        ("mentions-source", source_mention, mentions),
        ("repetition", repetition, everything),
        ("language", lambda text: foreign(text, language), everything),
    )
    for reason, gate, texts in gates:
        for text in texts:
            found = gate(text)
            if found is not None:
                return Rejection(reason, f"{found[:120]!r}")
    return _asked_twice(draft)


def _length(draft: Draft) -> Rejection | None:
    if len(draft.exchanges) > MOST_EXCHANGES:
        return Rejection("too-long", f"{len(draft.exchanges)} questions, at most {MOST_EXCHANGES}")
    fewest = FEWEST_WORDS.get(draft.kind, 1)
    for each in draft.exchanges:
        for text, least in ((each.question, 1), (each.answer, fewest)):
            words = len(text.split())
            if words < least:
                return Rejection("too-short", f"{words} words, at least {least}: {text[:80]!r}")
            if words > MOST_WORDS or len(text) > 12 * MOST_WORDS:
                return Rejection("too-long", f"{words} words, at most {MOST_WORDS}: {text[:80]!r}")
    return None


def _asked_twice(draft: Draft) -> Rejection | None:
    asked = [" ".join(each.question.lower().split()) for each in draft.exchanges]
    for question in asked:
        if asked.count(question) > 1:
            return Rejection("repetition", f"asked twice: {question[:80]!r}")
    return None
