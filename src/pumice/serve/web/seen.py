"""What the model sees: a picture as it is cut and scaled before the vision tower reads it.

The page has no checkpoint. How a model wants its pictures comes with its entry in the API's list of models, and the
same code that the model's own processor uses does the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from PIL import Image
from pydantic import BaseModel, Field, PositiveInt, ValidationError

from pumice.errors import ModelError
from pumice.images.config import Merge, Mode, Preprocessing
from pumice.images.preprocess import preprocess
from pumice.images.restore import as_pictures
from pumice.images.writing import without_writing

_MOST_TILES = 64


class _Facts(BaseModel):
    """As ``serve.api.answers.ImageFacts`` tells them, where nothing that is needed may be absent."""

    tile_size: Annotated[int, Field(gt=0, le=2048)]
    patch_size: Annotated[int, Field(gt=0)]
    mode: Mode
    merge: Merge = "flat"
    pinpoints: Annotated[tuple[tuple[PositiveInt, PositiveInt], ...], Field(max_length=64)] | None = None
    most_tiles: int | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    keeps_cls: bool | None = None


@dataclass(frozen=True)
class View:
    """One tile of one picture, and what there is to say about it. first: whether it shows the whole picture."""

    tile: Image.Image
    caption: str
    first: bool


def preparation(details: Mapping[str, Any]) -> Preprocessing | None:
    """How a model wants its pictures, from the field ``images`` of its entry; None if that does not say enough.

    The entry comes from a server that may be anybody's: values that make no sense count as none.
    """
    try:
        facts = _Facts.model_validate(details.get("images"))
        if any(width * height > _MOST_TILES * facts.tile_size**2 for width, height in facts.pinpoints or ()):
            return None
        colours = {name: colour for name in ("mean", "std") if (colour := getattr(facts, name)) is not None}
        return Preprocessing(
            facts.tile_size, facts.patch_size, facts.mode, facts.merge, facts.pinpoints or (), facts.most_tiles,
            keeps_cls=bool(facts.keeps_cls), **colours,
        )  # fmt: skip
    except (ValidationError, ModelError):
        return None


def hides_writing(details: Mapping[str, Any]) -> bool:
    """Whether the model is shown pictures in which writing is painted over, by the same entry."""
    told = details.get("images")
    return isinstance(told, Mapping) and told.get("hides_writing") is True


def views(
    pictures: Sequence[Image.Image], how: Preprocessing, *, alone: bool, hide_writing: bool = False
) -> list[View]:
    """Every tile of every picture. alone: whether the conversation has just one picture."""
    found: list[View] = []
    for number, original in enumerate(pictures, 1):
        picture = without_writing(original) if hide_writing else original
        tiles, grid = preprocess(picture, how, alone=alone)
        size = f"{picture.width} × {picture.height} pixels"
        parts = "one tile" if len(tiles) == 1 else f"{len(tiles)} tiles"
        facts = f"picture {number}: {size} → {parts} of {how.image_size} × {how.image_size}, {grid.tokens} tokens"
        for place, tile in enumerate(as_pictures(tiles, how)):
            words = facts if place == 0 else f"picture {number}, part {place} of {len(tiles) - 1}"
            found.append(View(tile, words, place == 0))
    return found
