"""Pictures: the boxes are those of the drawn pixels, and what differs in a scene differs in its picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as Pil
from PIL import ImageChops

from pumice.errors import UsageError
from pumice.world.draw import BACKGROUNDS, PIPS, draw_scene, grey_picture
from pumice.world.figures import FIGURES
from pumice.world.scene import BACKGROUNDS as BACKGROUND_COUNT
from pumice.world.scene import Item, Scene, make_scene
from pumice.world.vocabulary import COLOURS, NAMES, OBJECTS, SHAPES, WORDS


def _drawn_box(item: Item, side: int, background: int = 0) -> tuple[int, int, int, int]:
    """The pixels that the item changes when it is drawn alone."""
    empty = Scene((), background, "train", 0)
    changed = ImageChops.difference(draw_scene(replace(empty, items=(item,)), side), draw_scene(empty, side))
    # A faint antialiased rim counts only where at least an eighth of the contrast is there.
    mask = changed.convert("L").point([0] * 8 + [255] * 248)
    box = mask.getbbox()
    assert box is not None
    return box


def _one_of_each() -> dict[str, Item]:
    """An item of every name, taken from made scenes."""
    found: dict[str, Item] = {}
    index = 0
    while len(found) < len(NAMES):
        for item in make_scene("train", index).items:
            if item.colour not in ("yellow", "white"):
                found.setdefault(item.name, item)
        index += 1
    return found


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("side", [128, 336])
def test_boxes_are_tight_around_the_drawn_pixels(name: str, side: int) -> None:
    item = _one_of_each()[name]
    for drawn, claimed in zip(_drawn_box(item, side), item.box, strict=True):
        assert abs(drawn - claimed * side) <= 1.5, (name, _drawn_box(item, side), [edge * side for edge in item.box])


def test_boxes_are_tight_in_made_scenes() -> None:
    for index in range(40):
        for item in make_scene("held_out", index).items:
            for drawn, claimed in zip(_drawn_box(item, 224), item.box, strict=True):
                assert abs(drawn - claimed * 224) <= 1.5, (index, item)


def test_the_main_fill_is_the_named_colour() -> None:
    for name in (*SHAPES, *OBJECTS):
        for colour, rgb in COLOURS.items():
            item = Item("object", name, colour, (0.1, 0.1, 0.4, 0.4), 0)
            pixels = np.asarray(draw_scene(Scene((item,), 0, "train", 0), 96), dtype=np.int64)
            counts = {
                other: int((np.abs(pixels - np.array(value)).max(axis=-1) < 8).sum())
                for other, value in COLOURS.items()
            }
            assert max(counts, key=lambda other: counts[other]) == colour, (name, rgb, counts)


def _cropped(item: Item) -> np.ndarray:
    small = draw_scene(Scene((item,), 0, "train", 0), 384).resize((128, 128), Pil.Resampling.BICUBIC)
    x0, y0, x1, y1 = (round(edge * 128) for edge in item.box)
    return np.asarray(small.crop((x0, y0, x1, y1)), dtype=np.float64)


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).mean())


def test_names_values_and_words_look_different_at_128_pixels() -> None:
    box = (0.05, 0.05, 0.30, 0.30)
    figures = [_cropped(Item("object", name, "blue", box, 0)) for name in FIGURES]
    dice = [_cropped(Item("die", "die", "white", box, 0, value=value)) for value in PIPS]
    words = [_cropped(Item("sign", "sign", "blue", (0.02, 0.1, 0.32, 0.27), 0, text=word)) for word in WORDS]
    cards = [_cropped(Item("card", "card", "blue", box, 0, value=value)) for value in range(100)]
    for group in (figures, dice, words, cards):
        for index, one in enumerate(group):
            assert all(_distance(one, other) > 2 for other in group[index + 1 :])


def test_pips_are_as_many_as_the_value() -> None:
    assert {value: len(places) for value, places in PIPS.items()} == {value: value for value in range(1, 7)}


@pytest.mark.parametrize("side", [96, 225, 336, 768])
def test_pictures_are_rgb_of_the_asked_side(side: int) -> None:
    picture = draw_scene(make_scene("train", 3), side)
    assert (picture.size, picture.mode) == ((side, side), "RGB")
    assert picture.tobytes() == draw_scene(make_scene("train", 3), side).tobytes()


@pytest.mark.parametrize("side", [95, 769])
def test_other_sides_are_refused(side: int) -> None:
    with pytest.raises(UsageError, match=f"96 to 768 pixels a side, found {side}"):
        draw_scene(make_scene("train", 0), side)


def test_tables_agree() -> None:
    assert set(FIGURES) == {*SHAPES, *OBJECTS}
    assert len(BACKGROUNDS) == BACKGROUND_COUNT
    assert all(min(colour) > 200 for pair in BACKGROUNDS for colour in pair)


def test_the_grey_picture_shows_nothing() -> None:
    assert grey_picture(96).getcolors() == [(96 * 96, (128, 128, 128))]
