"""Conversations into single questions: each that can be understood by itself becomes a record with its picture.

A model that will mostly be asked one question about one picture learns more from many first questions than from as many
later ones, which earlier answers help (measured: docs/log.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from pumice.data.rules import PLACEHOLDER, between_placeholders, broken, image_names, said

# Words that look back, English only. A question with one of them stays with what was said before it: a word too many
# here costs a record, one too few asks about something that was never mentioned.
_BACK = re.compile(
    r"(?i)^\W*(?:and|but|so|then|or|what about|how about)\b|^\W*(?:why|how)\W*$"
    r"|\b(?:it|its|itself|they|them|their|theirs|he|him|his|she|her|hers|these|those|one|ones|else|others?|another|also"
    r"|too|same|both|former|latter|previous|again|mentioned|this)\b"
    r"|\b(?:is|are|was|were|do|does|did|can|could|would|about|of|for|with|in|on|from|like|by|that) that\b"
)
# What looks the same and does not.
_NOT_BACK = re.compile(
    r"(?i)\b(?:this|that) (?:picture|image|photo|photograph|scene|sentence|drawing|illustration)\b"
    r"|\bis it (?:true|possible|likely|correct) that\b|\b(?:more|less|fewer) than one\b"
    r"|\b(?:each|any|every|no) one of\b"
)
# Behind it, a pronoun may stand for something in the same question: "Count the dice and add them up."
_CLAUSE = re.compile(r"(?i)(?<=\w),|(?<=\w) (?:and|or|if)\b")


def apart(record: Mapping[str, object]) -> Iterator[dict[str, object]]:
    """The record in parts, with ids ``ID.1``, ``ID.2`` and on; itself, where there is nothing to take apart.

    That is a record without a picture, since its questions mostly build on each other, one whose later questions bring
    further pictures, and one that cannot be read.
    """
    pieces = [] if next(broken(record), None) else _pieces(said(record))
    if not image_names(record) or len(pieces) < 2:
        yield dict(record)
        return
    opening = f"{PLACEHOLDER}\n" * len(image_names(record) or ())
    for number, piece in enumerate(pieces, start=1):
        turns = [turn for question, answer in piece for turn in (_turn("human", question), _turn("gpt", answer))]
        if number > 1:
            turns[0]["value"] = opening + turns[0]["value"]
        name = {"id": f"{record['id']}.{number}"} if "id" in record else {}
        yield {**record, **name, "conversations": turns}


def _pieces(turns: Sequence[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """Questions with their answers, in groups that can stand alone; none if they do not come in pairs."""
    pairs = [(question, answer) for (_, question), (_, answer) in zip(turns[::2], turns[1::2], strict=False)]
    if len(turns) % 2 or any(len(between_placeholders(question)) > 1 for question, _ in pairs[1:]):
        return []
    pieces: list[list[tuple[str, str]]] = []
    for question, answer in pairs:
        if pieces and _looks_back(question):
            pieces[-1].append((question, answer))
        else:
            pieces.append([(question, answer)])
    return pieces


def _looks_back(question: str) -> bool:
    return _BACK.search(_CLAUSE.split(_NOT_BACK.sub(" ", question), maxsplit=1)[0]) is not None


def _turn(role: str, words: str) -> dict[str, str]:
    return {"from": role, "value": words}
