"""Scenes: what stands where. Plain values; ``make_scene`` is a pure function of the split and the index."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar

from pumice.boxes import Box
from pumice.errors import UsageError
from pumice.world.vocabulary import CARD, COLOURS, DIE, OBJECTS, SHAPES, SIGN, WHITE, WORDS, Kind

Split: TypeAlias = Literal["train", "held_out"]
Theme: TypeAlias = Literal["mixed", "dice", "shapes", "objects", "signs"]

_Choice = TypeVar("_Choice")

BACKGROUNDS = 8
GRID = 3
MARGIN = 0.004  # between an item and the border of its cell, as a fraction of the canvas
JITTER = 0.03
BOARD_ASPECT = 0.57  # a sign's board: height over width; what the box has below the board is the post

THEMES: dict[Theme, float] = {"mixed": 0.40, "dice": 0.20, "shapes": 0.15, "objects": 0.15, "signs": 0.10}
# What is hard to see stands in crowds more often: pips, words and numbers.
CROWD_KINDS: dict[Kind, float] = {"object": 0.27, "shape": 0.13, "die": 0.17, "sign": 0.24, "card": 0.19}
MIXED_KINDS: dict[Kind, float] = {"object": 0.40, "shape": 0.24, "die": 0.12, "sign": 0.13, "card": 0.11}


@dataclass(frozen=True)
class Item:
    """One thing. ``box`` is the tight drawn extent (x0, y0, x1, y1), fractions of the canvas; ``cell`` is 0..8.

    ``value`` is the die's pips (1-6) or the card's number (0-99), ``text`` the sign's word. ``colour`` is the main
    fill; for a die the body, for a sign the board, for a card the border and, darkened where
    it would be too faint on white, the number.
    """

    kind: Kind
    name: str
    colour: str
    box: Box
    cell: int
    value: int | None = None
    text: str | None = None

    @property
    def centre(self) -> tuple[float, float]:
        """The middle of the box, (x, y), fractions of the canvas."""
        x0, y0, x1, y1 = self.box
        return (x0 + x1) / 2, (y0 + y1) / 2


@dataclass(frozen=True)
class Scene:
    """Items in reading order on one of the light backgrounds. The canvas is always square."""

    items: tuple[Item, ...]
    background: int
    split: Split
    index: int

    def named(self, name: str) -> tuple[Item, ...]:
        """All items of this name, in reading order."""
        return tuple(item for item in self.items if item.name == name)

    @property
    def dice(self) -> tuple[Item, ...]:
        """All dice, in reading order."""
        return self.named(DIE)


@dataclass(frozen=True)
class _Draft:
    kind: Kind
    name: str
    colour: str
    value: int | None = None
    text: str | None = None


def make_scene(split: Split, index: int) -> Scene:
    """The scene of this number. Training and held-out scenes are two independent sequences.

    Raises:
        UsageError: unknown split or a negative index.
    """
    if split not in ("train", "held_out"):
        raise UsageError(f"a split is 'train' or 'held_out', found {split!r}")
    if index < 0:
        raise UsageError(f"a scene's index is 0 or more, found {index}")
    rng = random.Random(f"{split}:{index}")
    drafts = _drafts(rng, _weighted(rng, THEMES))
    rng.shuffle(drafts)
    cells = sorted(rng.sample(range(GRID * GRID), len(drafts)))
    items = tuple(_place(rng, draft, cell) for draft, cell in zip(drafts, cells, strict=True))
    return Scene(items, rng.randrange(BACKGROUNDS), split, index)


def make_crowd(index: int) -> Scene:
    """A training picture with all nine cells filled: nothing to talk about, but much to see for a vision tower."""
    rng = random.Random(f"crowd:{index}")
    palette = list(COLOURS)
    drafts = [_draft(rng, _weighted(rng, CROWD_KINDS), palette) for _ in range(GRID * GRID)]
    items = tuple(_place(rng, draft, cell) for cell, draft in enumerate(drafts))
    return Scene(items, rng.randrange(BACKGROUNDS), "train", index)


def _drafts(rng: random.Random, theme: Theme) -> list[_Draft]:
    palette = _palette(rng)
    if theme == "dice":
        dice = [_draft(rng, "die", palette) for _ in range(rng.randint(1, 5))]
        others = _fill(rng, MIXED_KINDS, rng.randint(0, 1), palette, taken={"die"})
        return dice + others
    if theme == "signs":
        kinds: list[Kind] = rng.choice([["sign"], ["card"], ["sign", "card"]])
        boards = [_draft(rng, kind, palette) for kind in kinds]
        weights: dict[Kind, float] = {"object": 0.5, "shape": 0.4, "die": 0.1}
        return boards + _fill(rng, weights, rng.randint(0, 4), palette)
    if theme == "shapes":
        return _with_repeats(rng, {"shape": 1.0}, palette)
    if theme == "objects":
        return _with_repeats(rng, {"object": 1.0}, palette)
    return _with_repeats(rng, MIXED_KINDS, palette)


def _with_repeats(rng: random.Random, weights: dict[Kind, float], palette: list[str]) -> list[_Draft]:
    """One to six things; half of the time two to five of them share a name, so that there is something to count."""
    if rng.random() < 0.5:
        return _fill(rng, weights, rng.randint(1, 6), palette)
    repeats = rng.choices((2, 3, 4, 5), (5, 6, 7, 8))[0]
    repeatable = {kind: weight for kind, weight in weights.items() if kind not in ("sign", "card")}
    first = _draft(rng, _weighted(rng, repeatable), palette)
    same_colour = rng.random() < 0.4
    copies = [first]
    for _ in range(repeats - 1):
        again = _draft(rng, first.kind, palette)
        copies.append(_Draft(first.kind, first.name, first.colour if same_colour else again.colour, again.value))
    others = _fill(rng, weights, rng.randint(0, 6 - repeats), palette, names={first.name})
    return copies + others


def _fill(
    rng: random.Random,
    weights: dict[Kind, float],
    count: int,
    palette: list[str],
    *,
    taken: set[Kind] | None = None,
    names: set[str] | None = None,
) -> list[_Draft]:
    """``count`` things without the kinds in ``taken`` and the names in ``names``; at most one sign and one card."""
    taken = set(taken or ())
    drafts: list[_Draft] = []
    while len(drafts) < count:
        kind = _weighted(rng, {each: weight for each, weight in weights.items() if each not in taken})
        draft = _draft(rng, kind, palette)
        if names and draft.name in names:
            continue
        if kind in ("sign", "card"):
            taken.add(kind)
        drafts.append(draft)
    return drafts


def _draft(rng: random.Random, kind: Kind, palette: list[str]) -> _Draft:
    colour = rng.choice(palette)
    if kind == "die":
        return _Draft(kind, DIE, WHITE if rng.random() < 0.55 else colour, value=rng.randint(1, 6))
    if kind == "sign":
        return _Draft(kind, SIGN, colour, text=rng.choice(WORDS))
    if kind == "card":
        return _Draft(kind, CARD, colour, value=rng.randint(0, 99))
    return _Draft(kind, rng.choice(tuple(SHAPES if kind == "shape" else OBJECTS)), colour)


def _palette(rng: random.Random) -> list[str]:
    """All colours, or two or three only, so that colours repeat often enough to be counted."""
    colours = tuple(COLOURS)
    return rng.sample(colours, rng.choice((2, 3))) if rng.random() < 0.4 else list(colours)


def _place(rng: random.Random, draft: _Draft, cell: int) -> Item:
    width, height = _extent(rng, draft)
    row, column = divmod(cell, GRID)
    x = (column + 0.5) / GRID + _jitter(rng, width)
    y = (row + 0.5) / GRID + _jitter(rng, height)
    box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return Item(draft.kind, draft.name, draft.colour, box, cell, draft.value, draft.text)


def _extent(rng: random.Random, draft: _Draft) -> tuple[float, float]:
    """Width and height as fractions of the canvas."""
    if draft.kind == "sign":
        width = rng.uniform(0.28, 0.31)
        return width, width * (BOARD_ASPECT if rng.random() < 0.5 else 0.8)
    size = rng.uniform(0.19, 0.29)
    if draft.kind == "card":
        size = rng.uniform(0.22, 0.29)
        return size * 0.86, size
    if draft.kind == "die":
        return size, size
    aspect = (SHAPES if draft.kind == "shape" else OBJECTS)[draft.name]
    return (size, size / aspect) if aspect >= 1 else (size * aspect, size)


def _jitter(rng: random.Random, extent: float) -> float:
    """A shift of the centre that keeps the item inside its cell, so that items never touch."""
    room = min(JITTER, (1 / GRID - extent) / 2 - MARGIN)
    return rng.uniform(-room, room)


def _weighted(rng: random.Random, weights: dict[_Choice, float]) -> _Choice:
    return rng.choices(list(weights), list(weights.values()))[0]
