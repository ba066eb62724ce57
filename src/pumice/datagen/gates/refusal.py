"""Answers in which a teacher declines, apologises, or speaks of itself as a machine."""

from __future__ import annotations

import re

_PICTURE = r"(?:image|picture|photo(?:graph)?)s?\b"
_MACHINE = r"(?:AI|A\.I\.|artificial intelligence|(?:large )?language model|text[- ](?:based|only) )"
_CANNOT = r"(?:can(?:no|')?t|can not|cannot|(?:am|'m) (?:unable|not able) to|(?:will not|won't)|am not allowed to)"
_DECLINED = (
    r"(?:help|assist|comply|fulfil+|answer (?:that|this|your)|generate|process|analy[sz]e|access|continue|engage"
    r"|provide (?:a|an|any|the|that|this|information)"
    rf"|(?:see|view|look at) (?:the |this |any |your |actual )*{_PICTURE})"
)
_ANYWHERE = re.compile(
    rf"\b(?:as|being) an? {_MACHINE}[^.!?\n]{{0,60}}?\bI\b|\b(?:I am|I'm)(?: just| only)? an? {_MACHINE}"
    rf"|\bI {_CANNOT}(?: directly| currently)? {_DECLINED}"
    rf"|\bI'm (?:unable|not able) to {_DECLINED}"
    r"|\bI (?:do not|don't) have (?:access|the ability|the capability|eyes|vision)\b"
    rf"|\bno {_PICTURE} (?:was|were|is|has been|have been)? ?(?:provided|attached|given|included|uploaded)"
    r"|\b(?:against|violates?) (?:my|our|the|OpenAI's)(?: \w+){0,2} (?:polic|guideline|programming)"
    r"|\bI (?:must|have to) (?:respectfully )?decline\b|\bI(?:'d| would) rather not\b",
    re.IGNORECASE,
)
# A sign may say "Sorry, we are closed"; who begins with it, declines.
_AT_FIRST = re.compile(
    r"(?:oh, |unfortunately, )?(?:(?:I'm|I am)(?: \w+)? sorry\b|sorry, (?:but )?I\b|(?:I|my) apolog)", re.IGNORECASE
)


def refusal(text: str) -> str | None:
    """The words that decline; None if there are none."""
    plain = text.replace("’", "'").strip()
    found = _AT_FIRST.match(plain) or _ANYWHERE.search(plain)
    return found[0] if found else None
