"""What ``pumice generate`` reads from its options, and what it prints: progress, an estimate, tables at the end."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pumice.cli.streams import cancelling
from pumice.errors import UsageError

if TYPE_CHECKING:
    from pumice.datagen.generation import Ended, Generation
    from pumice.datagen.paying import Paid
    from pumice.datagen.samples import Json
    from pumice.datagen.spread import Where
    from pumice.datagen.tally import Tally
    from pumice.paid.batch_server import BatchState

_MAX_TOKENS = 1024
_SHOW_S, _SAY_S = 0.1, 60.0
#: What a request says of the longest answer, in the words of different servers.
_LONGEST = ("max_tokens", "max_completion_tokens")


@dataclass(frozen=True)
class TeacherFlags:
    """Options that only make sense with a paid teacher, as they were given."""

    teacher: str | None
    teacher_model: str | None
    prompts: Path | None
    max_tokens: int | None
    temperature: float | None
    set: tuple[str, ...]
    budget: float | None
    prices: Path | None
    rpm: int | None
    tpm: int | None
    concurrency: int | None
    timeout: float | None
    batch: bool

    def paid(self) -> Paid | None:
        """The teacher that they describe; None if there is to be none. Raises UsageError."""
        if self.teacher is None:
            given = [
                each.name
                for each in fields(self)
                if getattr(self, each.name) not in ((), None) and getattr(self, each.name) is not False
            ]
            if given:
                flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
                raise UsageError(f"{flags}: without --teacher, nobody is asked", hint="name its URL with --teacher")
            return None
        if not self.teacher_model:
            raise UsageError("--teacher needs --teacher-model", hint="the name under which that server has the model")
        from pumice.datagen.paying import Paid
        from pumice.datagen.prompting import PromptSet
        from pumice.paid.keys import key_of_environment
        from pumice.paid.limits import Limits
        from pumice.paid.prices import load_prices
        from pumice.remote import base_url

        url = base_url(self.teacher, "--teacher")
        if self.timeout is not None and not 0 < self.timeout < math.inf:
            raise UsageError(f"--timeout: expected seconds above 0, found {self.timeout:g}")
        return Paid(
            url,
            self.teacher_model,
            PromptSet.load(self.prompts),
            self._parameters(),
            key_of_environment(),
            Limits(self.rpm, self.tpm),
            self.budget,
            load_prices(self.prices),
            self.concurrency or 64,
            self.timeout or 300.0,
            self.batch,
        )

    def _parameters(self) -> dict[str, Json]:
        found: dict[str, Json] = {}
        for each in self.set:
            name, equals, value = each.partition("=")
            try:
                found[name.strip()] = json.loads(value)
            except ValueError:
                equals = ""
            if not equals or not name.strip():
                raise UsageError(
                    f"--set: expected NAME=JSON, found {each!r}",
                    hint="for example --set top_p=0.9 or --set stop='[\"===\"]'",
                )
        if self.temperature is not None:
            found["temperature"] = self.temperature
        if self.max_tokens is not None or not any(name in found for name in _LONGEST):
            found["max_tokens"] = self.max_tokens or _MAX_TOKENS
        return found


def where(workers: int | None, ray: bool, teacher: str | None) -> Where:
    """Where the offline teacher works. Raises UsageError for places that exclude each other."""
    if teacher is not None and (ray or workers is not None):
        raise UsageError(
            "--workers and --ray are for the offline teacher: one process asks a paid one, and keeps its limits",
            hint="--concurrency says how many requests are in flight",
        )
    if ray and workers is not None:
        raise UsageError("--workers and --ray exclude each other")
    return "ray" if ray else workers or 1


def run(generation: Generation, quiet: bool) -> Tally:
    """Runs it, showing how far it is, and prints the tables. Raises KeyboardInterrupt after an orderly end."""
    from pumice.datagen.generation import generate

    pressed = False

    def press() -> None:
        nonlocal pressed
        pressed = True
        print("finishing what is under way; Ctrl-C again drops it", file=sys.stderr, flush=True)

    with cancelling(press), _progress(generation.supply.total, quiet) as (watch, told, say):
        if generation.paid is not None:
            generation = replace(generation, paid=replace(generation.paid, say=say))
        ended = generate(generation, watch=watch, told=told, stop=lambda: pressed)
    _tables(generation, ended)
    if not ended.finished:
        print(f"stopped; the same command goes on with {generation.folder}", file=sys.stderr)
        raise KeyboardInterrupt
    return ended.tally


def estimated(generation: Generation) -> None:
    """Prints what it would take; nothing is asked and nothing written."""
    from pumice.datagen.outlook import outlook
    from pumice.paid.prices import usd

    header = ("kind", "samples", "requests", "tokens in", "tokens out", "cost, about", "cost, at most")
    rows = [
        (
            each.name,
            *(f"{count:,}" for count in (each.samples, each.requests, each.tokens_in, each.tokens_out)),
            *(usd(cost) for cost in (each.cost, each.cost_at_most)),
        )
        for each in outlook(generation)
    ]
    _print_table(header, rows)
    if generation.paid is not None:
        paid = generation.paid
        times = f"in each of {generation.plan.tries} tries" if generation.plan.tries > 1 else "always"
        print(f"\nprices of {paid.prices.day(paid.model)}; at most: if answers are as long as allowed, {times}")
        if paid.prices.of(paid.model) is None:
            print(f"the model {paid.model} has no price; --prices gives it one", file=sys.stderr)


def _tables(generation: Generation, ended: Ended) -> None:
    """What was made, what was refused, what it cost, and where it lies."""
    from pumice.datagen.folder import RECORDS, REPORT
    from pumice.datagen.report import COUNTED, cost_facts, counts

    tally = ended.tally
    _print_table(COUNTED, counts(tally))
    if tally.refused:
        print()
        refused = [
            (reason, f"{count:,}", f"{tally.given_up.get(reason, 0):,}")
            for reason, count in tally.refused.most_common()
        ]
        _print_table(("refused because", "replies", "samples given up"), refused)
    if tally.missing:
        print(f"\n{tally.missing:,} scenes were left out, for there is no picture of them")
    print()
    left_out = {} if ended.idle else generation.supply.left_out  # idle, nobody has read them
    for what, count in left_out.items():
        print(f"left out of the annotations: {count:,} {what}")
    for name, what in cost_facts(tally, ended.totals):
        print(f"{name}: {what}")
    print(f"\n{generation.folder / RECORDS}\n{generation.folder / REPORT}")
    if ended.idle:
        print("nothing was left to do", file=sys.stderr)


def _print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """The first column to the left, numbers to the right; nothing is cut."""
    lines = [header, *rows]
    widths = [max(len(each[column]) for each in lines) for column in range(len(header))]
    for each in lines:
        print(
            "  ".join(
                text.rjust(width) if at else text.ljust(width)
                for at, (text, width) in enumerate(zip(each, widths, strict=True))
            ).rstrip()
        )


@contextmanager
def _progress(
    total: int | None, quiet: bool
) -> Iterator[tuple[Callable[[Tally], object], Callable[[BatchState], None], Callable[[str], None]]]:
    """A bar on stderr on a terminal; elsewhere a line every minute. Last, what says a sentence there."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    shown = not quiet and console.is_terminal
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("scenes"),
        TextColumn("{task.fields[made]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not shown) as bar:
        task = bar.add_task("", total=total, made="")
        said = time.monotonic()

        def watch(tally: Tally) -> None:
            nonlocal said
            now = time.monotonic()
            if shown and now - said > _SHOW_S:
                bar.update(task, completed=tally.scenes, made=_so_far(tally))
            elif not shown and not quiet and now - said > _SAY_S:
                print(f"{tally.scenes:,} scenes; {_so_far(tally)}", file=sys.stderr, flush=True)
            else:
                return
            said = now

        def told(state: BatchState) -> None:
            if shown:
                bar.update(task, description=f"batch {state.status}: {state.done:,} of {state.total:,}")

        def say(text: str) -> None:
            if not quiet:
                console.print(text, markup=False, highlight=False, soft_wrap=True)

        yield watch, told, say


def _so_far(tally: Tally) -> str:
    cost = f", ${tally.cost:,.2f}" if tally.cost else ""
    return f"{tally.samples:,} samples{cost}"
