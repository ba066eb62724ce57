"""How each shape and object looks: a few filled figures in a unit square that the thing fills on all four sides."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from PIL import ImageDraw

from pumice.world.vocabulary import GREY, INK, PAPER, Rgb

Point = tuple[float, float]


@dataclass(frozen=True)
class Pen:
    """Draws in unit coordinates of one box of the canvas: (0, 0) is its top left corner, (1, 1) its bottom right."""

    canvas: ImageDraw.ImageDraw
    left: float
    top: float
    width: float
    height: float

    def at(self, x: float, y: float) -> Point:
        """Pixels of the canvas."""
        # The last pixel belongs to the figure, hence the 1.
        return self.left + x * (self.width - 1), self.top + y * (self.height - 1)

    def polygon(self, points: Sequence[Point], fill: Rgb) -> None:
        """A filled polygon."""
        self.canvas.polygon([self.at(x, y) for x, y in points], fill=fill)

    def rectangle(self, x0: float, y0: float, x1: float, y1: float, fill: Rgb, radius: float = 0.0) -> None:
        """A filled rectangle; ``radius`` of its corners as a fraction of the box's shorter side."""
        corners = (self.at(x0, y0), self.at(x1, y1))
        self.canvas.rounded_rectangle(corners, self.thick(radius) if radius else 0, fill=fill)

    def ellipse(self, x0: float, y0: float, x1: float, y1: float, fill: Rgb) -> None:
        """A filled ellipse."""
        self.canvas.ellipse((self.at(x0, y0), self.at(x1, y1)), fill=fill)

    def ring(self, x0: float, y0: float, x1: float, y1: float, colour: Rgb, thickness: float) -> None:
        """An open ellipse; its line lies inside the rectangle."""
        self.canvas.ellipse((self.at(x0, y0), self.at(x1, y1)), outline=colour, width=self.thick(thickness))

    def arc(self, x0: float, y0: float, x1: float, y1: float, span: Point, colour: Rgb, thickness: float) -> None:
        """Part of a ring; ``span`` in degrees, clockwise from three o'clock."""
        self.canvas.arc((self.at(x0, y0), self.at(x1, y1)), *span, fill=colour, width=self.thick(thickness))

    def line(self, points: Sequence[Point], colour: Rgb, thickness: float) -> None:
        """A line; ``thickness`` as a fraction of the box's shorter side."""
        self.canvas.line([self.at(x, y) for x, y in points], fill=colour, width=self.thick(thickness), joint="curve")

    def thick(self, fraction: float) -> int:
        """A line width in pixels."""
        return max(1, round(fraction * min(self.width, self.height)))


Figure = Callable[[Pen, Rgb], None]


def darker(colour: Rgb, factor: float = 0.68) -> Rgb:
    """The same hue in the shade."""
    red, green, blue = colour
    return round(red * factor), round(green * factor), round(blue * factor)


def _circle(pen: Pen, colour: Rgb) -> None:
    pen.ellipse(0, 0, 1, 1, colour)


def _square(pen: Pen, colour: Rgb) -> None:
    pen.rectangle(0, 0, 1, 1, colour)


def _triangle(pen: Pen, colour: Rgb) -> None:
    pen.polygon(((0.5, 0), (1, 1), (0, 1)), colour)


def _diamond(pen: Pen, colour: Rgb) -> None:
    pen.polygon(((0.5, 0), (1, 0.5), (0.5, 1), (0, 0.5)), colour)


def _star(pen: Pen, colour: Rgb) -> None:
    pen.polygon(_star_outline(), colour)


def _heart(pen: Pen, colour: Rgb) -> None:
    pen.polygon(_heart_outline(), colour)


@cache
def _star_outline() -> tuple[Point, ...]:
    turns = [math.pi * (step / 5 - 0.5) for step in range(10)]
    return _fitted([(r * math.cos(a), r * math.sin(a)) for a, r in zip(turns, (1.0, 0.42) * 5, strict=True)])


@cache
def _heart_outline() -> tuple[Point, ...]:
    # The well-known parametric heart: x = 16 sin^3 t, y = 13 cos t - 5 cos 2t - 2 cos 3t - cos 4t.
    turns = [math.tau * step / 48 for step in range(48)]
    return _fitted(
        [
            (16 * math.sin(t) ** 3, -13 * math.cos(t) + 5 * math.cos(2 * t) + 2 * math.cos(3 * t) + math.cos(4 * t))
            for t in turns
        ]
    )


