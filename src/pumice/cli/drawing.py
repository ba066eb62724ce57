"""Pictures about answers: the boxes that one names, and the patches that it looked at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pumice.boxes import Box, has_area, written_boxes
from pumice.files import fresh_file
from pumice.images.config import Mode, Preprocessing

if TYPE_CHECKING:
    from pumice.engine.looking import Look

_COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080")
_GAP = 8
#: A tile is shown at least about this large, each of its pixels as a square of several.
_SHOWN = 320
#: How much of the picture the hottest patch hides.
_STRONGEST = 0.75


def named_boxes(answer: str) -> list[Box]:
    """Boxes ``[x1, y1, x2, y2]`` in an answer, as shares of the picture's sides; what cannot be a box is left out."""
    return [box for box in written_boxes(answer) if has_area(box) and all(0 <= edge <= 1 for edge in box)]


def in_pixels(box: Box, size: tuple[int, int], mode: Mode) -> Box:
    """``box`` of a picture of ``size`` (width, height), left, top, right, bottom.

    Where the model sees a picture padded to a square, its shares are of that square (LLaVA-1.5's training data).
    """
    width, height = size
    if mode != "pad":
        return box[0] * width, box[1] * height, box[2] * width, box[3] * height
    longest = max(size)
    x, y = (longest - width) // 2, (longest - height) // 2
    left, right = (min(max(each * longest - x, 0), width) for each in (box[0], box[2]))
    top, bottom = (min(max(each * longest - y, 0), height) for each in (box[1], box[3]))
    return left, top, right, bottom


def draw_boxes(picture: Image.Image, boxes: list[Box], mode: Mode) -> Image.Image:
    """A copy of ``picture`` with numbered boxes."""
    drawn = picture.convert("RGB")
    pen = ImageDraw.Draw(drawn)
    width = max(2, max(drawn.size) // 200)
    for number, box in enumerate(boxes, start=1):
        colour = _COLOURS[(number - 1) % len(_COLOURS)]
        left, top, right, bottom = in_pixels(box, drawn.size, mode)
        pen.rectangle((left, top, right, bottom), outline=colour, width=width)
        size = 6 * width + 4
        pen.rectangle((left, top, left + size, top + size), fill=colour)
        pen.text((left + size / 2, top + size / 2), str(number), fill="white", anchor="mm", font_size=size * 0.9)
    return drawn


def draw_look(look: Look) -> Image.Image:
    """The picture exactly as the model saw it, and beside it the same with what the answer looked at.

    Of a mosaic, the whole picture above and its tiles below.
    """
    how = look.how
    hottest = float(max(look.base.max(), 0 if look.mosaic is None else look.mosaic.max()))
    rows = [_pair(_pixels(look.tiles[0], how), look.base, hottest)]
    if look.mosaic is not None:
        grid = look.grid
        tiles = [_pixels(tile, how) for tile in look.tiles[1:]]
        lines = [np.concatenate(tiles[row * grid.columns : (row + 1) * grid.columns], 1) for row in range(grid.rows)]
        rows.append(_pair(np.concatenate(lines, 0), look.mosaic, hottest))
    return stacked(rows)


def stacked(rows: list[Image.Image]) -> Image.Image:
    """One below the other."""
    width = max(row.width for row in rows)
    page = Image.new("RGB", (width, sum(row.height for row in rows) + _GAP * (len(rows) - 1)), "white")
    top = 0
    for row in rows:
        page.paste(row, (0, top))
        top += row.height + _GAP
    return page


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a PNG, replacing what was there. Raises UsageError if the disk refuses."""
    with fresh_file(path, overwrite=True) as file:
        picture.save(file, "PNG")


def _pixels(tile: NDArray[np.float32], how: Preprocessing) -> NDArray[np.uint8]:
    """A normalised tile [3, S, S] as it was before, each pixel z x z of them [S * z, S * z, 3]."""
    scale, shift = (np.array(each, np.float32)[:, None, None] for each in (how.std, how.mean))
    levels: NDArray[np.float32] = np.clip(np.rint((tile * scale + shift) * 255), 0, 255)
    times = -(-_SHOWN // how.image_size)
    return levels.astype(np.uint8).transpose(1, 2, 0).repeat(times, 0).repeat(times, 1)


def _pair(pixels: NDArray[np.uint8], heat: NDArray[np.float32], hottest: float) -> Image.Image:
    seen = Image.fromarray(pixels)
    strength = Image.fromarray(heat / max(hottest, 1e-30)).resize(seen.size, Image.Resampling.BICUBIC)
    share = np.clip(np.asarray(strength), 0, 1)[..., None]
    colour = np.concatenate([np.full_like(share, 255), 220 * (1 - share), np.zeros_like(share)], -1)
    hidden = _STRONGEST * share
    mixed = Image.fromarray((pixels * (1 - hidden) + colour * hidden).astype(np.uint8))
    pair = Image.new("RGB", (2 * seen.width + _GAP, seen.height), "white")
    pair.paste(seen, (0, 0))
    pair.paste(mixed, (seen.width + _GAP, 0))
    return pair
