"""Where a picture seems to hold writing, and the picture without it: plain image processing, no model.

Letters are taken to be small patches, darker or lighter than what is around them, made of strokes, several of about one
size close together (the old idea behind finding text by connected components, Epshtein et al. 2010). That finds plain
writing at any angle. It misses a letter on its own, joined-up hands, writing of less than a tenth of contrast or a few
pixels; and a row of bars or windows can pass for a word. It is no protection against somebody who knows it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

_SIDE = 448  # pixels of the longest side on which letters are looked for
_AROUND = 0.06  # half the side of what a pixel is compared with, as a share of the longest side
_CONTRAST = 24  # levels of 255
_SMALLEST, _LARGEST = 5, 0.2  # height of a letter: pixels, and share of the longest side
_FULLEST = 0.72  # share of its box that a letter covers
_ROUND, _DISC = 1.15, 0.62  # a disc's sides are alike, and it covers 0.79 of its box, small ones less
_PAIR = 0.12  # by how much two letters may differ in height and stand apart from a line, in their height
_SHARP = 0.85  # share of a letter's outline that is an edge of the picture
_ALIKE, _NEAR = 1.7, 1.5  # larger over smaller of two neighbours; between their middles, in the larger's height
_MARGIN = 0.22  # what is removed around a letter, in its height: soft edges and outlines

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class _Patch:
    """A connected patch: its box (x0, y0, x1, y1), exclusive at the far ends, and its number of pixels."""

    box: tuple[int, int, int, int]
    area: int
    label: int

    @property
    def width(self) -> int:
        return self.box[2] - self.box[0]

    @property
    def height(self) -> int:
        return self.box[3] - self.box[1]

    @property
    def sides(self) -> tuple[int, int]:
        """The shorter one first."""
        return min(self.width, self.height), max(self.width, self.height)

    @property
    def size(self) -> int:
        return self.sides[1]

    @property
    def is_bar(self) -> bool:
        """A stroke without a form: a letter only beside others."""
        return self.sides[1] > 2 * self.sides[0]

    @property
    def middle(self) -> tuple[float, float]:
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2


def find_writing(image: Image.Image) -> Mask:
    """Writing in an RGB picture: True where letters are, and a little around them, [H, W] of the picture."""
    scale = min(1.0, _SIDE / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    grey = image.convert("L").resize(size, Image.Resampling.BOX) if scale < 1 else image.convert("L")
    values = np.asarray(grey, dtype=np.int16)
    around = np.asarray(grey.filter(ImageFilter.BoxBlur(_AROUND * max(size))), dtype=np.int16)
    edges = _edges(grey)
    found = Image.new("L", size)
    for darker in (True, False):
        mask = (around - values if darker else values - around) > _CONTRAST
        labels, patches = _patches(mask)
        sharp = _sharpness(mask, labels, edges, len(patches))
        letters = [each for each in patches if sharp[each.label] > _SHARP and _is_letter(each, max(size))]
        for word in _words(letters):
            _mark(found, labels, word)
    whole = found.resize(image.size, Image.Resampling.NEAREST) if scale < 1 else found
    return np.asarray(whole) > 0


def without_writing(image: Image.Image) -> Image.Image:
    """The RGB picture with its writing painted over in the colours around it; the same object if none was found."""
    mask = find_writing(image)
    return _filled(image, mask) if mask.any() else image


def _edges(grey: Image.Image) -> Mask:
    """Where neighbours differ by more than the contrast."""
    most = np.asarray(grey.filter(ImageFilter.MaxFilter(3)), dtype=np.int16)
    least = np.asarray(grey.filter(ImageFilter.MinFilter(3)), dtype=np.int16)
    return most - least > _CONTRAST


def _sharpness(mask: Mask, labels: NDArray[np.int32], edges: Mask, count: int) -> NDArray[np.float64]:
    """Of each patch [1 + count], the share of its outline that is an edge: a shadow's is none, a letter's is all."""
    inside = mask.copy()
    for axis in (0, 1):
        for step in (1, -1):
            inside &= np.roll(mask, step, axis)
    outline = np.where(inside, 0, labels)
    whole = np.bincount(outline.ravel(), minlength=count + 1)
    sharp = np.bincount(outline[edges], minlength=count + 1)
    return sharp / np.maximum(whole, 1)


def _is_letter(patch: _Patch, longest: int) -> bool:
    if not _SMALLEST <= patch.size <= _LARGEST * longest:
        return False
    thin, thick = patch.sides
    if patch.area < 2 * thick or thin < 2:
        return thick >= 2 * _SMALLEST and patch.area >= thick
    is_disc = thick < _ROUND * thin and patch.area > _DISC * thin * thick
    return not is_disc and (patch.is_bar or patch.area <= _FULLEST * thin * thick)


def _words(letters: list[_Patch]) -> list[list[_Patch]]:
    """Letters in groups of at least two that are each near another one of about the same size."""
    parent = list(range(len(letters)))
    for one, first in enumerate(letters):
        for other in range(one):
            if _neighbours(first, letters[other]):
                parent[_root(parent, one)] = _root(parent, other)
    groups: dict[int, list[_Patch]] = {}
    for index, letter in enumerate(letters):
        groups.setdefault(_root(parent, index), []).append(letter)
    return [group for group in groups.values() if _is_word(group)]


def _is_word(group: list[_Patch]) -> bool:
    """Not bars alone; and two letters must be of one height, side by side: things have two windows or wheels, too."""
    if len(group) < 2 or 2 * sum(letter.is_bar for letter in group) > len(group):
        return False
    if len(group) > 2:
        return True
    one, other = group
    apart = max(abs(one.height - other.height), abs(one.middle[1] - other.middle[1]))
    return apart <= max(1.0, _PAIR * one.height)


def _neighbours(one: _Patch, other: _Patch) -> bool:
    small, large = sorted((one.size, other.size))
    if large > _ALIKE * small:
        return False
    across, down = one.middle[0] - other.middle[0], one.middle[1] - other.middle[1]
    return math.hypot(across, down) < _NEAR * large


def _root(parent: list[int], index: int) -> int:
    while parent[index] != index:
        parent[index] = parent[parent[index]]
        index = parent[index]
    return index


def _patches(mask: Mask) -> tuple[NDArray[np.int32], list[_Patch]]:
    """Connected patches of True, corners counted: their labels [H, W] (0 for none), and what each one is like.

    By runs: stretches of True in a row, joined where they touch those of the row above.
    """
    height, width = mask.shape
    padded = np.zeros((height, width + 2), dtype=np.int8)
    padded[:, 1:-1] = mask
    steps = np.diff(padded.reshape(-1))
    begins, ends = np.flatnonzero(steps == 1) + 1, np.flatnonzero(steps == -1) + 1  # in the padded row of all rows
    rows, stride = begins // (width + 2), width + 2
    parent = list(range(len(begins)))
    above_first = np.searchsorted(ends, begins - stride, side="left")
    above_last = np.searchsorted(begins, ends - stride, side="right")
    for run, (first, last) in enumerate(zip(above_first.tolist(), above_last.tolist(), strict=True)):
        for above in range(first, last):
            if rows[above] == rows[run] - 1:
                parent[_root(parent, run)] = _root(parent, above)
    roots = np.array([_root(parent, run) for run in range(len(parent))], dtype=np.int64)
    labels = np.zeros(height * stride, dtype=np.int32)
    numbers, own = np.unique(roots, return_inverse=True)
    lengths = ends - begins
    filled = np.repeat(own + 1, lengths)
    places = np.repeat(begins - np.concatenate(([0], np.cumsum(lengths)[:-1])), lengths) + np.arange(lengths.sum())
    labels[places] = filled
    x0, x1 = np.full(len(numbers), width), np.zeros(len(numbers), dtype=np.int64)
    y0, y1 = np.full(len(numbers), height), np.zeros(len(numbers), dtype=np.int64)
    columns = begins - rows * stride - 1
    np.minimum.at(x0, own, columns)
    np.maximum.at(x1, own, columns + lengths)
    np.minimum.at(y0, own, rows)
    np.maximum.at(y1, own, rows + 1)
    areas = np.bincount(own, weights=lengths, minlength=len(numbers)).astype(int)
    found = [
        _Patch((int(x0[k]), int(y0[k]), int(x1[k]), int(y1[k])), int(areas[k]), k + 1) for k in range(len(numbers))
    ]
    return labels.reshape(height, stride)[:, 1:-1], found


def _mark(found: Image.Image, labels: NDArray[np.int32], word: list[_Patch]) -> None:
    """Adds a word's letters, with their margin, to the mask."""
    margin = max(1, round(_MARGIN * max(letter.size for letter in word)))
    x0, y0 = (min(letter.box[k] for letter in word) - margin for k in (0, 1))
    x1, y1 = (max(letter.box[k] for letter in word) + margin for k in (2, 3))
    x0, y0, x1, y1 = max(0, x0), max(0, y0), min(labels.shape[1], x1), min(labels.shape[0], y1)
    own = np.isin(labels[y0:y1, x0:x1], [letter.label for letter in word])
    grown = Image.fromarray(own.astype(np.uint8) * 255).filter(ImageFilter.MaxFilter(2 * margin + 1))
    found.paste(255, (x0, y0), grown)


def _filled(image: Image.Image, mask: Mask) -> Image.Image:
    """The picture with what is masked replaced by a blend of what surrounds it, near colours first."""
    keep = Image.fromarray(np.where(mask, 0, 255).astype(np.uint8))
    pixels = np.asarray(image, dtype=np.float32)  # [H, W, 3]
    blank = Image.fromarray(np.where(mask[..., None], 0, pixels).astype(np.uint8))
    left = mask.copy()
    filled = pixels.copy()
    radius = 2.0
    while left.any() and radius < 2 * max(image.size):
        weight = np.asarray(keep.filter(ImageFilter.BoxBlur(radius)), dtype=np.float32)
        blurred = np.asarray(blank.filter(ImageFilter.BoxBlur(radius)), dtype=np.float32)
        ready = left & (weight >= 16)
        filled[ready] = (255 * blurred[ready] / weight[ready, None]).clip(0, 255)
        left &= ~ready
        radius *= 2
    return Image.fromarray(np.rint(filled).astype(np.uint8))
