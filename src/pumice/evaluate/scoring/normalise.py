"""What answers to visual questions are compared as: three tools' normalisers, with the oddities that scores depend on.

    official("The dog's 2,5")   # "dog's 25"
    m4c("The dog's toy")        # "dog 's toy"
    vlmevalkit("1. cat")        # "1. cat"

The oddities are the tools' own and are kept (reference/training.md, section 6): whether a mark of punctuation is
deleted or becomes a space depends on whether it touches a space anywhere, "Im" is no contraction, and the flag
``re.UNICODE``, given where a count belongs, lets only the first 32 periods go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

_MARKS = (";", "/", "[", "]", '"', "{", "}", "(", ")", "=", "+", "\\", "_", "-", ">", "<", "@", "`", ",", "?", "!")
_PERIODS = 32
_REMEMBERED = 1 << 15  # people mostly say the same words
# The look-behind of VQA's and m4c's pattern is mistyped and does nothing; VLMEvalKit has put it right.
_PERIOD = re.compile(r"\.(?!\d)")
_LONE_PERIOD = re.compile(r"(?<!\d)\.(?!\d)")
_COMMA_IN_NUMBER = re.compile(r"\d,\d")
_COMMAS_IN_NUMBER = re.compile(r"\d,+\d")
_ARTICLES = {"a", "an", "the"}
_NUMBERS = {
    word: str(value)
    for value, word in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    )
} | {"none": "0"}
# Contractions that people write without their apostrophe.
_WITH_ONE = """
    ain't aren't can't could've couldn't didn't doesn't don't hadn't hasn't haven't he'd he's how'd how'll how's
    isn't it'd it'll ma'am mightn't might've mustn't must've needn't not've o'clock oughtn't shan't should've
    shouldn't somebody'll somebody's someone'd someone'll someone's something'd something'll that's there'd
    there're there's they'd they'll they're they've 'twas wasn't we've weren't what'll what're what's what've
    when's where'd where's where've who'd who'll who's who've why'll why're why's won't would've wouldn't y'all
    you'd you'll you're you've
"""
# Those with two, of which either may be missing.
_WITH_TWO = """
    couldn't've hadn't've he'd've it'd've mightn't've she'd've shouldn't've somebody'd've someone'd've
    something'd've there'd've they'd've we'd've who'd've wouldn't've you'd've
"""
_CONTRACTIONS: Mapping[str, str] = {
    **{whole.replace("'", ""): whole for whole in _WITH_ONE.split()},
    **{whole.replace("'", "", 1): whole for whole in _WITH_TWO.split()},
    **{"".join(whole.rsplit("'", 1)): whole for whole in _WITH_TWO.split()},
    **dict.fromkeys(("ow's'at", "'ows'at", "'ow'sat"), "'ow's'at"),
    **dict.fromkeys(("yall'll", "y'allll"), "y'all'll"),
    **dict.fromkeys(("yall'd've", "y'alld've", "y'all'dve"), "y'all'd've"),
    "somebody'd": "somebodyd",
}


@lru_cache(_REMEMBERED)
def official(answer: str) -> str:
    """As VQA's evaluation (GT-Vision-Lab's ``vqaEval.py``) compares answers that people did not agree upon."""
    return words(_without_marks(_one_line(answer), _COMMA_IN_NUMBER, _PERIOD))


@lru_cache(_REMEMBERED)
def m4c(answer: str) -> str:
    """As EvalAI compares answers, by M4C's copy: what the original uploads to VQAv2 and VizWiz, and TextVQA's measure.

    lmms-eval has the same copy.
    """
    text = answer.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()
    return words(marks(_one_line(text)))


@lru_cache(_REMEMBERED)
def vlmevalkit(answer: str) -> str:
    """As VLMEvalKit's ``process_answer`` does."""
    return words(vlmevalkit_marks(_one_line(answer)))


def marks(text: str) -> str:
    """M4C's way with punctuation alone."""
    return _without_marks(text, _COMMAS_IN_NUMBER, _PERIOD)


def vlmevalkit_marks(text: str) -> str:
    """VLMEvalKit's way with punctuation alone."""
    return _without_marks(text, _COMMA_IN_NUMBER, _LONE_PERIOD)


def words(text: str) -> str:
    """Small letters, numbers up to ten as digits, no articles, contractions with their apostrophes."""
    kept = [_NUMBERS.get(word, word) for word in text.lower().split()]
    return " ".join(_CONTRACTIONS.get(word, word) for word in kept if word not in _ARTICLES)


def _one_line(answer: str) -> str:
    return answer.replace("\n", " ").replace("\t", " ").strip()


def _without_marks(text: str, comma: re.Pattern[str], period: re.Pattern[str]) -> str:
    """A mark that touches a space anywhere in the text goes; one that does not becomes a space.

    comma: if it is found, all marks go without a space in their place.
    """
    close = comma.search(text) is not None
    out = text
    for mark in _MARKS:
        out = out.replace(mark, "" if close or mark + " " in text or " " + mark in text else " ")
    return period.sub("", out, count=_PERIODS)
