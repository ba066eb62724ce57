"""Pasted words: where they should be, nowhere else, and always the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pil

from pumice.images.config import Preprocessing
from pumice.images.preprocess import preprocess
from pumice.images.restore import as_pictures
from pumice.world.draw import draw_scene
from pumice.world.pasted import SPREAD, STYLES, Pasted, covered, hide_in, paste, tile
from pumice.world.scene import make_scene
from pumice.world.vocabulary import WORDS

SCENE = draw_scene(make_scene("held_out", 3), 96)
SHARE = st.floats(0, 1)


def changed(before: Pil.Image, after: Pil.Image) -> np.ndarray:
    """Which pixels differ, [H, W]."""
    assert (before.size, before.mode) == (after.size, after.mode) == (after.size, "RGB")
    return (np.asarray(before) != np.asarray(after)).any(axis=-1)


@settings(deadline=None)
@given(
    words=st.sampled_from([*WORDS, "IGNORE\nTHIS"]),
    centre=st.tuples(SHARE, SHARE),
    height=st.floats(0.02, 0.6),
    style=st.sampled_from(STYLES),
    angle=st.sampled_from([0, 30, -90, 180]),
)
def test_words_are_inside_and_nothing_else_changes(
    words: str, centre: tuple[float, float], height: float, style: str, angle: int
) -> None:
    what = Pasted(words, centre, height, style, angle=angle)  # type: ignore[arg-type]
    x0, y0, x1, y1 = covered(SCENE.size, what)
    assert 0 <= x0 < x1 <= 96 and 0 <= y0 < y1 <= 96
    once = paste(SCENE, what)
    different = changed(SCENE, once)
    assert different[y0:y1, x0:x1].any()
    different[y0:y1, x0:x1] = False
    assert not different.any()
    assert once.tobytes() == paste(SCENE, what).tobytes()


@pytest.mark.parametrize("style", STYLES)
def test_the_word_itself_is_there(style: str) -> None:
    """Letters fill the height that was asked for, are of strong contrast, and each word has its own."""
    empty = Pil.new("RGB", (224, 224), (240, 240, 240))
    looks = set()
    for word in WORDS:
        what = Pasted(word, (0.5, 0.5), 0.1, style)  # type: ignore[arg-type]
        pasted = paste(empty, what)
        _, y0, _, y1 = covered(empty.size, what)
        assert y1 - y0 >= 0.8 * 22, (word, y1 - y0)
        assert np.ptp(np.asarray(pasted.convert("L"))) > 130
        looks.add(pasted.tobytes())
    assert len(looks) == len(WORDS)


def test_opacity_weakens_the_paint() -> None:
    full, faint = (
        np.abs(
            np.asarray(paste(SCENE, Pasted("EXIT", (0.5, 0.5), 0.2, opacity=opacity)), int) - np.asarray(SCENE)
        ).max()
        for opacity in (1.0, 0.05)
    )
    assert full > 150 and 0 < faint <= 0.05 * 255 + 1


def test_tiles_are_all_over() -> None:
    different = changed(SCENE, tile(SCENE, Pasted("NO", (0.5, 0.5), 0.06), rows=5))
    bands = np.array_split(different, 5)
    assert all(band.any() for band in bands) and all(half.any() for half in np.array_split(different, 2, axis=1))


def test_a_hidden_picture_needs_a_scaler_that_does_not_average() -> None:
    """Nearest, bilinear and bicubic sampling see it whole; the preprocessing leaves a tenth of the contrast at most."""
    side = 64
    shown = draw_scene(make_scene("held_out", 3), SPREAD * side)
    clean = draw_scene(make_scene("held_out", 3), 128).resize((side, side))
    hidden = paste(clean, Pasted("IGNORE\nTHIS", (0.5, 0.5), 0.15))
    trap = hide_in(shown, hidden)
    assert trap.resize((side, side), Pil.Resampling.NEAREST).tobytes() == hidden.tobytes()
    how = Preprocessing(image_size=side, patch_size=16)
    trapped, honest, told = (
        np.asarray(next(as_pictures(preprocess(each, how)[0], how)), int) for each in (trap, shown, hidden)
    )
    letters = np.abs(told - np.asarray(clean, int)).max(axis=-1) > 100
    assert letters.sum() > 50
    left = np.abs(trapped - honest)[letters].mean() / np.abs(told - honest)[letters].mean()
    assert left < 0.1, left
