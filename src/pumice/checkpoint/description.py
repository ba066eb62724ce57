"""What a checkpoint says about itself besides its weights, and the file in which Pumice writes that down."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pumice.checkpoint.files import read_json
from pumice.checkpoint.values import from_json, to_json
from pumice.checkpoint.writing import FILE, write_json
from pumice.errors import ModelError, UsageError
from pumice.images.config import Preprocessing
from pumice.model.config import LlavaConfig
from pumice.prompts.templates import get_template
from pumice.quantize.plan import Plan

FORMAT = 1


@dataclass(frozen=True)
class Generation:
    """What the makers of a model suggest for generation; None leaves it to the caller. end_ids: further end tokens."""

    end_ids: tuple[int, ...] = ()
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None


@dataclass(frozen=True)
class Description:
    """Everything but weights and tokenizer.

    template: a name in ``prompts.templates``. preprocessing: None for a text-only model. image_wrap: special tokens
    around every picture. source: where the weights came from, for people to read. quantization: which layers are
    stored as integers, None if none are.
    """

    model: LlavaConfig
    template: str
    preprocessing: Preprocessing | None = None
    image_wrap: tuple[str, str] | None = None
    generation: Generation = field(default_factory=Generation)
    source: str = ""
    quantization: Plan | None = None

    def __post_init__(self) -> None:
        if (self.model.vision is None) != (self.preprocessing is None):
            raise ModelError("a vision tower and picture preprocessing come together: found only one of them")
        vision, how = self.model.vision, self.preprocessing
        if vision is None or how is None:
            return
        if (vision.image_size, vision.patch_size) != (how.image_size, how.patch_size):
            raise ModelError(
                f"pictures of {how.image_size} pixels in patches of {how.patch_size} do not suit a vision tower "
                f"for {vision.image_size} in patches of {vision.patch_size}"
            )
        if how.keeps_cls != (vision.select_feature == "cls_patch"):
            raise ModelError("preprocessing and vision tower disagree about the class token")
        if how.mode == "square" and vision.kind == "siglip":
            raise ModelError(
                "pictures squeezed into a square, as SigLIP's own processor makes them, are not supported",
                hint="supported with SigLIP are padded pictures and mosaics (image_aspect_ratio pad, anyres)",
            )
        if how.mode == "anyres" and how.merge == "spatial_unpad" and not self.model.has_newline:
            raise ModelError("merge 'spatial_unpad' needs image_newline, which this model does not have")


def read_description(folder: Path) -> Description:
    """Read ``pumice.json``.

    Raises:
        ModelError: it is damaged, of another format, has unknown or missing fields, or names an unknown template.
    """
    path = folder / FILE
    content = read_json(path)
    found = content.pop("format", None)
    if found != FORMAT:
        raise ModelError(
            f"{path}: expected format {FORMAT}, found {found!r}", hint="this version of Pumice cannot read it: upgrade"
        )
    description = from_json(Description, content, path.name)
    try:
        get_template(description.template)
    except UsageError as error:
        raise ModelError(f"{path}: {error}", hint=error.hint) from error
    return description


def write_description(folder: Path, description: Description) -> None:
    """Write ``pumice.json``."""
    content = to_json(description)
    assert isinstance(content, dict)
    write_json(folder / FILE, {"format": FORMAT, **content})
