"""From a recipe to a finished checkpoint folder: makes everything, then hands over to the loop."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from pumice.checkpoint.adapter import save_adapter
from pumice.checkpoint.save import save_checkpoint
from pumice.data.records import read_records
from pumice.errors import ModelError, UsageError
from pumice.images.config import Preprocessing
from pumice.model.device import choose_device
from pumice.model.llava import Llava
from pumice.processor import Processor
from pumice.prompts.templates import get_template
from pumice.prompts.tokenizer import load_tokenizer
from pumice.train.average import averaged, keep_average, use_average
from pumice.train.grounding import GroundedHeads
from pumice.train.initial import random_model
from pumice.train.loader import RowSource
from pumice.train.loop import LOG, run_steps
from pumice.train.parts import choose_parts
from pumice.train.patches import PatchReader, PatchRows
from pumice.train.ranks import Ranks, join_ranks, leave_ranks
from pumice.train.recipe import Recipe
from pumice.train.report import write_report
from pumice.train.rows import MixedRows, RecordRows, WorldRows, row_limit
from pumice.train.seen import SeenPictures
from pumice.train.sharding import shard
from pumice.train.starting import base_of, load_start
from pumice.train.step import InstructionTuning
from pumice.train.thrift import compile_parts, recompute_layers
from pumice.train.trackers import require_trackers
from pumice.train.vocabulary import build_tokenizer
from pumice.train.watch import Display
from pumice.train.watchers import make_watch
from pumice.world.records import corpus

#: Scenes whose texts the tokenizer of a random start is learned from.
CORPUS_SCENES = 6000
VOCABULARY = "tokenizer"
TOWER = "tower.safetensors"
BEST, BEST_TOWER = "best", "best.safetensors"

TrainedTask: TypeAlias = InstructionTuning | PatchReader


@dataclass(frozen=True)
class Trainee:
    """The model that will learn, and how it reads."""

    model: Llava
    processor: Processor


def train(recipe: Recipe, show: Callable[[str], None] = print, display: Display | None = None) -> Path:
    """Run ``recipe`` to its end, from its last saved state if there is one.

    show: gets every line of the log. display: gets every step. Processes that ``torchrun`` has started share every
    batch; then the first of them speaks and writes.
    Returns what was written: the folder ``output/model``, or after stage 0 the file ``output/tower.safetensors``.
    Raises: UsageError for a recipe that cannot be run, ModelError for a start that cannot be loaded.
    """
    require_trackers(recipe)
    ranks = join_ranks(choose_device(recipe.device))
    try:
        require_even(recipe, ranks.count)
        with _alone_in(recipe.output, ranks):
            return _train(recipe, show, ranks, display)
    finally:
        leave_ranks()


@contextmanager
def _alone_in(folder: Path, ranks: Ranks) -> Iterator[None]:
    """No other run may write there: workers live on when only their launcher is killed."""
    if not ranks.first:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise UsageError(
            f"another process is training into {folder}",
            hint="wait for its end, end it (launchers may leave workers behind), or choose another output",
        ) from error


def _train(recipe: Recipe, show: Callable[[str], None], ranks: Ranks, display: Display | None) -> Path:
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    if not ranks.first:
        ranks.wait()  # for the tokenizer, which the first process makes
    trainee = prepare(recipe)
    if ranks.first:
        ranks.wait()
    spread = None
    if recipe.shard and ranks.count > 1:
        ranks = replace(ranks, sharded=True)
        spread = shard(trainee.model, ranks)
    task, source = make_task(recipe, trainee)
    require_rows(recipe, source)
    if spread is None:
        task.to(ranks.device)
    optimizer = make_optimizer(recipe, task, trainee.model)
    if recipe.compile:
        compile_parts(trainee.model)

    def save(*, best: bool = False) -> None:
        model = trainee.model if spread is None else spread.whole(ranks)
        if ranks.first:
            assert model is not None
            _save(recipe, Trainee(model, trainee.processor), _result(recipe, best=best))

    @contextmanager
    def checked() -> Iterator[None]:
        with averaged(optimizer):
            yield
            if spread is not None:
                spread.settle()  # before the weights change again

    save_best = partial(save, best=True)
    watch = make_watch(recipe, task, trainee.model, trainee.processor, ranks, save_best, checked, display)
    try:
        for line in run_steps(task, optimizer, source, recipe, ranks, watch):
            show(line)
    finally:
        watch.close()
    use_average(optimizer)
    save()
    if ranks.first:
        write_report(recipe, trainee.model, recipe.output / LOG, _result(recipe), watch.samples, show)
    ranks.wait()
    return _result(recipe)


def make_optimizer(recipe: Recipe, task: TrainedTask, model: Llava) -> torch.optim.Optimizer:
    """What makes the parts learn that ``recipe`` names; the others are frozen. Raises: as ``choose_parts``."""
    groups = choose_parts(task, model, recipe.parts, recipe.weight_decay)
    recompute_layers(model, recipe.recompute)
    optimizer = torch.optim.AdamW(groups, betas=(0.9, recipe.beta2), fused=True)
    if recipe.average:
        keep_average(optimizer, recipe.average)
    return optimizer


def require_even(recipe: Recipe, processes: int) -> None:
    """Raises: UsageError for a batch that ``processes`` cannot share."""
    if recipe.batch % processes:
        raise UsageError(f"{processes} processes cannot share a batch of {recipe.batch} rows evenly")


def require_rows(recipe: Recipe, source: RowSource) -> None:
    """Raises: UsageError for data that does not fill a batch."""
    if len(source) < recipe.batch:
        raise UsageError(f"a batch of {recipe.batch} rows needs more data than the {len(source)} rows there are")


def prepare(recipe: Recipe) -> Trainee:
    """The model with its starting weights, and its processor with the recipe's template."""
    start = recipe.start
    if start.vision is None:
        return Trainee(*load_start(recipe))
    processor = new_processor(recipe, recipe.output / VOCABULARY, CORPUS_SCENES)
    model = random_model(start, recipe.seed)
    if start.tower is not None:
        _load_tower(model, start.tower)
    return Trainee(model, processor)


