"""Boxes and attention, drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

import tiny
from pumice.cli.drawing import draw_boxes, draw_look, in_pixels, named_boxes, save_picture
from pumice.engine.engine import Engine
from pumice.images.preprocess import preprocess
from pumice.prompts.conversation import Conversation, Image


@pytest.mark.parametrize(
    ("answer", "boxes"),
    [
        ("[0.1, 0.2, 0.3, 0.4]", [(0.1, 0.2, 0.3, 0.4)]),
        ("The cup [0,0,.5,1] and the hat [0.50, 0.25, 1.0, 0.75].", [(0, 0, 0.5, 1), (0.5, 0.25, 1.0, 0.75)]),
        ("[0.3, 0.2, 0.1, 0.4] [0.1, 0.2, 0.3] [1, 2, 3, 4] [a, b, c, d] [0.1, 0.1, 0.1, 0.4]", []),
        ("no box", []),
    ],
)
def test_named_boxes(answer: str, boxes: list[tuple[float, ...]]) -> None:
    assert named_boxes(answer) == boxes


def test_shares_of_the_padded_square() -> None:
    """A wide picture stands in the middle of its square."""
    assert in_pixels((0.25, 0.25, 0.75, 0.75), (200, 100), "pad") == (50, 0, 150, 100)
    assert in_pixels((0.25, 0.4, 0.75, 0.6), (200, 100), "pad") == pytest.approx((50, 30, 150, 70))
    assert in_pixels((0.25, 0.25, 0.75, 0.75), (200, 100), "anyres") == (50, 25, 150, 75)
    assert in_pixels((0.4, 0.25, 0.6, 0.75), (100, 200), "pad") == pytest.approx((30, 50, 70, 150))


def test_boxes_are_drawn_around_and_not_over() -> None:
    before = Pillow.new("RGB", (400, 400), "white")
    drawn = np.asarray(draw_boxes(before, [(0.25, 0.25, 0.75, 0.75)], "square"))
    changed = (drawn != 255).any(-1)
    assert changed[100, 100:300].all() and changed[100:300, 299].all()
    assert not changed[150:280, 150:280].any() and not changed[:99].any() and not changed[305:].any()
    assert (np.asarray(before) == 255).all()


@pytest.mark.parametrize(("mode", "size"), [("pad", (90, 40)), ("square", (90, 40)), ("anyres", (90, 40))])
def test_the_picture_as_the_model_saw_it(mode: str, size: tuple[int, int]) -> None:
    """Left is the very tile, pixel by pixel; right the same with colour over it."""
    processor = tiny.processor(mode=mode)  # type: ignore[arg-type]
    picture = tiny.picture(3, size)
    said = Conversation.ask("What?", (Image(picture),)).then_answer("A red cup.")
    (found,) = Engine(tiny.model(0), processor).look(said)
    page = np.asarray(draw_look(found))
    tiles, grid = preprocess(picture, processor.geometry)
    how = processor.geometry
    whole = (tiles[0] * np.array(how.std)[:, None, None] + np.array(how.mean)[:, None, None]) * 255
    times = 12  # small tiles are shown larger
    side = times * tiny.SIDE
    shown = page[:side, :side].astype(float)
    assert (shown == shown[::times, ::times].repeat(times, 0).repeat(times, 1)).all()
    assert np.abs(shown[::times, ::times] - whole.transpose(1, 2, 0)).max() < 0.51
    over = page[:side, side + 8 : 2 * side + 8]
    assert (over != page[:side, :side]).any()
    height = side if grid.tiles == 1 else side + 8 + grid.rows * side
    width = max(side, grid.columns * side)
    assert page.shape == (height, 2 * width + 8, 3)


def test_where_a_picture_can_be_saved(tmp_path: Path) -> None:
    picture = Pillow.new("RGB", (4, 4))
    save_picture(picture, tmp_path / "a.png")
    save_picture(picture, tmp_path / "a.png")
    assert Pillow.open(tmp_path / "a.png").size == (4, 4)
