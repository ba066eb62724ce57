"""Answers that give away what the teacher was shown instead of a picture: captions, boxes, coordinates, context."""

from __future__ import annotations

import re

_SOURCE = (
    r"(?:descriptions?|sentences?|statements?|annotations?|contexts?|text(?:ual)? (?:input|description)|list|prompt"
    r"|input|metadata|object list|image description)"
)
_GIVEN = r"(?:given|provided|above|supplied|available|input)"
_TELLS = (
    r"(?:mentions?|says?|states?|describes?|indicates?|implies|imply|suggests?|tells?|specif(?:y|ies)|lists?|notes?"
    r"|refers?|(?:do|does)(?: not|n't) (?:mention|say|state|specify|indicate|tell|provide|list))"
)
_FOUND = re.compile(
    r"\b(?<!closed )captions\b(?! (?:and|or) subtitles)"
    # A poster may have a caption; the one that is just there was read.
    r"|\b(?:the|this|one|each|image|first|second|third|fourth|fifth|last|original|provided|given) caption\b"
    r"(?! (?:at|below|under|underneath|beneath|above|on|reads|reading|that reads))"
    r"|\bbounding[- ]box(?:es)?\b"
    r"|\b(?:the|these|those|given|provided|box|its|exact|by|from|normali[sz]ed) coordinates\b"
    r"|\bcoordinates (?:of|indicate|suggest|show|provided|given|are|for)\b"
    rf"|\b(?:the|these|your|all|both|one|some|several)(?: of the)?(?: \w+)? {_SOURCE} {_TELLS}\b"
    rf"|\b{_GIVEN} (?:image )?{_SOURCE}\b"
    rf"|\b{_SOURCE} (?:that (?:is|are|was|were) )?(?:given|provided|supplied)\b"
    r"|\b(?:according to|mentioned in|described in|stated in|based on|as per|from) (?:the|these|those|this)"
    rf" {_SOURCE}\b"
    r"|\bbased on the (?:given|provided|available) (?:information|data|details)\b"
    r"|\b(?:is|are|was|were) (?:not |also |only |explicitly |n't )*(?:explicitly )?mentioned\b"
    r"|\bno mention of\b"
    r"|\(crowd\)"
    r"|[\[(]\s*[01]?\.\d+\s*(?:,\s*[01]?\.\d+\s*)+[\])]",
    re.IGNORECASE,
)


def source_mention(text: str) -> str | None:
    """The words that give it away; None if there are none."""
    found = _FOUND.search(text)
    return found[0] if found else None
