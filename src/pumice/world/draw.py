"""A scene as a picture: RGB, square, antialiased."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image as Pil
from PIL import ImageDraw, ImageFont

from pumice.errors import UsageError
from pumice.world.figures import FIGURES, Pen, darker
from pumice.world.scene import BOARD_ASPECT, Item, Scene
from pumice.world.vocabulary import COLOURS, GREY, INK, PAPER, WHITE, WHITE_RGB, Rgb

SMALLEST, LARGEST = 96, 768
BRIGHT = 135  # luma above which dark ink reads better than white
FINE_BELOW = 300  # smaller pictures are drawn at three times their side, larger ones at twice

# Colour of the top and the bottom edge.
BACKGROUNDS: tuple[tuple[Rgb, Rgb], ...] = (
    ((248, 248, 248), (248, 248, 248)),
    ((236, 240, 244), (236, 240, 244)),
    ((246, 240, 228), (246, 240, 228)),
    ((232, 242, 232), (232, 242, 232)),
    ((222, 234, 246), (246, 248, 250)),
    ((250, 246, 238), (228, 224, 214)),
    ((244, 236, 242), (224, 226, 236)),
    ((216, 232, 236), (240, 240, 226)),
)
PIPS: dict[int, tuple[tuple[float, float], ...]] = {
    1: ((0.5, 0.5),),
    2: ((0.26, 0.26), (0.74, 0.74)),
    3: ((0.24, 0.24), (0.5, 0.5), (0.76, 0.76)),
    4: ((0.26, 0.26), (0.74, 0.26), (0.26, 0.74), (0.74, 0.74)),
    5: ((0.25, 0.25), (0.75, 0.25), (0.5, 0.5), (0.25, 0.75), (0.75, 0.75)),
    6: ((0.27, 0.22), (0.73, 0.22), (0.27, 0.5), (0.73, 0.5), (0.27, 0.78), (0.73, 0.78)),
}


def draw_scene(scene: Scene, side: int) -> Pil.Image:
    """The scene as an RGB picture of ``side`` x ``side`` pixels.

    Raises:
        UsageError: ``side`` is outside 96..768.
    """
    if not SMALLEST <= side <= LARGEST:
        raise UsageError(f"a scene is drawn at {SMALLEST} to {LARGEST} pixels a side, found {side}")
    factor = 3 if side < FINE_BELOW else 2
    picture = _background(scene.background, side * factor).copy()
    canvas = ImageDraw.Draw(picture)
    for item in scene.items:
        _draw_item(canvas, item, side * factor)
    return picture.reduce(factor)


def grey_picture(side: int) -> Pil.Image:
    """A picture that shows nothing, for asking without seeing."""
    return Pil.new("RGB", (side, side), (128, 128, 128))


@lru_cache(maxsize=2 * len(BACKGROUNDS))
def _background(variant: int, side: int) -> Pil.Image:
    top, bottom = (np.asarray(colour, dtype=np.float32) for colour in BACKGROUNDS[variant])
    depth = np.linspace(0, 1, side, dtype=np.float32)[:, None, None]
    rows = np.rint(top + (bottom - top) * depth).astype(np.uint8)  # [side, 1, 3]
    return Pil.fromarray(np.ascontiguousarray(np.broadcast_to(rows, (side, side, 3))))


def _draw_item(canvas: ImageDraw.ImageDraw, item: Item, side: int) -> None:
    x0, y0, x1, y1 = (edge * side for edge in item.box)
    pen = Pen(canvas, x0, y0, x1 - x0, y1 - y0)
    colour = WHITE_RGB if item.colour == WHITE else COLOURS[item.colour]
    if item.kind == "die":
        _draw_die(pen, colour, item.value or 1)
    elif item.kind == "sign":
        draw_sign(pen, colour, item.text or "")
    elif item.kind == "card":
        _draw_card(pen, colour, str(item.value))
    else:
        FIGURES[item.name](pen, colour)


def _draw_die(pen: Pen, colour: Rgb, value: int) -> None:
    edge = GREY if colour == WHITE_RGB else darker(colour)
    pen.rectangle(0, 0, 1, 1, edge, radius=0.18)
    pen.rectangle(0.035, 0.035, 0.965, 0.965, colour, radius=0.15)
    radius = 0.1 if value < 6 else 0.09
    for x, y in PIPS[value]:
        pen.ellipse(x - radius, y - radius, x + radius, y + radius, _ink_on(colour))


def draw_sign(pen: Pen, colour: Rgb, word: str) -> None:
    """A board with a word on it, and a post where the pen's box is higher than the board."""
    board = min(1.0, pen.width * BOARD_ASPECT / pen.height)
    if board < 1:
        pen.rectangle(0.45, board - 0.02, 0.55, 1, GREY)
    pen.rectangle(0, 0, 1, board, colour, radius=0.08)
    _draw_word(pen, (0.05, 0.1 * board, 0.95, 0.9 * board), word, _ink_on(colour))


def _draw_card(pen: Pen, colour: Rgb, number: str) -> None:
    pen.rectangle(0, 0, 1, 1, colour, radius=0.08)
    pen.rectangle(0.05, 0.045, 0.95, 0.955, PAPER, radius=0.05)
    _draw_word(pen, (0.08, 0.12, 0.92, 0.88), number, _readable_on_paper(colour))


def _draw_word(pen: Pen, room: tuple[float, float, float, float], word: str, colour: Rgb) -> None:
    """The word as large and bold as fits into ``room``, in the middle of it."""
    (left, top), (right, bottom) = pen.at(*room[:2]), pen.at(*room[2:])
    size = _fitting_size(word, right - left, bottom - top)
    font, stroke = font_of(size), size // 24
    x0, y0, x1, y1 = font.getbbox(word, stroke_width=stroke)
    corner = ((left + right - x0 - x1) / 2, (top + bottom - y0 - y1) / 2)
    pen.canvas.text(corner, word, font=font, fill=colour, stroke_width=stroke, stroke_fill=colour)


def _fitting_size(word: str, width: float, height: float) -> int:
    ink_width, ink_height = _ink(word)
    return max(4, int(min(width / ink_width, height / ink_height)))


@lru_cache(maxsize=256)
def _ink(word: str) -> tuple[float, float]:
    """Width and height of the bold word at font size 1."""
    x0, y0, x1, y1 = font_of(240).getbbox(word, stroke_width=10)
    return (x1 - x0) / 240, (y1 - y0) / 240


@lru_cache(maxsize=128)
def font_of(size: int) -> ImageFont.FreeTypeFont:
    """The world's one typeface; ``size`` in pixels. Raises UsageError for a Pillow without FreeType."""
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise UsageError(
            "drawing words needs Pillow with FreeType, found a Pillow without it",
            hint="install Pillow from its published wheels: pip install --force-reinstall pillow",
        )
    return font


def _ink_on(colour: Rgb) -> Rgb:
    """Dark or white, whichever is easier to read on the colour."""
    return INK if _luma(colour) > BRIGHT else PAPER


def _readable_on_paper(colour: Rgb) -> Rgb:
    return darker(colour, 0.72) if _luma(colour) > BRIGHT else colour


def _luma(colour: Rgb) -> float:
    """Brightness 0..255 (Rec. 601)."""
    red, green, blue = colour
    return 0.299 * red + 0.587 * green + 0.114 * blue
