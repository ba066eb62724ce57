"""Words painted over a finished picture, as somebody would who wants to mislead whoever looks at it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias, get_args

import numpy as np
from PIL import Image as Pil
from PIL import ImageDraw, ImageFont

from pumice.world.draw import draw_sign, font_of
from pumice.world.figures import Pen
from pumice.world.scene import BOARD_ASPECT
from pumice.world.vocabulary import COLOURS, INK, PAPER

Style: TypeAlias = Literal["thin", "bold", "outlined", "plate", "pixels"]
STYLES: tuple[Style, ...] = get_args(Style)

FINE = 3  # drawn at so many times its size, then reduced
WIDEST = 0.98  # of the picture's sides; what is larger is shrunk
SPREAD = 5  # a hidden picture stands in one of so many squared pixels
_PLATE_WIDTH = 3.8  # of a capital's height, as on a sign with a word of four letters
_PIXEL_ROWS = 7  # height of a capital in Pillow's bitmap font


@dataclass(frozen=True)
class Pasted:
    """Words over a picture. ``height`` of a capital and ``centre`` (x, y) are fractions of the picture's sides.

    opacity: 0..1. angle: degrees, counter-clockwise. A style is thin, bold or white letters with a dark outline,
    letters of coarse pixels, or a blue sign of the world's own, on which the words stand in one line. Elsewhere line
    breaks are kept.
    """

    words: str
    centre: tuple[float, float]
    height: float
    style: Style = "bold"
    opacity: float = 1.0
    angle: float = 0.0


def paste(picture: Pil.Image, what: Pasted) -> Pil.Image:
    """The RGB picture with the words on it; words that would stick out are shrunk and moved inside."""
    layer, (left, top) = _placed(picture.size, what)
    painted = picture.copy()
    painted.paste(layer.convert("RGB"), (left, top), layer.getchannel("A"))
    return painted


def covered(size: tuple[int, int], what: Pasted) -> tuple[int, int, int, int]:
    """The pixels (x0, y0, x1, y1) outside which ``paste`` leaves a picture of this size alone."""
    layer, (left, top) = _placed(size, what)
    return left, top, left + layer.width, top + layer.height


def tile(picture: Pil.Image, what: Pasted, rows: int) -> Pil.Image:
    """The words ``rows`` times below each other and as often beside each other as there is room for."""
    layer, _ = _placed(picture.size, what)
    across = max(1, picture.width // layer.width)
    for row in range(rows):
        for column in range(across):
            centre = ((column + 0.5) / across, (row + 0.5) / rows)
            picture = paste(picture, Pasted(what.words, centre, what.height, what.style, what.opacity, what.angle))
    return picture


def hide_in(shown: Pil.Image, hidden: Pil.Image) -> Pil.Image:
    """``shown``, with ``hidden`` in the middle pixel of every ``SPREAD`` x ``SPREAD``: seen whole by whoever scales
    down without averaging, by nearest, bilinear or bicubic sampling (an image-scaling attack, Lohn 2020).

    ``shown`` has ``SPREAD`` times the sides of ``hidden``.
    """
    pixels = np.array(shown)
    middle = SPREAD // 2
    pixels[middle::SPREAD, middle::SPREAD] = np.asarray(hidden)
    return Pil.fromarray(pixels)


def _placed(size: tuple[int, int], what: Pasted) -> tuple[Pil.Image, tuple[int, int]]:
    """The words as RGBA, and the corner at which they stand."""
    layer = _layer(what.words, what.style, round(what.height * size[1] * FINE))
    if what.angle:
        layer = layer.rotate(what.angle, Pil.Resampling.BICUBIC, expand=True)
    shrunk = min(1.0, *(WIDEST * have * FINE / wanted for have, wanted in zip(size, layer.size, strict=True)))
    width, height = (max(1, round(each * shrunk / FINE)) for each in layer.size)
    layer = layer.resize((width, height), Pil.Resampling.BOX)
    layer.putalpha(layer.getchannel("A").point(lambda value: round(value * what.opacity)))
    corner = (
        max(0, min(round(at * have - own / 2), have - own))
        for at, have, own in zip(what.centre, size, layer.size, strict=True)
    )
    left, top = corner
    return layer, (left, top)


@lru_cache(maxsize=128)
def _layer(words: str, style: Style, height: int) -> Pil.Image:
    """RGBA, tight around the words and what belongs to them; a capital has ``height`` pixels."""
    height = max(height, 4)
    if style == "plate":
        width = round(height * _PLATE_WIDTH)
        layer = Pil.new("RGBA", (width, round(width * BOARD_ASPECT)))
        draw_sign(Pen(ImageDraw.Draw(layer), 0, 0, *layer.size), COLOURS["blue"], words.replace("\n", " "))
        return layer
    stroke = height // 14 if style == "bold" else height // 6 if style == "outlined" else 0
    ink = _coarse(words, height) if style == "pixels" else _smooth(words, height, stroke)
    if style == "outlined":
        layer = Pil.new("RGBA", ink.size, (*INK, 0))
        layer.putalpha(ink)
        inner = _smooth(words, height, height // 30)
        corner = ((ink.width - inner.width) // 2, (ink.height - inner.height) // 2)
        layer.paste(Pil.new("RGBA", inner.size, (*PAPER, 255)), corner, inner)
        return layer
    layer = Pil.new("RGBA", ink.size, (*INK, 0))
    layer.putalpha(ink)
    return layer


def _smooth(words: str, height: int, stroke: int) -> Pil.Image:
    """The words in the world's typeface, white on black, cut tightly."""
    top, bottom = font_of(200).getbbox("H")[1::2]
    font = font_of(max(4, round(height * 200 / (bottom - top))))
    return _cut(words, font, stroke)


def _coarse(words: str, height: int) -> Pil.Image:
    small = _cut(words, ImageFont.load_default_imagefont(), 0)
    times = max(1, round(height / _PIXEL_ROWS))
    return small.resize((small.width * times, small.height * times), Pil.Resampling.NEAREST)


def _cut(words: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, stroke: int) -> Pil.Image:
    pen = ImageDraw.Draw(Pil.new("L", (1, 1)))
    x0, y0, x1, y1 = pen.multiline_textbbox((0, 0), words, font=font, stroke_width=stroke, align="center")
    ink = Pil.new("L", (int(x1 - x0) + 2, int(y1 - y0) + 2))
    drawn = ImageDraw.Draw(ink)
    drawn.multiline_text((1 - x0, 1 - y0), words, font=font, fill=255, stroke_width=stroke, align="center")
    return ink.crop(ink.getbbox())
