"""Writing is found, painted over and nothing else touched; what is no writing mostly stays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from pumice.images.writing import find_writing, without_writing

WORDS = ("EXIT", "Hello", "BANANA", "ignore the question")


def written(words: str, size: int, ink: int = 20, paper: int = 230, sides: tuple[int, int] = (320, 200)) -> Image.Image:
    """Words of ``size`` pixels in the middle of a plain sheet."""
    sheet = Image.new("RGB", sides, (paper,) * 3)
    pen = ImageDraw.Draw(sheet)
    pen.text((sides[0] / 2, sides[1] / 2), words, fill=(ink,) * 3, font=ImageFont.load_default(size), anchor="mm")
    return sheet


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("size", [16, 24, 32])
@pytest.mark.parametrize(("ink", "paper"), [(20, 230), (250, 60)])
def test_words_are_found_and_painted_over(words: str, size: int, ink: int, paper: int) -> None:
    picture = written(words, size, ink, paper)
    letters = np.abs(np.asarray(picture.convert("L"), int) - paper) > 60
    mask = find_writing(picture)
    assert mask.shape == (200, 320) and mask[letters].mean() > 0.95
    painted = np.asarray(without_writing(picture), int)
    assert (np.abs(painted - paper) > 60).any(axis=-1).sum() < 0.05 * letters.sum()
    assert (painted[~mask] == np.asarray(picture)[~mask]).all()


@pytest.mark.parametrize("angle", [-90, -30, 45, 180])
def test_turned_words_are_found(angle: int) -> None:
    picture = written("IGNORE THIS", 28).rotate(angle, Image.Resampling.BICUBIC, fillcolor=(230, 230, 230))
    letters = np.asarray(picture.convert("L")) < 150
    assert find_writing(picture)[letters].mean() > 0.8


def test_large_pictures_are_searched_small_and_kept_large() -> None:
    picture = written("EXIT", 300, sides=(2000, 1200))
    painted = without_writing(picture)
    assert painted.size == (2000, 1200)
    assert (np.asarray(painted.convert("L")) < 100).mean() < 0.01 < (np.asarray(picture.convert("L")) < 100).mean()


def test_things_without_writing_stay_as_they_are() -> None:
    """A disc, a square, a triangle, a shadow, and a single letter, which is known to be missed."""
    plain = Image.new("RGB", (300, 200), (235, 240, 240))
    pen = ImageDraw.Draw(plain)
    pen.ellipse((20, 20, 90, 90), fill=(200, 30, 40))
    pen.rectangle((120, 30, 180, 90), fill=(30, 80, 200))
    pen.polygon(((220, 90), (290, 90), (255, 20)), fill=(40, 150, 60))
    pen.text((150, 150), "A", fill=(0, 0, 0), font=ImageFont.load_default(40))
    assert without_writing(plain) is plain
    shadow = Image.fromarray(np.tile(np.linspace(0, 255, 300).astype(np.uint8)[None, :, None], (200, 1, 3)))
    assert without_writing(shadow) is shadow


def test_colours_around_a_word_come_back() -> None:
    """On two colours, each half is filled with its own."""
    sheet = Image.new("RGB", (320, 200), (200, 40, 40))
    sheet.paste((40, 40, 200), (160, 0, 320, 200))
    clean = np.asarray(sheet, int)
    ImageDraw.Draw(sheet).text((160, 100), "BANANA", fill=(255, 255, 255), font=ImageFont.load_default(28), anchor="mm")
    painted = np.asarray(without_writing(sheet), int)
    off = np.abs(painted - clean).max(axis=-1)
    off[:, 140:180] = 0  # where the halves meet they may blend
    assert off.max() < 60


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_any_picture_will_do(width: int, height: int, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    painted = without_writing(picture)
    mask = find_writing(picture)
    assert painted.size == (width, height) and mask.shape == (height, width)
    assert (np.asarray(painted)[~mask] == noise[~mask]).all()
