"""From an RGB picture to the normalised square tiles that the vision tower reads.

Equal to CLIP's own preprocessing (Radford et al. 2021): bicubic resampling on 8-bit pixels with antialiasing, as
Pillow does it. Source of the three modes: LLaVA, ``llava/mm_utils.py`` (reference of the formats).

Pillow resamples rows and columns one after the other and rounds to 8 bits between. Version 13 changed which goes
first for pictures that lose more height than width, which moves single pixels by several levels. The order is fixed
here, to that of version 13, so that a picture gives the same tiles whatever Pillow is installed.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pumice.images.colour import to_rgb
from pumice.images.config import Preprocessing
from pumice.images.grid import Grid, fit_within, plan

_STRIP_PIXELS = 1 << 22  # a padded picture is squeezed in strips of this size, so that a thin one needs no huge canvas
_THIN, _LARGE_SQUARE = 4, 1 << 24  # tall pictures beyond both, in height over width and in pixels when squared


def preprocess(
    image: Image.Image, how: Preprocessing, *, alone: bool = True, overview: bool = False
) -> tuple[NDArray[np.float32], Grid]:
    """Tiles [T, 3, S, S], float32 and normalised, base view first, then the mosaic row by row; and their grid.

    alone, overview: as for ``images.grid.plan``.
    A picture that is not RGB is converted as ``images.load`` does it. Raises ImageError for an empty picture.
    """
    grid = plan(image.width, image.height, how, alone=alone, overview=overview)
    image = to_rgb(image)
    side = how.image_size
    if grid.tiles > 1:
        views = [_resized(image, side, side), *_mosaic(image, grid, side)]
    elif how.mode == "anyres" and how.most_tiles is None:  # an overview: the base view as it stands before a mosaic
        views = [_resized(image, side, side)]
    elif how.mode == "square":
        views = [_centre(image, side)]
    else:
        views = [_padded(image, side, _fill(how.mean))]
    return _normalised(views, how), grid


def _resized(image: Image.Image, width: int, height: int) -> Image.Image:
    """Bicubic, one axis after the other: columns first only where the height shrinks by over twice the width's loss."""
    lost = image.height - height
    columns_first = lost > 0 and lost > 2 * (image.width - width)
    between = (image.width, height) if columns_first else (width, image.height)
    return image.resize(between, Image.Resampling.BICUBIC).resize((width, height), Image.Resampling.BICUBIC)


def _centre(image: Image.Image, side: int) -> Image.Image:
    """The shortest edge scaled to ``side``, the middle of the other kept."""
    short, long = sorted(image.size)
    stretched = side * long // short
    width, height = (side, stretched) if image.width <= image.height else (stretched, side)
    left, top = (width - side) // 2, (height - side) // 2
    return _resized(image, width, height).crop((left, top, left + side, top + side))


def _fill(mean: tuple[float, float, float]) -> tuple[int, int, int]:
    red, green, blue = mean
    return int(red * 255), int(green * 255), int(blue * 255)


def _padded(image: Image.Image, side: int, fill: tuple[int, int, int]) -> Image.Image:
    """The picture centred on a square in the colour ``fill``, scaled to ``side``.

    Rows are squeezed first, so the border above and below a wide picture needs no work, and the whole square, which
    for a 16384x100 picture would take 800 MB, is never built.
    """
    width, height = image.size
    longest = max(width, height)
    squeezed = Image.new("RGB", (side, longest), fill)
    if width >= height:
        band = image.resize((side, height), Image.Resampling.BICUBIC)
        squeezed.paste(band, (0, (longest - height) // 2))
    elif height > _THIN * width and height * height > _LARGE_SQUARE:
        return _padded_thin(image, side, fill)
    else:
        rows = max(1, _STRIP_PIXELS // longest)
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            strip = Image.new("RGB", (longest, bottom - top), fill)
            strip.paste(image.crop((0, top, width, bottom)), ((longest - width) // 2, 0))
            squeezed.paste(strip.resize((side, bottom - top), Image.Resampling.BICUBIC), (0, top))
    return squeezed.resize((side, side), Image.Resampling.BICUBIC)


def _padded_thin(image: Image.Image, side: int, fill: tuple[int, int, int]) -> Image.Image:
    """Columns first: a level may differ from the exact order, but the work no longer grows with the whole square.

    A 82x16384 picture, a few kilobytes as a file, would keep a core busy for seconds otherwise.
    """
    width, height = image.size
    square = Image.new("RGB", (height, side), fill)
    square.paste(image.resize((width, side), Image.Resampling.BICUBIC), ((height - width) // 2, 0))
    return square.resize((side, side), Image.Resampling.BICUBIC)


def _mosaic(image: Image.Image, grid: Grid, side: int) -> list[Image.Image]:
    """The picture scaled into the mosaic, centred on black, cut into tiles row by row."""
    target = (grid.columns * side, grid.rows * side)
    fitted = fit_within(image.size, target)
    canvas = Image.new("RGB", target)
    canvas.paste(_resized(image, *fitted), ((target[0] - fitted[0]) // 2, (target[1] - fitted[1]) // 2))
    corners = [(column * side, row * side) for row in range(grid.rows) for column in range(grid.columns)]
    return [canvas.crop((left, top, left + side, top + side)) for left, top in corners]


def _normalised(views: list[Image.Image], how: Preprocessing) -> NDArray[np.float32]:
    """Views of S x S pixels to [T, 3, S, S]: one look-up per value instead of scaling, shifting and transposing."""
    table = _table(how.mean, how.std)
    tiles = np.empty((len(views), 3, how.image_size, how.image_size), np.float32)
    for tile, view in zip(tiles, views, strict=True):
        for channel in range(3):
            values = np.asarray(view.getchannel(channel))  # [S, S]
            np.take(table[channel], values, out=tile[channel], mode="clip")  # "raise" would copy through a buffer
    return tiles


@lru_cache(maxsize=8)
def _table(mean: tuple[float, float, float], std: tuple[float, float, float]) -> NDArray[np.float32]:
    """[3, 256]: what each 8-bit value becomes, rounded to float32 after each step as CLIP's processor does."""
    scaled = (np.arange(256) * (1 / 255)).astype(np.float32)
    shifted = scaled - np.array(mean, np.float32)[:, None]
    table: NDArray[np.float32] = shifted / np.array(std, np.float32)[:, None]
    table.setflags(write=False)
    return table
