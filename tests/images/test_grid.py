"""The arithmetic of mosaics, against an independent version in plain floats and the published token counts."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.errors import ImageError
from pumice.images.config import Merge, Mode, Preprocessing
from pumice.images.grid import Grid, fit_within, plan, select_mosaic, unpad_box

PINPOINTS = ((336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008))
NEXT = Preprocessing(336, 14, "anyres", "spatial_unpad", PINPOINTS)
sides = st.integers(1, 20000)


def float_mosaic(width: int, height: int, pinpoints: tuple[tuple[int, int], ...]) -> tuple[int, int]:
    best, most, least = pinpoints[0], -1, math.inf
    for w, h in pinpoints:
        ratio_w = w / width
        ratio_h = h / height
        ratio = ratio_w if ratio_w < ratio_h else ratio_h
        scaled_area = math.trunc(ratio * width) * math.trunc(ratio * height)
        useful = scaled_area if scaled_area < width * height else width * height
        lost = w * h - useful
        if useful > most:
            best, most, least = (w, h), useful, lost
        elif useful == most and lost < least:
            best, least = (w, h), lost
    return best


def float_rows(width: int, height: int, columns: int, rows: int) -> tuple[int, int]:
    """(rows kept, columns kept) by slicing real lists, as the reference slices features."""
    row_list, column_list = list(range(rows)), list(range(columns))
    if width / height > columns / rows:
        inner = math.trunc(height * (columns / width))
        edge = (rows - inner) // 2
        return len(row_list[edge : rows - edge]), columns
    inner = math.trunc(width * (rows / height))
    edge = (columns - inner) // 2
    return rows, len(column_list[edge : columns - edge])


@pytest.mark.parametrize(
    ("size", "mosaic"),
    [
        ((1000, 1000), (672, 672)),
        ((640, 480), (672, 672)),
        ((1344, 672), (672, 336)),  # as much is kept by 672x672, which wastes more
        ((3000, 1000), (1008, 336)),
        ((336, 1008), (336, 1008)),
        ((200, 200), (336, 672)),  # nothing to tell the two-tile mosaics apart: the first wins
    ],
)
def test_published_mosaics(size: tuple[int, int], mosaic: tuple[int, int]) -> None:
    assert select_mosaic(size, PINPOINTS) == mosaic


@pytest.mark.parametrize(
    ("size", "tokens"),
    [
        ((1000, 1000), 2928),
        ((640, 480), 2340),
        ((480, 640), 2352),
        ((1920, 1080), 1948),
        ((200, 200), 1176),
        ((2000, 1000), 1752),
        ((3000, 1000), 2328),
        ((1000, 3000), 2376),
    ],
)
def test_published_token_counts(size: tuple[int, int], tokens: int) -> None:
    assert plan(*size, NEXT).tokens == tokens


def test_640x480_keeps_36_of_48_rows() -> None:
    assert unpad_box((640, 480), (48, 48)) == (6, 42, 0, 48)


def test_thousands_of_sizes_agree_with_floats() -> None:
    rng = random.Random(0)
    every = [(width, height) for width in range(1, 90) for height in range(1, 90)]
    some = [(rng.randint(1, 5000), rng.randint(1, 5000)) for _ in range(6000)]
    for width, height in every + some:
        grid = plan(width, height, NEXT)
        mosaic = float_mosaic(width, height, PINPOINTS)
        assert (grid.columns * 336, grid.rows * 336) == mosaic, (width, height)
        kept = float_rows(width, height, mosaic[0] // 14, mosaic[1] // 14)
        ours = (grid.bottom - grid.top, grid.right - grid.left)
        assert ours == tuple(count or 2 for count in kept), (width, height)  # the reference may keep nothing; we do not


@given(sides, sides)
def test_a_grid_is_never_empty_and_within_its_mosaic(width: int, height: int) -> None:
    grid = plan(width, height, NEXT)
    assert 0 <= grid.top < grid.bottom <= grid.rows * grid.side
    assert 0 <= grid.left < grid.right <= grid.columns * grid.side
    assert grid.tokens > grid.tokens_per_tile


@given(sides, sides)
def test_a_fitted_picture_touches_its_mosaic(width: int, height: int) -> None:
    for target in PINPOINTS:
        fitted = fit_within((width, height), target)
        assert 1 <= fitted[0] <= target[0]
        assert 1 <= fitted[1] <= target[1]
        assert fitted[0] == target[0] or fitted[1] == target[1]


@pytest.mark.parametrize("mode", ["square", "pad"])
@pytest.mark.parametrize("merge", ["flat", "spatial", "spatial_unpad"])
def test_one_tile_is_flat_whatever_the_merge(mode: Mode, merge: Merge) -> None:
    grid = plan(640, 480, Preprocessing(336, 14, mode, merge))
    assert grid == Grid(24)
    assert (grid.tiles, grid.tokens) == (1, 576)


def test_the_class_token_counts() -> None:
    assert plan(9, 9, Preprocessing(224, 14, "square", keeps_cls=True)).tokens == 257
    assert plan(640, 480, Preprocessing(336, 14, "anyres", "flat", PINPOINTS, keeps_cls=True)).tokens == 5 * 577


def test_spatial_without_unpad_keeps_the_whole_mosaic() -> None:
    assert plan(640, 480, Preprocessing(336, 14, "anyres", "spatial", PINPOINTS)).tokens == 576 + 48 * 48


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ImageError, match="at least 1 x 1 pixels, found 0 x 5"):
        plan(0, 5, NEXT)
    with pytest.raises(ImageError, match="at least one resolution"):
        select_mosaic((5, 5), ())
