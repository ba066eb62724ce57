"""What a recipe starts from, as shapes: read from configs alone, or told by the caller where the files are not here."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pumice.checkpoint.load import needed_tensors, processor_of
from pumice.checkpoint.sources import Source, open_checkpoint
from pumice.checkpoint.start import join
from pumice.data.packing import HEAD, Row
from pumice.errors import ModelError, UsageError
from pumice.images.config import Preprocessing
from pumice.images.grid import plan
from pumice.model.config import ConnectorConfig, LanguageConfig, LlavaConfig, VisionConfig
from pumice.model.llava import Llava
from pumice.processor import Processor
from pumice.prompts.encode import IMAGE_ID
from pumice.quantize.frozen import FrozenLinear
from pumice.quantize.grouped import Grouped
from pumice.quantize.swap import quantize_layers
from pumice.train.initial import config_of
from pumice.train.recipe import Recipe
from pumice.train.run import VOCABULARY, new_processor
from pumice.train.starting import frozen_plan, joint_of, suit

#: Scenes from which an estimate learns the tokenizer of a random start, which then splits words a little more.
FEW_SCENES = 400
_TOWER = VisionConfig(336, 14, 1024, 4096, 24, 16)


def _llava(hidden: int, intermediate: int, layers: int, heads: int, kv_heads: int = 0) -> LlavaConfig:
    words = LanguageConfig(32000, hidden, intermediate, layers, heads, kv_heads or heads, hidden // heads)
    return LlavaConfig(words, _TOWER, ConnectorConfig("mlp", 2))


#: Published models, by the names that ``Told.shape`` takes.
SHAPES: Mapping[str, LlavaConfig] = {
    "llava-1.5-7b": _llava(4096, 11008, 32, 32),
    "llava-1.5-13b": _llava(5120, 13824, 40, 40),
    "llava-1.6-mistral-7b": _llava(4096, 14336, 32, 32, 8),
}


@dataclass(frozen=True)
class Told:
    """What the caller says of files that are not here; None is not told.

    shape: of the model, one of ``SHAPES``. rows: of the data; tokens: of a row, its pictures included; images: pictures
    of a row; longest: tokens of the longest rows, as long as all others if that is not told.
    """

    shape: str | None = None
    rows: int | None = None
    tokens: int | None = None
    images: int | None = None
    longest: int | None = None

    @property
    def of_data(self) -> bool:
        """Whether anything is said about rows."""
        return not (self.rows is self.tokens is self.images is self.longest is None)


NOTHING = Told()


@dataclass(frozen=True)
class Opening:
    """The model as it will learn, and how it reads; None if only its shape is known.

    pictures: how it cuts them. mapped: bytes of files that are in memory beside the weights while these are made.
    """

    model: Llava
    processor: Processor | None
    pictures: Preprocessing | None
    mapped: int


def open_start(recipe: Recipe, told: Told) -> Opening:
    """Within a context of ``shapes_only``: what ``recipe`` starts from. Nothing is fetched from the hub.

    Raises: ModelError for a start that is not here and not told; UsageError for an unknown shape.
    """
    start = recipe.start
    if start.vision is not None:
        with tempfile.TemporaryDirectory() as passing:
            own = recipe.output / VOCABULARY
            processor = new_processor(recipe, own if own.is_dir() else Path(passing), FEW_SCENES)
        return Opening(Llava(config_of(start)), processor, processor.preprocessing, 0)
    if told.shape is not None:
        config = _known(told.shape)
        assert config.vision is not None
        pictures = Preprocessing(config.vision.image_size, config.vision.patch_size)
        return _suited(recipe, config, None, pictures, stored=torch.float16.itemsize)
    source = _opened(recipe)
    name = str(start.folder) if start.join is None else start.join.language
    processor = processor_of(source, recipe.template, name)
    opening = _suited(recipe, source.description.model, processor, processor.preprocessing)
    needed = needed_tensors(source.tensors, source.description.model).values()
    copied = sum(each.size * each.dtype.itemsize for each in needed if each.mapped and each.dtype != torch.float32)
    return Opening(opening.model, opening.processor, opening.pictures, copied)


def _known(name: str) -> LlavaConfig:
    if name not in SHAPES:
        raise UsageError(f"unknown shape {name!r}", hint=f"known are {', '.join(SHAPES)}")
    return SHAPES[name]


def _opened(recipe: Recipe) -> Source:
    """Configs and tokenizer; of tensors no more than their names and sizes."""
    start = recipe.start
    names = [str(start.folder)] if start.join is None else [start.join.language, start.join.vision]
    try:
        if start.join is not None:
            return join(start.join.language, start.join.vision, joint_of(recipe), offline=True)
        assert start.folder is not None
        return open_checkpoint(start.folder, offline=True)
    except ModelError as error:
        absent = [name for name in names if not Path(name).is_dir()]
        if not absent:
            raise
        raise ModelError(
            f"the recipe starts from {' and '.join(absent)}, which is not on this disk",
            hint=f"an estimate fetches nothing; tell the shape: --shape {'|'.join(SHAPES)}",
        ) from error


def _suited(
    recipe: Recipe, config: LlavaConfig, processor: Processor | None, own: Preprocessing | None, stored: int = 0
) -> Opening:
    """stored: bytes of each weight in the files that are only told of."""
    model = Llava(config)
    mapped = stored * sum(parameter.numel() for parameter in model.parameters())
    plan = frozen_plan(recipe)
    if plan is not None:
        for layer in quantize_layers(model, plan, frozen=True).values():
            assert isinstance(layer, FrozenLinear)
            rows, columns, how = layer.out_features, layer.in_features, layer.how
            kind = torch.uint8 if how.bits == 4 else torch.int8
            values = torch.empty((rows, columns * how.bits // 8), dtype=kind)
            scales = torch.empty((rows, columns // how.group), dtype=torch.float16)
            layer.fill(Grouped(values, scales, how), model.device)
    pictures = suit(model, own, recipe)
    if processor is not None:
        processor = Processor(processor.tokenizer, processor.template, pictures, processor.image_wrap)
    return Opening(model.train(), processor, pictures, mapped)


def told_rows(told: Told, how: Preprocessing | None, batch: int) -> ToldRows:
    """The data that the caller tells of. Raises: UsageError if too little is told, or what cannot be."""
    if told.rows is None or told.tokens is None:
        raise UsageError("data that is told of needs its number of rows and their tokens", hint="--rows N --tokens N")
    longest = told.longest or told.tokens
    images = 1 if told.images is None else told.images
    if longest < told.tokens or told.rows < batch:
        raise UsageError(f"told are {told.rows} rows of {told.tokens} tokens, at most {longest}, {batch} rows a step")
    return ToldRows(told.rows, told.tokens, longest, images, how)


@dataclass(frozen=True)
class ToldRows:
    """Rows of which only the size is known: ``images`` pictures in front, then words that are all supervised."""

    count: int
    tokens: int
    longest: int
    images: int
    how: Preprocessing | None

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Row:
        return self.row(self.tokens)

    def size(self, index: int) -> int:
        """All are alike."""
        return 0

    def row(self, length: int) -> Row:
        """One of ``length`` tokens. Raises: UsageError if there is no room for pictures and a word."""
        how, grids, tiles = self.how, [], []
        for _ in range(0 if how is None else self.images):
            assert how is not None
            # a square picture, as many tiles as are made of it
            grid = plan(2 * how.image_size, 2 * how.image_size, how, alone=self.images == 1)
            grids.append(grid)
            tiles.append(np.zeros((grid.tiles, 3, how.image_size, how.image_size), dtype=np.float32))
        seen = sum(grid.tokens for grid in grids)
        if length < seen + 2:
            raise UsageError(
                f"a row of {length} tokens has no room for words: its {self.images} pictures have {seen}",
                hint="tokens are told with those of the pictures",
            )
        words = length - seen
        return Row(
            ids=(IMAGE_ID,) * seen + (1,) * words,
            positions=tuple(range(length)),
            groups=(HEAD,) * length,
            sources=tuple(range(seen, length - 1)),
            targets=(1,) * (words - 1),
            tiles=tuple(tiles),
            grids=tuple(grids),
        )
