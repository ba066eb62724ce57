"""Who looks on while a recipe is trained: a meter, the examiner with its held-out data, trackers, a display."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch

from pumice.data.records import read_records
from pumice.errors import UsageError
from pumice.model.llava import Llava
from pumice.processor import Processor
from pumice.prompts.conversation import Conversation
from pumice.train.arithmetic import Work
from pumice.train.held_out import Examiner, Keeper, answer, make_sample
from pumice.train.loader import RowSource
from pumice.train.meter import Meter, measured_peak
from pumice.train.patches import PatchRows
from pumice.train.ranks import Ranks
from pumice.train.recipe import Recipe
from pumice.train.rows import RecordRows, WorldRows, row_limit
from pumice.train.step import InstructionTuning, Task
from pumice.train.trackers import open_trackers
from pumice.train.watch import Display, Watch


def make_watch(
    recipe: Recipe,
    task: Task,
    model: Llava,
    processor: Processor,
    ranks: Ranks,
    save_best: Callable[[], None],
    checked: Callable[[], AbstractContextManager[None]] = nullcontext,
    display: Display | None = None,
) -> Watch:
    """Everybody that ``recipe`` asks for; which parts of the model learn must be chosen already.

    save_best: keeps the present model as the best so far. checked: within it the model is as it is checked and kept.
    Of several processes all examine, the first does the rest.
    Raises: UsageError for held-out data that training sees as well or that does not fit, or a tracker that is not
        installed.
    """
    held, examiner, keeper = recipe.held_out, None, None
    if held is not None:
        source, asked = held_out_data(recipe, processor, row_limit(recipe, model.config))
        samples = [make_sample(each, processor) for each in asked]
        speak = partial(answer, model, processor.tokenizer, limit=held.tokens)
        together = recipe.micro or max(1, recipe.batch // ranks.count)
        examiner = Examiner(task, source, together, ranks, samples, speak, pack=recipe.pack)
        if ranks.first or ranks.sharded:  # weights that are spread are kept together
            keeper = Keeper(recipe.output, save_best, writes=ranks.first)
    every = 1 if held is None else held.every
    if not ranks.first:
        return Watch(examiner=examiner, keeper=keeper, every=every, checked=checked)
    peak = recipe.peak_flops or measured_peak(model.device, getattr(torch, recipe.dtype))
    seen = task.seen if isinstance(task, InstructionTuning) else None
    meter = Meter(Work(model), peak, model.device, ranks.count, None if seen is None else lambda: seen.made)
    return Watch(meter, examiner, keeper, every, display, tuple(open_trackers(recipe)), checked)


def held_out_data(recipe: Recipe, processor: Processor, limit: int = 0) -> tuple[RowSource, list[Conversation]]:
    """Rows that training does not see, and conversations to be asked in words; none of the latter about patches.

    limit: tokens that a record may have, as in training; 0 is no limit.
    """
    held, world = recipe.held_out, recipe.world
    assert held is not None
    if held.records is not None:
        assert held.images is not None
        records = read_records(held.records, held.images)[: held.rows]
        if recipe.files is not None:
            learned = {
                each.conversation: each.where
                for part in recipe.files
                for each in read_records(part.records, part.images)
            }
            for record in records:
                if record.conversation in learned:
                    raise UsageError(
                        f"{record.where} is held out, but also trained on: {learned[record.conversation]}",
                        hint="take it out of one of the two files",
                    )
        return RecordRows(records, processor, limit), [each.conversation for each in records[: held.samples]]
    assert world is not None
    world = world.model_copy(update={"first": held.first, "scenes": held.rows})
    if world.task == "patches":
        assert processor.preprocessing is not None
        return PatchRows(world, processor.preprocessing, world.sizes), []
    rows = WorldRows(world, processor, world.sizes, split="held_out")
    spoken = [rows.conversations(index)[1] for index in range(min(held.samples, held.rows))]
    # Of each scene another conversation: the first are all of the same kind.
    return rows, [said[index % len(said)] for index, said in enumerate(spoken)]
