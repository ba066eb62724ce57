"""From a recipe to a finished checkpoint folder: makes everything, then hands over to the loop."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from pumice.checkpoint.load import load_checkpoint
from pumice.checkpoint.save import save_checkpoint
from pumice.data.records import read_records
from pumice.errors import UsageError
from pumice.images.config import Preprocessing
from pumice.model.llava import Llava
from pumice.processor import Processor
from pumice.prompts.templates import get_template
from pumice.prompts.tokenizer import load_tokenizer
from pumice.train.initial import random_model
from pumice.train.loop import run_steps
from pumice.train.parts import choose_parts
from pumice.train.recipe import Recipe
from pumice.train.rows import RecordRows, RowSource, WorldRows
from pumice.train.vocabulary import build_tokenizer
from pumice.world.records import corpus

#: Scenes whose texts the tokenizer of a random start is learned from.
CORPUS_SCENES = 6000


@dataclass(frozen=True)
class Trainee:
    """The model that will learn, and how it reads."""

    model: Llava
    processor: Processor


def train(recipe: Recipe, show: Callable[[str], None] = print) -> Path:
    """Run ``recipe`` to its end, from its last saved state if there is one, and write the folder ``output/model``.

    Raises: UsageError for a recipe that cannot be run, ModelError for a start that cannot be loaded.
    """
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    trainee = prepare(recipe)
    source = _rows(recipe, trainee.processor)
    if len(source) < recipe.batch:
        raise UsageError(f"a batch of {recipe.batch} rows needs more data than the {len(source)} rows there are")
    groups = choose_parts(trainee.model, dict(recipe.parts), recipe.weight_decay)
    optimizer = torch.optim.AdamW(groups, betas=(0.9, recipe.beta2), fused=True)
    trainee.model.train()
    for line in run_steps(trainee.model, optimizer, source, recipe):
        show(line)
    target = recipe.output / "model"
    save_checkpoint(trainee.model.eval(), trainee.processor, target)
    return target


def prepare(recipe: Recipe) -> Trainee:
    """The model with its starting weights, and its processor with the recipe's template."""
    start = recipe.start
    template = get_template(recipe.template)
    if start.folder is not None:
        found = load_checkpoint(start.folder, dtype=torch.float32)
        reader = found.processor
        # Memory-mapped weights are read-only: training needs its own copy.
        found.model.load_state_dict({k: v.clone() for k, v in found.model.state_dict().items()}, assign=True)
        return Trainee(found.model, Processor(reader.tokenizer, template, reader.preprocessing, reader.image_wrap))
    assert start.vision is not None and start.language is not None
    folder = recipe.output / "tokenizer"
    if not (folder / "tokenizer.json").is_file():
        texts = itertools.chain([get_template("vicuna_v1").system or ""] * 100, corpus(CORPUS_SCENES))
        build_tokenizer(texts, start.language.vocab_size, folder)
    tokenizer = load_tokenizer(folder)
    if tokenizer.size > start.language.vocab_size:
        raise UsageError(f"the tokenizer has {tokenizer.size} tokens, the model room for {start.language.vocab_size}")
    how = Preprocessing(start.vision.image_size, start.vision.patch_size, mode="pad")
    return Trainee(random_model(start, recipe.seed), Processor(tokenizer, template, how))


def _rows(recipe: Recipe, processor: Processor) -> RowSource:
    if recipe.world is not None:
        return WorldRows(recipe.world, processor)
    assert recipe.files is not None
    return RecordRows(read_records(recipe.files.records, recipe.files.images), processor)