def _fitted(points: Sequence[Point]) -> tuple[Point, ...]:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    x0, y0, width, height = min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)
    return tuple(((x - x0) / width, (y - y0) / height) for x, y in points)


def _apple(pen: Pen, colour: Rgb) -> None:
    pen.polygon(((0.5, 0.26), (0.46, 0.1), (0.38, 0), (0.48, 0), (0.56, 0.1), (0.58, 0.26)), INK)
    pen.polygon(((0.56, 0.16), (0.68, 0.02), (0.92, 0), (0.82, 0.16)), darker(colour))
    pen.ellipse(0, 0.2, 0.62, 0.88, colour)
    pen.ellipse(0.38, 0.2, 1, 0.88, colour)
    pen.ellipse(0.12, 0.4, 0.55, 1, colour)
    pen.ellipse(0.45, 0.4, 0.88, 1, colour)


def _boat(pen: Pen, colour: Rgb) -> None:
    pen.rectangle(0.46, 0, 0.52, 0.72, INK)
    pen.polygon(((0.43, 0.03), (0.43, 0.6), (0.04, 0.6)), colour)
    pen.polygon(((0.56, 0.14), (0.92, 0.6), (0.56, 0.6)), colour)
    pen.polygon(((0, 0.68), (1, 0.68), (0.82, 1), (0.18, 1)), darker(colour, 0.85))


def _book(pen: Pen, colour: Rgb) -> None:
    pen.polygon(((0, 0), (0.5, 0.16), (0.5, 1), (0, 0.84)), colour)
    pen.polygon(((1, 0), (0.5, 0.16), (0.5, 1), (1, 0.84)), colour)
    for row in (0.2, 0.38, 0.56):
        pen.line(((0.1, row), (0.4, row + 0.1)), PAPER, 0.07)
        pen.line(((0.9, row), (0.6, row + 0.1)), PAPER, 0.07)
    pen.line(((0.5, 0.17), (0.5, 0.98)), darker(colour, 0.5), 0.06)


def _car(pen: Pen, colour: Rgb) -> None:
    pen.polygon(((0.16, 0.42), (0.3, 0), (0.68, 0), (0.86, 0.42)), colour)
    pen.polygon(((0.26, 0.4), (0.35, 0.1), (0.47, 0.1), (0.47, 0.4)), PAPER)
    pen.polygon(((0.53, 0.4), (0.53, 0.1), (0.64, 0.1), (0.75, 0.4)), PAPER)
    pen.rectangle(0, 0.4, 1, 0.82, colour, radius=0.16)
    for x in (0.12, 0.64):
        pen.ellipse(x, 0.58, x + 0.24, 1, INK)
        pen.ellipse(x + 0.08, 0.72, x + 0.16, 0.86, PAPER)


def _chair(pen: Pen, colour: Rgb) -> None:
    pen.rectangle(0, 0, 0.2, 1, colour)
    pen.rectangle(0.84, 0.55, 1, 1, darker(colour))
    pen.rectangle(0, 0.48, 1, 0.64, colour)
    pen.rectangle(0.12, 0.78, 0.9, 0.84, darker(colour))


def _clock(pen: Pen, colour: Rgb) -> None:
    pen.polygon(((0.2, 0.8), (0.1, 1), (0.24, 1), (0.36, 0.86)), darker(colour))
    pen.polygon(((0.8, 0.8), (0.9, 1), (0.76, 1), (0.64, 0.86)), darker(colour))
    pen.ellipse(0.02, 0, 0.4, 0.34, darker(colour))
    pen.ellipse(0.6, 0, 0.98, 0.34, darker(colour))
    pen.ellipse(0, 0.08, 1, 0.96, colour)
    pen.ellipse(0.18, 0.24, 0.82, 0.8, PAPER)
    pen.line(((0.5, 0.3), (0.5, 0.52), (0.68, 0.6)), INK, 0.08)