def new_processor(recipe: Recipe, folder: Path, scenes: int) -> Processor:
    """How a model that begins at random reads: with the tokenizer in ``folder``, or one learned from ``scenes``."""
    vision, language = recipe.start.vision, recipe.start.language
    assert vision is not None and language is not None
    if not (folder / "tokenizer.json").is_file():
        texts = itertools.chain([get_template("vicuna_v1").system] * 100, corpus(scenes))
        build_tokenizer(texts, language.vocab_size, folder)
    tokenizer = load_tokenizer(folder)
    if tokenizer.size > language.vocab_size:
        raise UsageError(f"the tokenizer has {tokenizer.size} tokens, the model room for {language.vocab_size}")
    how = Preprocessing(vision.image_size, vision.patch_size, mode="pad")
    return Processor(tokenizer, get_template(recipe.template), how)


def _load_tower(model: Llava, path: Path) -> None:
    assert model.vision is not None
    try:
        model.vision.load_state_dict(load_file(path))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"{path} is not a vision tower of the recipe's shape", hint="train stage 0 first") from error


def make_task(recipe: Recipe, trainee: Trainee) -> tuple[TrainedTask, RowSource]:
    """What ``recipe`` teaches, and the rows it learns from."""
    world, processor = recipe.world, trainee.processor
    if world is None:
        assert recipe.files is not None
        limit = row_limit(recipe, trainee.model.config)
        parts = [
            RecordRows(read_records(each.records, each.images), processor, limit, each.together)
            for each in recipe.files
        ]
        tower = trainee.model.vision if recipe.keep_features else None
        seen = None if tower is None else SeenPictures(recipe.output / "features", tower)
        rows = MixedRows(tuple(parts), tuple(each.weight for each in recipe.files))
        return InstructionTuning(trainee.model, seen=seen), rows
    if world.task == "patches":
        assert trainee.model.vision is not None and processor.preprocessing is not None
        return PatchReader(trainee.model.vision), PatchRows(world, processor.preprocessing, world.sizes)
    scenes = WorldRows(world, processor, world.sizes, grounded=recipe.grounding is not None)
    if recipe.grounding is None:
        return InstructionTuning(trainee.model), scenes
    layers = trainee.model.config.language.layers
    if max(recipe.grounding.layers) >= layers:
        raise UsageError(f"grounding.layers: the language model has {layers} layers, counted from 0")
    heads = GroundedHeads(trainee.model.language, recipe.grounding.layers)
    return InstructionTuning(trainee.model, heads, recipe.grounding.weight), scenes


def _is_stage_0(recipe: Recipe) -> bool:
    return recipe.world is not None and recipe.world.task == "patches"


def _result(recipe: Recipe, *, best: bool = False) -> Path:
    if _is_stage_0(recipe):
        return recipe.output / (BEST_TOWER if best else TOWER)
    return recipe.output / (BEST if best else "model")


def _save(recipe: Recipe, trainee: Trainee, path: Path) -> None:
    """Write the present weights, whole or not at all."""
    if recipe.lora:
        save_adapter(trainee.model, trainee.processor, path, base=base_of(recipe.start), overwrite=True)
    elif not _is_stage_0(recipe):
        save_checkpoint(trainee.model, trainee.processor, path, overwrite=True)
    else:
        assert trainee.model.vision is not None
        fresh = path.with_suffix(".new")
        save_file(trainee.model.vision.state_dict(), fresh)
        fresh.replace(path)
