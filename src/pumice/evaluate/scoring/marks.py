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
_MARK = r"(\d+(?:\.\d+)?)(?:\s*/\s*10\b)?"
_PAIR = re.compile(rf"(?:scores?|ratings?|marks?)?[^\w-]*{_MARK}[\s,;|]+(?:and\s+)?{_MARK}(?!\d|\.\d|/)", re.IGNORECASE)
_LABELLED = re.compile(rf"\b(?:assistant|answer|response)\s*#?\s*([12])\s*[^\w\s-]{{0,4}}\s*{_MARK}", re.IGNORECASE)
# Marks with labels may stand in a line each.
_LINES_OF_LABELS = 3
_HIGHEST = 10.0


def review_pair(content: str, profile: str) -> Pair | None:
    """The marks (1 to 10) of the reference answer and of the model's, in the first line of a review.

    official: two marks up to 10 at its start, with or without "/10", or behind "Assistant 1" and "Assistant 2". llava,
    vlmevalkit: two numbers with one space or comma between them, and nothing else (``parse_score``). lmms-eval: the
    first two numbers.
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
    lines = [line for line in content.splitlines() if line.strip()][:_LINES_OF_LABELS]
    labelled = _LABELLED.findall("\n".join(lines))
    if [which for which, _ in labelled] == ["1", "2"]:
        marks = [float(mark) for _, mark in labelled]
    else:
        pair = _PAIR.match(lines[0]) if lines else None
        marks = [float(mark) for mark in pair.groups()] if pair else []
    return (marks[0], marks[1]) if marks and max(marks) <= _HIGHEST else None


def _float(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