def _cup(pen: Pen, colour: Rgb) -> None:
    pen.ring(0.5, 0.2, 1, 0.78, colour, 0.12)
    pen.polygon(((0, 0.08), (0.74, 0.08), (0.68, 0.86), (0.06, 0.86)), colour)
    pen.ellipse(0.06, 0.72, 0.68, 1, colour)
    pen.ellipse(0, 0, 0.74, 0.2, darker(colour, 0.55))


def _fish(pen: Pen, colour: Rgb) -> None:
    pen.polygon(((0.6, 0.5), (1, 0.05), (0.92, 0.5), (1, 0.95)), darker(colour))
    pen.polygon(((0.24, 0.2), (0.42, 0), (0.58, 0.24)), darker(colour))
    pen.polygon(((0.3, 0.8), (0.4, 1), (0.54, 0.8)), darker(colour))
    pen.ellipse(0, 0.12, 0.76, 0.88, colour)
    pen.ellipse(0.1, 0.3, 0.24, 0.52, PAPER)
    pen.ellipse(0.14, 0.36, 0.21, 0.48, INK)


def _hat(pen: Pen, colour: Rgb) -> None:
    pen.ellipse(0, 0.7, 1, 1, colour)
    pen.rectangle(0.2, 0, 0.8, 0.86, colour)
    pen.rectangle(0.2, 0.52, 0.8, 0.74, darker(colour, 0.5))


def _house(pen: Pen, colour: Rgb) -> None:
    pen.rectangle(0.76, 0.06, 0.88, 0.3, GREY)
    pen.rectangle(0.1, 0.4, 0.9, 1, colour)
    pen.polygon(((0.5, 0), (1, 0.46), (0, 0.46)), darker(colour, 0.6))
    pen.rectangle(0.2, 0.6, 0.42, 0.82, PAPER)
    pen.rectangle(0.56, 0.6, 0.78, 1, INK)


def _key(pen: Pen, colour: Rgb) -> None:
    pen.rectangle(0.3, 0.4, 1, 0.6, colour)
    pen.rectangle(0.88, 0.5, 1, 0.95, colour)
    pen.rectangle(0.68, 0.5, 0.79, 0.86, colour)
    pen.ring(0, 0, 0.435, 1, colour, 0.24)


def _lamp(pen: Pen, colour: Rgb) -> None:
    pen.rectangle(0.44, 0.4, 0.56, 0.94, INK)
    pen.polygon(((0.26, 0), (0.74, 0), (1, 0.48), (0, 0.48)), colour)
    pen.polygon(((0.34, 0.86), (0.66, 0.86), (0.8, 1), (0.2, 1)), darker(colour))


def _tree(pen: Pen, colour: Rgb) -> None:
    pen.rectangle(0.4, 0.75, 0.6, 1, GREY)
    pen.polygon(((0.5, 0.32), (1, 0.84), (0, 0.84)), colour)
    pen.polygon(((0.5, 0.14), (0.9, 0.58), (0.1, 0.58)), darker(colour, 0.86))
    pen.polygon(((0.5, 0), (0.8, 0.34), (0.2, 0.34)), colour)


def _umbrella(pen: Pen, colour: Rgb) -> None:
    pen.rectangle(0.47, 0.4, 0.53, 0.9, INK)
    pen.arc(0.25, 0.76, 0.53, 1, (0, 180), INK, 0.06)
    pen.polygon(_umbrella_outline(), colour)


@cache
def _umbrella_outline() -> tuple[Point, ...]:
    """Half an ellipse whose lower edge has three scallops."""
    dome = [(0.5 - 0.5 * math.cos(math.pi * t / 24), 0.54 - 0.54 * math.sin(math.pi * t / 24)) for t in range(25)]
    edge = [(1 - t / 24, 0.54 - 0.09 * abs(math.sin(math.pi * t / 8))) for t in range(1, 24)]
    return tuple(dome + edge)


FIGURES: dict[str, Figure] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "heart": _heart,
    "diamond": _diamond,
    "apple": _apple,
    "boat": _boat,
    "book": _book,
    "car": _car,
    "chair": _chair,
    "clock": _clock,
    "cup": _cup,
    "fish": _fish,
    "hat": _hat,
    "house": _house,
    "key": _key,
    "lamp": _lamp,
    "tree": _tree,
    "umbrella": _umbrella,
}
