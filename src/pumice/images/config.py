"""How a checkpoint wants its pictures: a value that travels with the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from pumice.errors import ModelError

Mode: TypeAlias = Literal["square", "pad", "anyres"]
Merge: TypeAlias = Literal["flat", "spatial", "spatial_unpad"]

SIGLIP_MEAN = SIGLIP_STD = (0.5, 0.5, 0.5)
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Preprocessing:
    """From a picture of any size to square tiles.

    image_size: side of a tile in pixels; patch_size: side of a patch in pixels.
    mode: ``square`` crops the centre, ``pad`` adds borders in the mean colour, ``anyres`` cuts a mosaic of tiles.
    merge: how the tiles' features become one row of tokens (anyres only; the other modes have one tile, always flat).
    pinpoints: the mosaics that anyres may choose from, (width, height) in pixels, in order of preference.
    most_tiles: LLaVA-OneVision's ``anyres_max_N``, None for LLaVA-1.6's anyres. The features of a mosaic are scaled
    down to those of about N tiles, and only a picture that is alone in its conversation becomes a mosaic: several are
    each one tile with a border in the mean colour, and ``image_newline`` behind it.
    keeps_cls: whether the class token's feature is kept in front of a tile's patches (``cls_patch``).
    """

    image_size: int
    patch_size: int
    mode: Mode = "pad"
    merge: Merge = "flat"
    pinpoints: tuple[tuple[int, int], ...] = ()
    most_tiles: int | None = None
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD
    keeps_cls: bool = False

    def __post_init__(self) -> None:
        if self.image_size <= 0 or self.patch_size <= 0 or self.image_size < self.patch_size:
            raise ModelError(f"image size {self.image_size} and patch size {self.patch_size} do not fit together")
        if self.mode not in ("square", "pad", "anyres"):
            raise ModelError(f"image mode must be square, pad or anyres, found {self.mode!r}")
        if self.merge not in ("flat", "spatial", "spatial_unpad"):
            raise ModelError(f"patch merge must be flat, spatial or spatial_unpad, found {self.merge!r}")
        if self.mode == "anyres" and not self.pinpoints:
            raise ModelError("anyres needs a list of mosaics (image_grid_pinpoints), found none")
        if self.mode == "anyres" and self.keeps_cls and self.merge != "flat":
            raise ModelError("class tokens have no place in a mosaic: use merge 'flat' or features 'patch'")
        if self.most_tiles is not None and (self.mode, self.merge) != ("anyres", "spatial_unpad"):
            raise ModelError("a limit of tiles (anyres_max_N) needs mode 'anyres' and merge 'spatial_unpad'")
        if self.most_tiles is not None and self.most_tiles < 1:
            raise ModelError(f"the limit of tiles (anyres_max_N) must be at least 1, found {self.most_tiles}")
        for width, height in self.pinpoints:
            if width % self.image_size or height % self.image_size or width <= 0 or height <= 0:
                raise ModelError(f"mosaic {width}x{height} is not a multiple of the tile size {self.image_size}")

    @property
    def side(self) -> int:
        """Patches along one side of a tile."""
        return self.image_size // self.patch_size
