"""Training on a terminal: a bar, and below it what matters now. Wherever it is no terminal, lines of the log do."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pumice.checkpoint.memory import gib
from pumice.train.meter import duration

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from pumice.train.watch import Moment

_EVERY = 0.1  # seconds between pictures; a thread that draws would take time from the small calls of a step


class Bar:
    """Draws on ``console`` while it is open. ``peak_rate``: the highest learning rate of the recipe."""

    def __init__(self, console: Console, peak_rate: float) -> None:
        from rich.live import Live

        self._console, self._rate = console, peak_rate
        self._drawn = 0.0
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Bar:
        self._live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.__exit__(None, None, None)

    def show(self, moment: Moment) -> None:
        """After a step; most are not drawn."""
        now = time.monotonic()
        if now - self._drawn >= _EVERY or moment.step == moment.steps:
            self._drawn = now
            self._live.update(self._picture(moment), refresh=True)

    def line(self, line: str) -> None:
        """A line of the log, or a remark. What training gave is in the bar; checks and remarks stay to be read."""
        if not line.startswith("{"):
            self._console.print(line, markup=False, highlight=False)
            return
        values = json.loads(line)
        if "held_out_loss" in values:
            for text in told(values):
                self._console.print(text, markup=False, highlight=False)

    def _picture(self, moment: Moment) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        top = Table.grid(padding=(0, 1), expand=True)
        top.add_column(no_wrap=True)
        top.add_column(ratio=1)
        top.add_column(no_wrap=True)
        left = moment.figures.get("seconds_left")
        top.add_row(
            f"step {moment.step} of {moment.steps}",
            ProgressBar(total=moment.steps, completed=moment.step),
            "" if left is None else f"{duration(left)} left",
        )
        return Group(top, Text(figures_text(moment, self._rate)))


def figures_text(moment: Moment, peak_rate: float) -> str:
    """What a step gave and how fast it goes, in words."""
    metrics, figures = moment.metrics, moment.figures
    said = [f"loss {metrics.loss:.3f}", f"accuracy {metrics.accuracy:.1%}", f"rate {moment.share * peak_rate:.2g}"]
    for name, form in (
        ("tokens_per_s", "{:,.0f} tokens/s"),
        ("images_per_s", "{:.1f} images/s"),
        ("mfu", "MFU {:.0%}"),
    ):
        value = figures.get(name)
        if value is not None:
            said.append(form.format(value))
    memory = figures.get("memory_bytes")
    if memory is not None:
        said.append(f"memory {gib(int(memory))}")
    return "  ".join(said)


def told(line: Mapping[str, object]) -> list[str]:
    """A check against held-out data in words, the samples' answers below it."""
    best = ", the best so far" if line["best"] else ""
    head = f"step {line['step']}: held-out loss {line['held_out_loss']}, accuracy {line['held_out_accuracy']}{best}"
    answers = line["answers"]
    assert isinstance(answers, list)
    return [head, *(f"  {number}. {text!r}" for number, text in enumerate(answers, start=1))]


def open_bar(peak_rate: float) -> Bar | None:
    """A bar on standard error, if that is a terminal that can draw one."""
    from rich.console import Console

    console = Console(file=sys.stderr)
    return Bar(console, peak_rate) if console.is_terminal and not console.is_dumb_terminal else None
