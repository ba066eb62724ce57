"""ScienceQA's and GQA's rules: which option an answer means, and when two short answers are the same."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from pumice.evaluate.scoring.letters import mmbench_letter
from pumice.evaluate.task import Profile

_LETTERS = "ABCDE"
_STATED = re.compile(r"The answer is ([A-Z]).")  # any character may follow, as in the original
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def scienceqa_choice(answer: str, options: Sequence[str], profile: Profile) -> int | None:
    """Which option is meant; None if none can be told, or one that the question does not have.

    official: "The answer is X." exactly once; for all else ScienceQA's own tool throws dice, and here it is wrong.
    llava: also the bare letter, and "X. " at the start. lmms-eval: the bare letter in any size, and "X." at the start.
    vlmevalkit: infers.
    """
    letters = _LETTERS[: len(options)]
    letter = _read(answer, options, profile)
    return letters.index(letter) if letter and letter in letters else None


def gqa_right(answer: str, truth: str, profile: Profile) -> bool:
    """Whether a short answer is the right one.

    official: equal as it stands. llava: without periods at its end, in small letters. lmms-eval: in small letters and
    without punctuation, both. vlmevalkit: in small letters and without space around, both.
    """
    if profile == "llava":
        return answer.rstrip(".").lower() == truth
    if profile == "lmms-eval":
        return answer.lower().translate(_NO_PUNCTUATION) == truth.lower().translate(_NO_PUNCTUATION)
    if profile == "vlmevalkit":
        return answer.strip().lower() == truth.strip().lower()
    return answer == truth


def _read(answer: str, options: Sequence[str], profile: Profile) -> str | None:
    if profile == "vlmevalkit":
        return mmbench_letter(answer, dict(zip(_LETTERS, options, strict=False)), "vlmevalkit")
    if profile == "lmms-eval":
        text = answer.strip()
        if len(text) == 1:
            return text.upper()
        return text[0] if text[:1].isupper() and text[1:2] == "." else None
    if profile == "llava":
        if answer in tuple(_LETTERS):
            return answer
        if answer[:1] in tuple(_LETTERS) and answer[1:3] == ". ":
            return answer[0]
    stated = _STATED.findall(answer)
    return stated[0] if len(stated) == 1 else None
