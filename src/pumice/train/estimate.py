"""What a recipe will take, before anything is trained: weights, steps, tokens, memory and arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import nn

from pumice.data.batch import Batch
from pumice.errors import UsageError
from pumice.model.llava import Llava
from pumice.train.arithmetic import Work, size_of, sum_of, weights_of
from pumice.train.loader import WINDOW, Mixture, RowSource, order
from pumice.train.opening import NOTHING, Opening, Told, ToldRows, open_start, told_rows
from pumice.train.parts import OWNER
from pumice.train.portions import portion
from pumice.train.recipe import Recipe
from pumice.train.rehearsal import Rehearsal, rehearse, shapes_only, tensors_in
from pumice.train.run import TrainedTask, Trainee, make_optimizer, make_task, require_even, require_rows
from pumice.train.step import InstructionTuning

#: Rows that are looked at, at most; a whole batch at least.
MOST_ROWS = 512
#: Windows of batches that a worker prepares ahead (torch's default).
AHEAD = 2
#: Bytes of Python, PyTorch and its libraries before there is any model: measured, docs/training.md.
PROGRAM = 365 << 20


@dataclass(frozen=True)
class PartSize:
    """Weights of a part, and how many of them learn."""

    name: str
    weights: int
    learning: int


@dataclass(frozen=True)
class Estimate:
    """looked_at: rows that all the rest is concluded from, 0 if the caller told of them. tokens, images, operations: of
    the whole training, all processes together. length, longest: tokens of a row.

    Of each process in bytes: waiting, batches that are ready and held-out rows; sums, what processes exchange;
    loading, the weights and the files that they are read from.
    """

    parts: tuple[PartSize, ...]
    rows: int
    batch: int
    epochs: int
    processes: int
    steps: int
    looked_at: int
    length: float
    longest: int
    tokens: float
    images: float
    operations: float
    rehearsal: Rehearsal
    waiting: int
    sums: int
    loading: int

    @property
    def training(self) -> int:
        """Bytes of tensors that a process holds at once while it trains."""
        between = self.rehearsal.weights + self.rehearsal.moments + self.rehearsal.gradients + self.sums
        return max(self.rehearsal.peak, between) + self.waiting

    @property
    def peak(self) -> int:
        """Bytes that a process on a CPU holds at once, everything included."""
        return PROGRAM + max(self.training + self.rehearsal.gaps, self.loading)


def estimate(recipe: Recipe, told: Told = NOTHING, processes: int = 1) -> Estimate:
    """Read some rows of ``recipe`` and rehearse a step on the largest of their batches. Nothing is written or fetched.

    told: stands in for files that are not here. processes: that share every batch.
    Raises: what ``train`` would raise for a recipe that cannot be run.
    """
    require_even(recipe, processes)
    shapes = shapes_only()
    with shapes:
        opening = open_start(recipe, told)
        task, source = _task(recipe, opening, told)
    require_rows(recipe, source)
    optimizer = make_optimizer(recipe, task, opening.model)
    batch = recipe.batch // processes
    cut = partial(portion, task.collate, micro=recipe.micro, pack=recipe.pack)
    looked = _looked_at(recipe, source, batch)
    batches = [each for each in (cut(rows).batches for rows in looked) if each]
    if not batches:
        raise UsageError("none of the rows that were looked at fits the model", hint="raise max_tokens")
    work = Work(opening.model)
    heaviest: Sequence[Any] = max(batches, key=lambda parts: max(_weight(work, part) for part in parts))
    if isinstance(source, ToldRows):
        heaviest = cut([source.row(source.longest) for _ in range(batch)]).batches
    # The gradients of one portion are there while the next is worked on; a third one would change nothing.
    heaviest = sorted(heaviest, key=partial(_weight, work))
    idle = sum(tensor.nbytes for tensor in tensors_in(heaviest[:-2]))
    rehearsal = rehearse(shapes, task, optimizer, heaviest[-2:], recipe.clip, getattr(torch, recipe.dtype))
    each_epoch = len(source) // recipe.batch
    steps = each_epoch * recipe.epochs
    lengths = [_tokens(row) for rows in looked for row in rows if row is not None]
    whole = sum_of(size_of(part) for parts in batches for part in parts)
    share = processes / len(batches)
    later = replace(whole, tiles=0) if recipe.keep_features else whole
    bytes_each = sum(tensor.nbytes for parts in batches for tensor in tensors_in(parts)) / len(batches)
    return Estimate(
        parts=_parts(opening.model, task),
        rows=len(source),
        batch=recipe.batch,
        epochs=recipe.epochs,
        processes=processes,
        steps=steps,
        looked_at=0 if isinstance(source, ToldRows) else len(lengths),
        length=sum(lengths) / len(lengths),
        longest=source.longest if isinstance(source, ToldRows) else max(lengths),
        tokens=whole.tokens * share * steps,
        images=whole.images * share * steps,
        operations=share * (work.operations(whole) * each_epoch + work.operations(later) * (steps - each_epoch)),
        rehearsal=rehearsal,
        waiting=idle + _waiting(recipe, bytes_each, each_epoch, rehearsal.batch + idle),
        sums=rehearsal.gradients if processes > 1 else 0,
        loading=rehearsal.weights + opening.mapped,
    )


def _task(recipe: Recipe, opening: Opening, told: Told) -> tuple[TrainedTask, RowSource]:
    if told.of_data:
        if recipe.files is None:
            raise UsageError("rows are told of files; this recipe's are scenes, which are drawn")
        return InstructionTuning(opening.model), told_rows(told, opening.pictures, recipe.batch)
    absent = [str(each.records) for each in recipe.files or () if not each.records.is_file()]
    if absent:
        raise UsageError(
            f"the recipe learns from {' and '.join(absent)}, which is not on this disk",
            hint="tell what it holds: --rows N --tokens N; and --images and --longest, if these are not 1 and --tokens",
        )
    if opening.processor is None:
        raise UsageError("a shape has no tokenizer to read data with", hint="tell of the data: --rows N --tokens N")
    without = recipe.model_copy(update={"keep_features": False})  # they would be looked for on the disk
    return make_task(without, Trainee(opening.model, opening.processor))


def _looked_at(recipe: Recipe, source: RowSource, batch: int) -> list[Sequence[Any]]:
    """Rows of some steps of a process."""
    if isinstance(source, ToldRows):
        return [[source[0]] * batch]
    if isinstance(source, Mixture):
        source = source.epoch(0, recipe.seed)
    wanted = max(batch, min(MOST_ROWS, WINDOW * batch) // batch * batch)
    rows = sorted((source[each] for each in order(len(source), 0, recipe.seed)[:wanted]), key=_tokens)
    return [rows[at : at + batch] for at in range(0, len(rows), batch)]


def _tokens(row: Any) -> int:
    return len(getattr(row, "ids", ()))


def _weight(work: Work, part: Any) -> float:
    """Activations of a portion grow as its arithmetic does, padding included."""
    size = size_of(part)
    return work.operations(replace(size, tokens=part.ids.numel()) if isinstance(part, Batch) else size)


def _parts(model: Llava, task: nn.Module) -> tuple[PartSize, ...]:
    taught = set(map(id, task.parameters()))
    untaught = {name for name, weight in model.named_parameters() if id(weight) not in taught}
    sizes = {str(name): PartSize(name, 0, 0) for name in OWNER.values()}
    for name, count, learns in weights_of(model):
        part = sizes[OWNER[name.split(".")[0]]]
        learning = count if learns and name not in untaught else 0
        sizes[part.name] = replace(part, weights=part.weights + count, learning=part.learning + learning)
    return tuple(sizes.values())


def _waiting(recipe: Recipe, bytes_each: float, each_epoch: int, batch: int) -> int:
    """Windows of batches that are ready, but for the ``batch`` that a step works on; and rows that are held out."""
    ready = min((1 + AHEAD * recipe.workers) * WINDOW, each_epoch) * bytes_each
    held = 0 if recipe.held_out is None else recipe.held_out.rows / recipe.batch * bytes_each
    return max(0, int(ready - batch + held))
