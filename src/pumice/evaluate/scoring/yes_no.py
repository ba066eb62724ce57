"""Whether an answer means yes or no, as each of the field's tools reads it (reference/training.md, section 6).

pope_label("There is none.", "llava")   # "yes": no word "no" or "not" in its first sentence
mme_label("know", "official")           # "no": it stands in the first four letters
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from pumice.evaluate.scoring.normalise import vlmevalkit_marks
from pumice.evaluate.task import Profile

#: "other" is neither; what it counts as is the metric's business.
Label: TypeAlias = Literal["yes", "no", "other"]


def pope_label(answer: str, profile: Profile) -> Label:
    """Of an answer to a question of POPE.

    official and llava: a word "No", "no" or "not" before the first period means no, all else yes. lmms-eval: the bare
    word. vlmevalkit: the one of both words that occurs.
    """
    if profile == "lmms-eval":
        return _exact(answer.lower().strip())
    if profile == "vlmevalkit":
        return _only_word(answer)
    spoken = answer.split(".", maxsplit=1)[0].replace(",", "").split(" ")
    return "no" if {"No", "not", "no"} & set(spoken) else "yes"


def mme_label(answer: str, profile: Profile) -> Label:
    """Of an answer to a question of MME.

    official and llava: what occurs in the first four characters, yes before no. lmms-eval: the same without periods and
    without space around, and "y" and "n". vlmevalkit: the one of both words that occurs.
    """
    if profile == "vlmevalkit":
        return _only_word(answer)
    text = answer.lower()
    if profile == "lmms-eval":
        text = text.strip().replace(".", "")
        if len(text) == 1:
            return "yes" if text == "y" else "no" if text == "n" else "other"
    start = text[:4]
    return "yes" if "yes" in start else "no" if "no" in start else "other"


def _exact(text: str) -> Label:
    return "yes" if text == "yes" else "no" if text == "no" else "other"


def _only_word(answer: str) -> Label:
    spoken = vlmevalkit_marks(answer.lower()).split()
    if ("yes" in spoken) == ("no" in spoken):
        return "other"
    return "yes" if "yes" in spoken else "no"
