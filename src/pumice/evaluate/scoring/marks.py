"""The marks in a judge's words, as each of the field's tools reads them.

    review_pair("8 7\\nBoth are good.", "official")    # (8.0, 7.0)
    review_pair("8/10 7/10", "llava")                  # None: the original wants two bare numbers
    grade("0.5 because", "vlmevalkit")                 # None: VLMEvalKit wants the number alone

None is a verdict that could not be read. What becomes of it is the scorer's business.
"""

from __future__ import annotations

import math
import re
from typing import TypeAlias

Pair: TypeAlias = tuple[float, float]

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
# Not "0.", which is what is left of "0.5" when the tokens run out.
_GRADE = re.compile(r"[01]|(?:0?\.\d+|1\.0+)[.,;]?", re.ASCII)
_LABEL = re.compile(r"\b(?:assistant|answer|response)\s*#?\s*[12]\b", re.IGNORECASE)
_OF_TEN = re.compile(r"\s*/\s*10\b")
# What may stand beside two marks in a line that holds nothing else.
_BESIDE = {"score", "scores", "rating", "ratings", "and", "for", "is", "are", "vs", "the"}
_HIGHEST = 10.0


def review_pair(content: str, profile: str) -> Pair | None:
    """The marks (1 to 10) of the reference answer and of the model's, in the first line of a review.

    official: two marks with or without "/10" and labels, nothing else in the line. llava, vlmevalkit: two numbers
    with a space or comma between them (``parse_score``). lmms-eval: the first two numbers.
    """
    if profile == "official":
        return _plain_pair(content)
    if profile == "lmms-eval":
        line = content.strip().split("\n")[0]
        numbers = [float(each) for each in _NUMBER.findall(line)]
        return (numbers[0], numbers[1]) if len(numbers) >= 2 else None
    marks = [_float(each) for each in content.split("\n", 1)[0].replace(",", " ").split(" ")]
    first, *others = marks
    if len(others) != 1 or first is None or others[0] is None:
        return None
    return first, others[0]


def grade(content: str, profile: str) -> float | None:
    """How right an answer is, 0 to 1: MM-Vet's grades.

    official: the first word, with or without the marks of Markdown. llava: what stands before the first space, as in
    MM-Vet's own evaluator. lmms-eval: the same after stripping. vlmevalkit: the number alone.
    """
    if profile == "official":
        word = next(iter(content.split()), "").strip("*`'\"")
        return float(word.rstrip(".,;")) if _GRADE.fullmatch(word) else None
    word = content
    if profile != "vlmevalkit":
        word = (content if profile == "llava" else content.strip()).split(" ", 1)[0]
    value = _float(word)
    return value if value is not None and 0.0 <= value <= 1.0 else None


def _plain_pair(content: str) -> Pair | None:
    line = next((line for line in content.splitlines() if line.strip()), "")
    bare = _OF_TEN.sub(" ", _LABEL.sub(" ", line))
    marks = [float(each) for each in _NUMBER.findall(bare)]
    words = re.findall(r"[^\W\d]+", bare)
    if len(marks) != 2 or any(word.lower() not in _BESIDE for word in words):
        return None
    if not all(0.0 <= mark <= _HIGHEST for mark in marks):
        return None
    return marks[0], marks[1]


def _float(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
