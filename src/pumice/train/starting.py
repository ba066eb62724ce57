"""Models to begin with that others have made: whole ones, or a language model and a tower to be joined here."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from pumice.checkpoint.load import Arithmetic, load_checkpoint
from pumice.checkpoint.sources import open_checkpoint
from pumice.checkpoint.start import Joint, start_model
from pumice.errors import ModelError, UsageError
from pumice.images.config import Mode, Preprocessing
from pumice.model.config import ConnectorConfig
from pumice.model.llava import Llava
from pumice.model.lora import Lora, put_adapters
from pumice.processor import Processor
from pumice.prompts.templates import get_template
from pumice.quantize.plan import Format
from pumice.train.recipe import Recipe, Start

#: LLaVA-1.6's mosaics: columns and rows of tiles.
MOSAICS = ((1, 2), (2, 1), (2, 2), (3, 1), (1, 3))


@dataclass(frozen=True)
class PartFormats:
    """The layers of some parts of the model become integers, those that adapters can be put on."""

    formats: Mapping[str, Format]

    def for_layer(self, name: str, shape: Sequence[int]) -> Format | None:
        """See ``LayerPlan``. A layer that does not divide into groups stays as it is."""
        part, _, rest = name.partition(".")
        how = self.formats.get(part)
        return how if how is not None and rest.startswith("layers.") and how.fits(shape) else None


def load_start(recipe: Recipe) -> tuple[Llava, Processor]:
    """The model that ``recipe.start`` names, in float32, ready to learn, with the recipe's adapters and template.

    Raises: ModelError for a model that cannot be loaded or learned upon, UsageError for a recipe that does not suit it.
    """
    model, processor = _loaded(recipe, Arithmetic(frozen=frozen_plan(recipe)))
    how = suit(model, processor.preprocessing, recipe)
    return model.train(), replace(processor, preprocessing=how, template=get_template(recipe.template))


def frozen_plan(recipe: Recipe) -> PartFormats | None:
    """Which layers become integers below adapters."""
    formats = {str(part): Format(each.bits, each.group) for part, each in recipe.quantize.items()}
    return PartFormats(formats) if formats else None


def suit(model: Llava, own: Preprocessing | None, recipe: Recipe) -> Preprocessing | None:
    """Give a finished model what ``recipe`` puts into it, a newline for mosaics and adapters.

    Returns how its pictures are cut, in place of its ``own`` way. Raises: UsageError for a recipe that does not suit.
    """
    if recipe.start.pictures is not None:
        if own is None:
            raise UsageError("start.pictures needs a model that sees")
        own = _cut(own, recipe.start.pictures)
        if own.mode == "anyres" and model.image_newline is None:
            _add_newline(model, recipe.seed)
    if recipe.lora and model.config.has_newline and own is not None and own.mode != "anyres":
        raise UsageError(
            "this model has image_newline, which only mosaics need, and the layout of adapters has no place for it",
            hint="set start.pictures to anyres, or train without lora",
        )
    adapt(model, recipe)
    return own


def joint_of(recipe: Recipe) -> Joint:
    """How two models are joined."""
    return Joint(ConnectorConfig(recipe.start.projector, 2), seed=recipe.seed)


def adapt(model: Llava, recipe: Recipe) -> None:
    """Put the recipe's adapters into ``model``. Raises: UsageError for a part that has no place for them."""
    generator = torch.Generator().manual_seed(recipe.seed)
    for part, shape in recipe.lora.items():
        if not put_adapters(model, part, Lora(shape.rank, shape.alpha, shape.dropout), generator):
            raise UsageError(f"lora.{part}: this model has no linear layers there")


def base_of(start: Start) -> str:
    """What adapters name as the model they belong to: an absolute path, or a name on the hub."""
    name = str(start.folder) if start.join is None else start.join.language
    return os.path.abspath(name) if os.path.isdir(name) else name


def _loaded(recipe: Recipe, how: Arithmetic) -> tuple[Llava, Processor]:
    start = recipe.start
    if start.folder is not None:
        found = load_checkpoint(start.folder, dtype=torch.float32, how=how)
        if found.description.quantization is not None:
            raise ModelError(
                f"{start.folder} is quantized, and integers do not learn",
                hint="start from the checkpoint that it was made from; a table quantize makes integers below adapters",
            )
        return found.model, found.processor
    assert start.join is not None
    if recipe.lora and open_checkpoint(start.join.language).description.model.vision is not None:
        raise UsageError(
            f"{start.join.language} sees already, and beside adapters its own tower would be taken for the joined one",
            hint="name a language model alone, or set start.folder to train upon the model as it is",
        )
    made = start_model(start.join.language, start.join.vision, joint_of(recipe), dtype=torch.float32, how=how)
    if made.tokenizer is None:
        raise ModelError(f"{start.join.language} has no tokenizer", hint="copy its tokenizer files into the folder")
    template = get_template(recipe.template)
    return made.model, Processor(made.tokenizer, template, made.description.preprocessing)


def _cut(own: Preprocessing, mode: Mode) -> Preprocessing:
    if mode == own.mode:
        return own
    if mode != "anyres":
        return replace(own, mode=mode, merge="flat", pinpoints=(), most_tiles=None)
    pinpoints = tuple((columns * own.image_size, rows * own.image_size) for columns, rows in MOSAICS)
    return replace(own, mode=mode, merge="spatial_unpad", pinpoints=pinpoints)


def _add_newline(model: Llava, seed: int) -> None:
    """What stands behind each row of a mosaic, drawn as LLaVA draws it."""
    size = model.config.language.hidden_size
    drawn = torch.randn(size, generator=torch.Generator().manual_seed(seed)) * size**-0.5
    model.config = replace(model.config, has_newline=True)
    model.image_newline = nn.Parameter(drawn.to(model.device))
