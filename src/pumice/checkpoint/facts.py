"""What there is to know about a model before it is loaded: from its description, its headers and nothing larger."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from pumice.checkpoint.description import Description
from pumice.checkpoint.load import expected_shapes
from pumice.checkpoint.sources import Source, open_checkpoint
from pumice.images.grid import plan


@dataclass(frozen=True)
class Facts:
    """A model in figures.

    kind: the checkpoint's layout, such as llava-hf. parameters: weights of the whole model, as numbers, not bytes.
    bits: of a weight of the language model. dtype: how what is not quantised is stored. image_size: side of a tile in
    pixels, image_mode and image_tokens what becomes of a picture, at most; all None for a text-only model. context:
    tokens, pictures included. warnings: for people to read.
    """

    kind: str
    parameters: int
    template: str
    template_is_guessed: bool
    bits: int
    dtype: str
    image_size: int | None
    image_mode: str | None
    image_tokens: int | None
    context: int
    language: str
    vision: str | None
    source: str
    warnings: tuple[str, ...] = ()


def read_facts(path: str | Path, *, base: str | None = None, vision_tower: str | None = None) -> Facts:
    """Open a checkpoint, without the network, and say what it is. Raises: as ``open_checkpoint``."""
    return facts_of(open_checkpoint(path, base=base, vision_tower=vision_tower, offline=True))


def facts_of(source: Source) -> Facts:
    """What an opened checkpoint is."""
    description = source.description
    speak, see, how = description.model.language, description.model.vision, description.preprocessing
    stored = source.tensors["language.norm.weight"].dtype if "language.norm.weight" in source.tensors else None
    width = 8 * stored.itemsize if stored else 0
    return Facts(
        kind=source.kind,
        parameters=sum(math.prod(shape) for shape in expected_shapes(description.model).values()),
        template=description.template,
        template_is_guessed=source.guessed,
        bits=description.quantization.language.bits if description.quantization else width,
        dtype=str(stored).removeprefix("torch.") if stored else "unknown",
        image_size=how.image_size if how else None,
        image_mode=how.mode if how else None,
        image_tokens=_most_tokens(description),
        context=speak.max_positions,
        language=f"{speak.layers} layers of {speak.hidden_size}, {speak.heads} heads, {speak.vocab_size} tokens",
        vision=f"{see.layers} layers of {see.hidden_size}, patches of {see.patch_size}" if see else None,
        source=description.source,
        warnings=(*source.warnings, *source.doubts),
    )


def _most_tokens(description: Description) -> int | None:
    """Of one picture: in a mosaic, one that fills the largest."""
    how = description.preprocessing
    if how is None:
        return None
    sizes = how.pinpoints or ((how.image_size, how.image_size),)
    return max(plan(width, height, how).tokens for width, height in sizes)
