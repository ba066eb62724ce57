"""Boxes as models write them, ``[x0, y0, x1, y1]``: read out of an answer, and compared."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeAlias

#: Left, top, right, bottom; usually shares of the picture's sides, 0..1.
Box: TypeAlias = tuple[float, float, float, float]

_NUMBER = r"\s*(-?(?:\d+(?:\.\d+)?|\.\d+))\s*"
_BOX = re.compile(rf"\[{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}\]")


def written_boxes(text: str) -> Iterator[Box]:
    """Every four numbers in square brackets, in order: of any size, also those that enclose nothing."""
    for match in _BOX.finditer(text):
        left, top, right, bottom = map(float, match.groups())
        yield left, top, right, bottom


def has_area(box: Box) -> bool:
    """Whether the right side is right of the left one, and the bottom below the top."""
    return box[0] < box[2] and box[1] < box[3]


def iou(one: Box, other: Box) -> float:
    """Intersection over union of two boxes with an area, 0..1."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (_area(one) + _area(other) - shared)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
