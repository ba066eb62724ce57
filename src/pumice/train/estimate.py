"""What a recipe will take, before anything is trained: weights, steps, tokens, memory, time and money."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from pumice.checkpoint.load import processor_of
from pumice.checkpoint.memory import gib
from pumice.checkpoint.sources import open_checkpoint
from pumice.model.config import LlavaConfig
from pumice.model.llava import Llava
from pumice.processor import Processor
from pumice.train.arithmetic import Work, size_of
from pumice.train.initial import config_of
from pumice.train.loader import WINDOW, order
from pumice.train.meter import duration
from pumice.train.parts import OWNER, choose_parts
from pumice.train.portions import portion
from pumice.train.recipe import Recipe
from pumice.train.rehearsal import Rehearsal, rehearse, shapes_only, tensors_in
from pumice.train.run import VOCABULARY, Trainee, make_task, new_processor, require_rows

#: Rows that are looked at, at most; a whole batch at least.
MOST_ROWS = 512
#: Scenes from which an estimate learns the tokenizer of a random start, which then splits words a little more.
FEW_SCENES = 400
#: Windows of batches that a worker prepares ahead (torch's default).
AHEAD = 2
#: The share of the best possible speed that training reaches where nobody has measured it.
UTILISATION = 0.35


@dataclass(frozen=True)
class PartSize:
    """Weights of a part, and how many of them learn."""

    name: str
    weights: int
    learning: int


@dataclass(frozen=True)
class Estimate:
    """looked_at: rows that all the rest is concluded from. tokens, operations: of the whole training.

    waiting: bytes of batches that are ready, and of held-out rows. length, longest: tokens of a row.
    """

    parts: tuple[PartSize, ...]
    rows: int
    batch: int
    epochs: int
    steps: int
    looked_at: int
    length: float
    longest: int
    tokens: float
    images: float
    operations: float
    rehearsal: Rehearsal
    waiting: int

    @property
    def peak(self) -> int:
        """Bytes that are held at once, without the interpreter and libraries."""
        return self.rehearsal.peak + self.waiting


def estimate(recipe: Recipe) -> Estimate:
    """Read some rows of ``recipe`` and rehearse a step on the largest of their batches. Nothing is written.

    Raises: what ``train`` would raise for a recipe that cannot be run.
    """
    shapes = shapes_only()
    with _start(recipe) as (config, processor), shapes:
        model = Llava(config)
        task, source = make_task(recipe, Trainee(model, processor))
    require_rows(recipe, source)
    groups = choose_parts(task, model, recipe.parts, recipe.weight_decay)
    wanted = max(recipe.batch, min(MOST_ROWS, WINDOW * recipe.batch) // recipe.batch * recipe.batch)
    rows = sorted((source[each] for each in order(len(source), 0, recipe.seed)[:wanted]), key=_tokens)
    stretches = (rows[at : at + recipe.batch] for at in range(0, len(rows), recipe.batch))
    cut = [portion(task.collate, each, micro=recipe.micro, pack=recipe.pack).batches for each in stretches]
    batches = [each for each in cut if each]
    sizes = [size_of(part) for each in batches for part in each]
    work = Work(model)
    bytes_each = sum(tensor.nbytes for each in batches for tensor in tensors_in(each)) / len(batches)
    steps = len(source) // recipe.batch * recipe.epochs
    rehearsal = rehearse(shapes, task, groups, max(batches, key=_weight), recipe.clip)
    lengths = [_tokens(row) for row in rows]
    return Estimate(
        parts=_parts(model, task),
        rows=len(source),
        batch=recipe.batch,
        epochs=recipe.epochs,
        steps=steps,
        looked_at=len(rows),
        length=sum(lengths) / len(rows),
        longest=max(lengths),
        tokens=sum(each.tokens for each in sizes) / len(batches) * steps,
        images=sum(each.images for each in sizes) / len(batches) * steps,
        operations=sum(work.operations(each) for each in sizes) / len(batches) * steps,
        rehearsal=rehearsal,
        waiting=_waiting(recipe, bytes_each, steps, rehearsal.batch),
    )


@contextmanager
def _start(recipe: Recipe) -> Iterator[tuple[LlavaConfig, Processor]]:
    """Shapes of the model and how it reads; no weight is."""
    start = recipe.start
    if start.folder is not None:
        source = open_checkpoint(start.folder)
        yield source.description.model, processor_of(source, recipe.template, str(start.folder))
        return
    own = recipe.output / VOCABULARY
    with tempfile.TemporaryDirectory() as passing:
        folder = own if own.is_dir() else Path(passing)
        yield config_of(start), new_processor(recipe, folder, FEW_SCENES)


def _tokens(row: Any) -> int:
    return len(getattr(row, "ids", ()))


def _weight(batch: Any) -> int:
    return sum(tensor.nbytes for tensor in tensors_in(batch))


def _parts(model: Llava, task: nn.Module) -> tuple[PartSize, ...]:
    taught = {id(parameter) for parameter in task.parameters()}
    sizes = {str(name): PartSize(name, 0, 0) for name in OWNER.values()}
    for name, parameter in model.named_parameters():
        part, count = sizes[OWNER[name.split(".")[0]]], parameter.numel()
        learning = count if parameter.requires_grad and id(parameter) in taught else 0
        sizes[part.name] = replace(part, weights=part.weights + count, learning=part.learning + learning)
    return tuple(sizes.values())


def _waiting(recipe: Recipe, bytes_each: float, steps: int, batch: int) -> int:
    """Windows of batches that are ready, but for the ``batch`` that a step works on; and rows that are held out."""
    window = min(WINDOW, steps) * bytes_each
    held = 0 if recipe.held_out is None else recipe.held_out.rows
    return int((1 + AHEAD * recipe.workers) * window - batch + held / recipe.batch * bytes_each)


@dataclass(frozen=True)
class Machine:
    """peak: operations a second at best; utilisation: the share of it that training reaches; price: of an hour."""

    peak: float
    utilisation: float = UTILISATION
    price: float | None = None

    def seconds(self, operations: float) -> float:
        return operations / (self.peak * self.utilisation)

    def cost(self, operations: float) -> float | None:
        return None if self.price is None else self.price * self.seconds(operations) / 3600


def describe(found: Estimate, machine: Machine) -> str:
    """For people to read, a line each."""
    memory = found.rehearsal
    lines = [f"{'part':<10} {'weights':>9} {'learning':>9}"]
    everything = PartSize("all", sum(p.weights for p in found.parts), sum(p.learning for p in found.parts))
    for part in (*found.parts, everything):
        lines.append(f"{part.name:<10} {_short(part.weights):>9} {_short(part.learning):>9}")
    words = f", {found.length:.0f} tokens each, at most {found.longest}" if found.longest else ""
    lines += [
        f"data       {found.rows} rows{words} ({found.looked_at} looked at)",
        f"steps      {found.steps} of {found.batch} rows, {found.epochs} times over the data",
        f"tokens     {_short(found.tokens)}, and {_short(found.images)} pictures",
        f"memory     {gib(found.peak)}: weights {gib(memory.weights)}, gradients {gib(memory.gradients)}, moments "
        f"{gib(memory.moments)}, activations {gib(memory.activations)}, batches {gib(memory.batch + found.waiting)}",
        "           besides, Python and PyTorch take about 0.3 GiB, and each worker process 0.1 GiB",
        f"operations {found.operations:.2e}, forward and backward",
        f"time       {duration(machine.seconds(found.operations))} at {machine.utilisation:.0%} of "
        f"{machine.peak / 1e9:.0f} GFLOP/s",
    ]
    cost = machine.cost(found.operations)
    if cost is not None:
        lines.append(f"cost       {cost:.2f} at {machine.price:.2f} an hour")
    return "\n".join(lines)


def summary(found: Estimate, machine: Machine) -> dict[str, Any]:
    """For programs to read. Memory in bytes, time in seconds."""
    return {
        **asdict(found),
        "peak": found.peak,
        "seconds": machine.seconds(found.operations),
        "cost": machine.cost(found.operations),
        "machine": asdict(machine),
    }


def _short(number: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.1f} {letter}"
    return f"{number:.0f}"
