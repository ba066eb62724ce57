"""VQA's soft accuracy, 0 to 1, for questions that ten people answered: VQAv2, VizWiz, TextVQA.

An answer that 1, 2, 3 or 4 of ten people gave is worth .3, .6, .9, 1: the mean over the ten ways to leave one person
out of min(1, matches among the others / 3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pumice.evaluate.scoring.normalise import m4c, marks, official, vlmevalkit, words
from pumice.evaluate.task import Profile

_ENOUGH = 3  # people who agree make an answer right


def soft_accuracy(answer: str, references: Sequence[str]) -> float:
    """The soft accuracy of an answer, compared as it stands. Without references nothing is right."""
    if not references:
        return 0.0
    matches = sum(reference == answer for reference in references)
    others = len(references) - matches
    return (matches * min(1.0, (matches - 1) / _ENOUGH) + others * min(1.0, matches / _ENOUGH)) / len(references)


def vqav2_accuracy(answer: str, references: Sequence[str], profile: Profile) -> float:
    """Of an answer to a question of VQAv2.

    official: VQA's evaluation, which normalises only where people disagree. llava: the same upon what the original
    uploads. lmms-eval: normalises always, in M4C's way but for its first step.
    """
    if profile == "llava":
        return vqav2_accuracy(m4c(answer), references, "official")
    said, people = _clean(answer), [_clean(each) for each in references]
    if profile == "lmms-eval":
        return soft_accuracy(words(marks(said)), [words(marks(each)) for each in people])
    if len(set(people)) > 1:
        return soft_accuracy(official(said), [official(each) for each in people])
    return soft_accuracy(said, people)


def vizwiz_accuracy(answer: str, references: Sequence[str], profile: Profile) -> float:
    """Of an answer to a question of VizWiz, for which "unanswerable" is a word like any other.

    official: VizWiz's evaluation, which normalises the answer and takes people's as they are. llava: the same upon what
    the original uploads. lmms-eval and vlmevalkit normalise both, each in its own way.
    """
    if profile == "llava":
        return soft_accuracy(official(m4c(answer)), references)
    if profile == "official":
        return soft_accuracy(official(answer), references)
    return _both(answer, references, vlmevalkit if profile == "vlmevalkit" else m4c)


def textvqa_accuracy(answer: str, references: Sequence[str], profile: Profile) -> float:
    """Of an answer to a question of TextVQA.

    official, llava and lmms-eval: M4C's evaluator. vlmevalkit normalises in its own way.
    """
    return _both(answer, references, vlmevalkit if profile == "vlmevalkit" else m4c)


def _both(answer: str, references: Sequence[str], normalise: Callable[[str], str]) -> float:
    return soft_accuracy(normalise(answer), [normalise(each) for each in references])


def _clean(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ").strip()
