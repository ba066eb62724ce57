"""Batches in, updated weights out; knows nothing of how model and data were made."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import nn

from pumice.train.loader import Order, RowSource, batches
from pumice.train.portions import Portions, portion
from pumice.train.ranks import ALONE, Ranks
from pumice.train.recipe import Recipe
from pumice.train.schedule import rate_at
from pumice.train.state import Progress, fingerprint, load_state, save_state
from pumice.train.step import Metrics, Task, take_step
from pumice.train.watch import UNWATCHED, Watch

LOG = "log.jsonl"


@dataclass
class Log:
    """Lines of JSON in the output folder, one for every ``every`` steps; those who watch add to them and get them."""

    path: Path
    every: int
    started: float
    watch: Watch = UNWATCHED
    tokens: int = 0
    rows: int = 0
    skipped: int = 0
    dropped: int = 0
    cut: int = 0

    def add(self, step: int, steps: int, share: float, metrics: Metrics, sizes: Sequence[float]) -> str | None:
        """Count one step; returns the line that was written, if one was due. sizes: rows learned from, dropped, cut."""
        self.tokens += metrics.count
        self.rows += int(sizes[0])
        self.dropped += int(sizes[1])
        self.cut += int(sizes[2])
        self.skipped += not metrics.applied
        if step % self.every and step != steps:
            return None
        now = time.monotonic()
        line = self.write(
            {
                "step": step,
                "steps": steps,
                "loss": _rounded(metrics.loss, 4),
                "accuracy": round(metrics.accuracy, 4),
                "gradient_norm": _rounded(metrics.gradient_norm, 3),
                "rate": round(share, 4),
                "rows_per_s": round(self.rows / (now - self.started), 2),
                "predictions_per_s": round(self.tokens / (now - self.started)),
                "skipped": self.skipped,
                "dropped": self.dropped,
                "cut": self.cut,
                **self.watch.figures(),
            }
        )
        self.started, self.tokens, self.rows = now, 0, 0
        return line

    def write(self, values: Mapping[str, object]) -> str:
        """Add a line, whatever the step."""
        line = json.dumps(values)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        self.watch.tell(values)
        return line


def _rounded(value: float, digits: int) -> float | None:
    """JSON has no word for what is not finite but null."""
    return round(value, digits) if math.isfinite(value) else None


def run_steps(
    task: Task,
    optimizer: torch.optim.Optimizer,
    source: RowSource,
    recipe: Recipe,
    ranks: Ranks = ALONE,
    watch: Watch = UNWATCHED,
) -> Iterator[str]:
    """Train to the end of the recipe, from the saved state if there is one; yields log lines as they are written.

    Of several processes all read and write the state, and the first writes the log.
    """
    assert isinstance(task, nn.Module), "a task's weights are saved and resumed with it"
    begun = Progress(0, recipe.model_dump_json(), fingerprint(task))
    done = load_state(recipe.output, task, optimizer, begun, ranks=ranks)
    each_epoch = len(source) // recipe.batch
    steps = each_epoch * recipe.epochs
    recipe.output.mkdir(parents=True, exist_ok=True)
    log = Log(recipe.output / LOG, recipe.log_every, time.monotonic(), watch)
    watch.begin(done, steps)
    ranks.wait()  # a state that the first process writes must not be read as the one to start from
    for step, portions in enumerate(_from(task, source, recipe, done, ranks), start=done):
        torch.manual_seed(chance(recipe.seed, step, ranks))
        share = rate_at(step, steps, warmup=recipe.warmup, final=recipe.final_rate)
        metrics = take_step(task, optimizer, portions.batches, share, recipe.clip, ranks, getattr(torch, recipe.dtype))
        sizes = ranks.total([portions.rows, portions.dropped, portions.cut])
        watch.see(step + 1, steps, share, portions.batches, metrics)
        asking = time.monotonic()
        asked = watch.ask(step + 1, steps)  # before the state is saved: if this is killed, the next run asks again
        log.started += time.monotonic() - asking
        told = log.write(asked) if asked is not None and ranks.first else None
        if (step + 1) % recipe.save_every == 0 or step + 1 == steps:
            progress = replace(begun, step=step + 1)
            save_state(recipe.output, task, optimizer, progress, keep=recipe.keep_states, ranks=ranks)
        if not ranks.first:
            continue
        line = log.add(step + 1, steps, share, metrics, sizes)
        yield from (each for each in (told, line) if each is not None)


def chance(seed: int, step: int, ranks: Ranks) -> int:
    """What dropout is drawn with: of each step and process its own, and no other after a run was resumed."""
    return ((seed * 1_000_003 + step) * ranks.count + ranks.index) % 2**63


def _from(task: Task, source: RowSource, recipe: Recipe, done: int, ranks: Ranks) -> Iterator[Portions]:
    """What this process still has to train on, step by step, after ``done`` steps."""
    each_epoch = len(source) // recipe.batch
    cut = partial(portion, task.collate, micro=recipe.micro, pack=recipe.pack)
    for epoch in range(done // each_epoch, recipe.epochs):
        which = Order(recipe.batch // ranks.count, epoch, recipe.seed, ranks.index, ranks.count)
        skip = max(0, done - epoch * each_epoch)
        yield from batches(source, which, cut, skip=skip, workers=recipe.workers)
