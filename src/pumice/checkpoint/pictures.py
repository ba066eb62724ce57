"""Foreign configs -> how a checkpoint wants its pictures."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from typing import cast

from pumice.checkpoint.fields import Fields
from pumice.checkpoint.parts import colours
from pumice.errors import ModelError
from pumice.images.config import Merge, Mode, Preprocessing
from pumice.model.config import VisionConfig

# What transformers assumes where a config has no image_grid_pinpoints; (height, width), unlike the original's.
_NEXT_PINPOINTS = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]
_ONEVISION_PINPOINTS = [[384 * rows, 384 * columns] for rows in range(1, 7) for columns in range(1, 7)]
_ANYRES_MAX = re.compile(r"anyres_max_(\d+)")
_RANGE = re.compile(r"\((\d+)x(\d+)\)(?:\s*,\s*\.\.\.\s*,\s*\((\d+)x(\d+)\))?")
_MOST_COLUMNS = 32  # of tiles in a mosaic, and rows


def original_preprocessing(raw: Fields, vision: VisionConfig, merge: Merge, processor: Fields) -> Preprocessing:
    """What an original config says about pictures, and its tower's image ``processor``. Raises ModelError."""
    ratio = raw.text("image_aspect_ratio", "square")
    limited = _ANYRES_MAX.fullmatch(ratio)
    if limited is None and ratio not in ("square", "pad", "anyres"):
        raise ModelError(
            f"{raw.where}: image_aspect_ratio = {ratio!r} is not supported",
            hint="supported are square, pad, anyres and anyres_max_<N>",
        )
    how = _preprocessing(vision, processor)
    if limited is None and ratio != "anyres":
        return replace(how, mode=cast(Mode, ratio), merge=merge)
    return replace(
        how,
        mode="anyres",
        merge=merge,
        pinpoints=_listed(raw, vision.image_size),
        most_tiles=None if limited is None else int(limited[1]),
    )


def _listed(raw: Fields, side: int) -> tuple[tuple[int, int], ...]:
    """``image_grid_pinpoints``: pairs of pixels, those as text, or as text the first and last (columns x rows) of a
    range, in tiles of ``side`` pixels."""
    value = raw.values.get("image_grid_pinpoints")
    if not isinstance(value, str):
        return _pairs(raw, value)
    match = _RANGE.fullmatch(value.strip())
    if match is not None:
        left, top = int(match[1]), int(match[2])
        right, bottom = int(match[3] or left), int(match[4] or top)
        if max(right, bottom) > _MOST_COLUMNS:
            raise ModelError(
                f"{raw.where}: image_grid_pinpoints {value!r} has more than {_MOST_COLUMNS} tiles in a row"
            )
        return tuple((side * x, side * y) for x in range(left, right + 1) for y in range(top, bottom + 1))
    try:
        return _pairs(raw, ast.literal_eval(value))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise ModelError(f"{raw.where}: image_grid_pinpoints must be a list of pairs, found {value[:60]!r}") from None


def hf_preprocessing(raw: Fields, vision: VisionConfig, processor: Fields, family: str) -> Preprocessing:
    """The same of a config of transformers; ``family`` is its ``model_type``. Raises ModelError."""
    how = _preprocessing(vision, processor)
    if family == "llava":
        # LLaVA-1.5 was trained on padded pictures, but the ports' processors say nothing of it and crop; only a config
        # with a do_pad of its own was made by someone who chose.
        mode: Mode = "pad" if processor.flag("do_pad", True) else "square"
        return replace(how, mode=mode, merge="flat")
    onevision = family == "llava_onevision"
    assumed = _ONEVISION_PINPOINTS if onevision else _NEXT_PINPOINTS
    pairs = _pairs(raw, raw.values.get("image_grid_pinpoints") or assumed)
    most = None
    if onevision:
        ratio = raw.text("vision_aspect_ratio", "anyres_max_9")
        limited = _ANYRES_MAX.fullmatch(ratio)
        if limited is None:
            raise ModelError(f"{raw.where}: vision_aspect_ratio = {ratio!r} is not supported")
        most = int(limited[1])
    pinpoints = tuple((width, height) for height, width in pairs)  # theirs are (height, width)
    return replace(how, mode="anyres", merge="spatial_unpad", pinpoints=pinpoints, most_tiles=most)


def _preprocessing(vision: VisionConfig, processor: Fields) -> Preprocessing:
    """Sizes and colours; what becomes of a picture's sides is still to be said."""
    mean, std = colours(processor, vision)
    return Preprocessing(
        image_size=vision.image_size,
        patch_size=vision.patch_size,
        mean=mean,
        std=std,
        keeps_cls=vision.select_feature == "cls_patch",
    )


def _pairs(raw: Fields, value: object) -> tuple[tuple[int, int], ...]:
    pairs = Fields({"image_grid_pinpoints": value}, raw.where).items("image_grid_pinpoints")
    for pair in pairs:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not all(isinstance(side, int) for side in pair):
            raise ModelError(f"{raw.where}: image_grid_pinpoints must be a list of pairs, found {pair!r} in it")
    return tuple((int(first), int(second)) for first, second in cast("list[tuple[int, int]]", pairs))
