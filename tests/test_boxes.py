"""Boxes in an answer: one parser, with the drawing's and the benchmark's rule on top of it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.boxes import has_area, iou, written_boxes
from pumice.cli.drawing import named_boxes
from pumice.world.benchmark import parse_box

EDGE = st.one_of(st.integers(-50, 1500).map(str), st.floats(-2, 2).map(lambda edge: f"{edge:.3f}"))
WRITTEN = st.lists(st.tuples(EDGE, EDGE, EDGE, EDGE), max_size=4)


@pytest.mark.parametrize(
    ("text", "boxes"),
    [
        ("[0.1,.2, 3 ,-0.4]", [(0.1, 0.2, 3, -0.4)]),
        ("a [1, 2, 3, 4] and [5, 6, 7, 8].", [(1, 2, 3, 4), (5, 6, 7, 8)]),
        ("[[0, 0, 1, 1], [0, 0,\n0, 0]]", [(0, 0, 1, 1), (0, 0, 0, 0)]),
        ("[1, 2, 3] [1, 2, 3, 4, 5] (1, 2, 3, 4) [1., 2, 3, 4] [1e1, 2, 3, 4] [- 1, 2, 3, 4] [a, b, c, d]", []),
    ],
)
def test_what_is_a_box(text: str, boxes: list[tuple[float, ...]]) -> None:
    assert list(written_boxes(text)) == boxes


@given(WRITTEN, st.text(alphabet="ab .,[]", max_size=10))
def test_every_box_is_read_and_both_uses_agree_about_it(written: list[tuple[str, ...]], between: str) -> None:
    text = between.join(["", *(f"[{', '.join(each)}]" for each in written), ""])
    read = list(written_boxes(text))
    assert read == [tuple(map(float, each)) for each in written]
    assert named_boxes(text) == [box for box in read if has_area(box) and min(box) >= 0 and max(box) <= 1]
    assert parse_box(text) == next((box for box in read[:1] if has_area(box)), None)


def test_overlap() -> None:
    assert iou((0, 0, 2, 2), (1, 1, 3, 3)) == pytest.approx(1 / 7)
    assert iou((0, 0, 1, 1), (1, 0, 2, 1)) == 0
    assert iou((0, 0, 4, 2), (0, 0, 4, 2)) == 1


def test_a_wall_of_digits_takes_no_time() -> None:
    began = time.monotonic()
    assert not list(written_boxes("[" + "1" * 100_000)) and not list(written_boxes("[1," * 50_000))
    assert time.monotonic() - began < 2
