"""Where every image token comes from: arithmetic on integers, shared by processor, sampler, limits and model.

Source of the rules: LLaVA-1.6 and LLaVA-OneVision, ``llava/mm_utils.py`` and ``llava/model/llava_arch.py``
(reference of the formats).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pumice.errors import ImageError
from pumice.images.config import Merge, Preprocessing

_TOLERATED = 1.1  # a mosaic of features is scaled down only if each side is longer by more than this


@dataclass(frozen=True)
class Grid:
    """How the features of one picture's tiles become one row of tokens.

    side: patches along one side of a tile. keeps_cls: a class feature stands in front of each tile's patches.
    rows, columns: the mosaic of tiles that follows the base view; 0 by 0 when there is only the base view, which
    ``spatial_unpad`` then ends with a newline (one of OneVision's several pictures).
    top, bottom, left, right: the part of the mosaic that shows the picture, in patches, bottom and right exclusive
    (``spatial_unpad`` only; otherwise the whole mosaic).
    most_tiles: that part is scaled down to the patches of about so many tiles; None leaves it as it is.
    """

    side: int
    keeps_cls: bool = False
    rows: int = 0
    columns: int = 0
    merge: Merge = "flat"
    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0
    most_tiles: int | None = None

    @property
    def tiles(self) -> int:
        """Number of tiles to encode, base view included."""
        return 1 + self.rows * self.columns

    @property
    def tokens_per_tile(self) -> int:
        return self.side * self.side + int(self.keeps_cls)

    @property
    def tokens(self) -> int:
        """Length of the row of tokens."""
        newline = 1 if self.merge == "spatial_unpad" else 0
        if self.merge == "flat":
            return self.tiles * self.tokens_per_tile
        if self.tiles == 1:
            return self.tokens_per_tile + newline
        height, width = self.shown
        return self.tokens_per_tile + height * (width + newline)

    @property
    def shown(self) -> tuple[int, int]:
        """Rows and columns of the mosaic's features as they become tokens, without newlines."""
        height, width = self.bottom - self.top, self.right - self.left
        if self.most_tiles is None:
            return height, width
        times = math.sqrt(height * width / (self.most_tiles * self.side**2))
        return (max(1, int(height // times)), max(1, int(width // times))) if times > _TOLERATED else (height, width)


def select_mosaic(size: tuple[int, int], pinpoints: tuple[tuple[int, int], ...]) -> tuple[int, int]:
    """The mosaic, (width, height) in pixels, that keeps most of a picture of ``size`` (width, height).

    Most kept pixels win, then the least wasted area, then the order of ``pinpoints``. The scale is a float and the
    products are cut to integers because the reference does so: exact fractions would break some ties otherwise.
    """
    width, height = _checked(size)
    if not pinpoints:
        raise ImageError("choosing a mosaic needs at least one resolution, found none")

    def quality(mosaic: tuple[int, int]) -> tuple[int, int]:
        scale = min(mosaic[0] / width, mosaic[1] / height)
        kept = min(int(width * scale) * int(height * scale), width * height)
        return kept, kept - mosaic[0] * mosaic[1]

    return max(pinpoints, key=quality)  # max returns the first of equals


def fit_within(size: tuple[int, int], target: tuple[int, int]) -> tuple[int, int]:
    """A picture of ``size`` scaled to touch ``target`` on one axis; the other is rounded up. All (width, height)."""
    width, height = _checked(size)
    scale_x, scale_y = target[0] / width, target[1] / height
    if scale_x < scale_y:
        return target[0], min(math.ceil(height * scale_x), target[1])
    return min(math.ceil(width * scale_y), target[0]), target[1]


def unpad_box(size: tuple[int, int], area: tuple[int, int]) -> tuple[int, int, int, int]:
    """Where a picture of ``size`` lies within ``area`` once scaled to fit and centred: (top, bottom, left, right).

    Both arguments are (width, height); bottom and right are exclusive. An odd remainder leaves one row or column of
    border in, as in the reference; unlike there, a very thin picture keeps at least one row or column.
    """
    width, height = _checked(size)
    columns, rows = area
    if width / height > columns / rows:
        border = (rows - max(1, int(height * (columns / width)))) // 2
        return border, rows - border, 0, columns
    border = (columns - max(1, int(width * (rows / height)))) // 2
    return 0, rows, border, columns - border


def seen_once(preprocessing: Preprocessing, *, alone: bool, overview: bool) -> bool:
    """Whether a picture that could become a mosaic is seen as a whole only: it was asked for, or the model does so
    with several pictures (see ``Preprocessing.most_tiles``)."""
    return preprocessing.mode == "anyres" and (overview or (preprocessing.most_tiles is not None and not alone))


def plan(width: int, height: int, preprocessing: Preprocessing, *, alone: bool = True, overview: bool = False) -> Grid:
    """The tiles and tokens that a picture of ``width`` by ``height`` pixels turns into.

    alone: whether it is the only one of its conversation. overview: no mosaic, whatever the model would do.
    """
    _checked((width, height))
    side = preprocessing.side
    if preprocessing.mode != "anyres":
        return Grid(side, preprocessing.keeps_cls)
    if seen_once(preprocessing, alone=alone, overview=overview):
        return Grid(side, preprocessing.keeps_cls, merge=preprocessing.merge)
    mosaic = select_mosaic((width, height), preprocessing.pinpoints)
    columns, rows = mosaic[0] // preprocessing.image_size, mosaic[1] // preprocessing.image_size
    box = (0, rows * side, 0, columns * side)
    if preprocessing.merge == "spatial_unpad":
        box = unpad_box((width, height), (columns * side, rows * side))
    return Grid(side, preprocessing.keeps_cls, rows, columns, preprocessing.merge, *box, preprocessing.most_tiles)


def _checked(size: tuple[int, int]) -> tuple[int, int]:
    if size[0] < 1 or size[1] < 1:
        raise ImageError(f"a picture must be at least 1 x 1 pixels, found {size[0]} x {size[1]}")
    return size
