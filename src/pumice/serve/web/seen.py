"""What the model sees: a picture as it is cut and scaled before the vision tower reads it.

The page has no checkpoint. How a model wants its pictures comes with its entry in the API's list of models, and the
same code that the model's own processor uses does the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from PIL import Image

from pumice.errors import ModelError
from pumice.images.config import Merge, Mode, Preprocessing
from pumice.images.preprocess import preprocess
from pumice.images.restore import as_pictures

_LARGEST_SIDE, _MOST_PINPOINTS, _MOST_TILES = 2048, 64, 64


@dataclass(frozen=True)
class View:
    """One tile of one picture, and what there is to say about it. first: whether it shows the whole picture."""

    tile: Image.Image
    caption: str
    first: bool


def preparation(details: Mapping[str, Any]) -> Preprocessing | None:
    """How a model wants its pictures, from the field ``image_processing`` of its entry; None if that says nothing.

    The entry comes from a server that may be anybody's: values that make no sense count as none.
    """
    found = details.get("image_processing")
    if not isinstance(found, dict):
        return None
    size, patch = found.get("image_size"), found.get("patch_size")
    mode, merge = found.get("mode", "pad"), found.get("merge", "flat")
    if not isinstance(size, int) or not isinstance(patch, int) or not 0 < size <= _LARGEST_SIDE:
        return None
    if mode not in get_args(Mode) or merge not in get_args(Merge):
        return None
    pinpoints, most = found.get("pinpoints") or [], found.get("most_tiles")
    mean, std = _colour(found.get("mean")), _colour(found.get("std"))
    mosaics = tuple(pair for pair in map(_pair, pinpoints[:_MOST_PINPOINTS]) if pair) if _is_list(pinpoints) else ()
    if any(width * height > _MOST_TILES * size * size for width, height in mosaics):
        return None
    try:
        how = Preprocessing(
            size, patch, mode, merge, mosaics, most if isinstance(most, int) else None,
            keeps_cls=found.get("keeps_cls") is True,
        )  # fmt: skip
        if mean is None or std is None:
            return how
        return Preprocessing(
            size, patch, mode, merge, mosaics, how.most_tiles, mean, std, keeps_cls=how.keeps_cls
        )  # fmt: skip
    except ModelError:
        return None


def views(pictures: Sequence[Image.Image], how: Preprocessing, *, alone: bool) -> list[View]:
    """Every tile of every picture. alone: whether the conversation has just one picture."""
    found: list[View] = []
    for number, picture in enumerate(pictures, 1):
        tiles, grid = preprocess(picture, how, alone=alone)
        size = f"{picture.width} × {picture.height} pixels"
        parts = "one tile" if len(tiles) == 1 else f"{len(tiles)} tiles"
        facts = f"picture {number}: {size} → {parts} of {how.image_size} × {how.image_size}, {grid.tokens} tokens"
        for place, tile in enumerate(as_pictures(tiles, how)):
            words = facts if place == 0 else f"picture {number}, part {place} of {len(tiles) - 1}"
            found.append(View(tile, words, place == 0))
    return found


def _is_list(found: Any) -> bool:
    return isinstance(found, list | tuple)


def _pair(found: Any) -> tuple[int, int] | None:
    if _is_list(found) and len(found) == 2 and all(isinstance(each, int) and each > 0 for each in found):
        return found[0], found[1]
    return None


def _colour(found: Any) -> tuple[float, float, float] | None:
    if _is_list(found) and len(found) == 3 and all(isinstance(each, int | float) for each in found):
        return float(found[0]), float(found[1]), float(found[2])
    return None
