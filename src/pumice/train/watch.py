"""Those who look on while a model learns. None of them changes what is learned."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

from pumice.train.held_out import Examiner, Keeper, Sample
from pumice.train.meter import Meter
from pumice.train.step import Metrics
from pumice.train.trackers import Tracker


@dataclass(frozen=True)
class Moment:
    """After a step: its number out of ``steps``, the share of the peak rate, what it gave, and the meter's figures."""

    step: int
    steps: int
    share: float
    metrics: Metrics
    figures: Mapping[str, float | None]


class Display(Protocol):
    """Something to look at."""

    def show(self, moment: Moment) -> None: ...


@dataclass(frozen=True)
class Watch:
    """All who look on; each may be absent.

    every: steps between checks against held-out data. checked: within it the model is as it is checked and kept.
    """

    meter: Meter | None = None
    examiner: Examiner | None = None
    keeper: Keeper | None = None
    every: int = 1
    display: Display | None = None
    trackers: tuple[Tracker, ...] = ()
    checked: Callable[[], AbstractContextManager[None]] = nullcontext

    def begin(self, done: int, steps: int) -> None:
        """Before the first step of this run, after ``done`` of earlier ones."""
        if self.keeper is not None:
            self.keeper.begin(done)
        if self.meter is not None:
            self.meter.begin(done, steps)

    def see(self, step: int, steps: int, share: float, batches: Sequence[Any], metrics: Metrics) -> None:
        """After every step."""
        if self.meter is not None:
            self.meter.count(batches)
        if self.display is not None:
            figures = {} if self.meter is None else self.meter.figures()
            self.display.show(Moment(step, steps, share, metrics, figures))

    def figures(self) -> dict[str, object]:
        """What a line of the log tells beside loss and rate; rates since the last such line."""
        if self.meter is None:
            return {}
        found = dict(self.meter.figures())
        self.meter.restart()
        return dict(found)

    def ask(self, step: int, steps: int) -> dict[str, object] | None:
        """The line of a check against held-out data, if one is due; all processes must call this."""
        if self.examiner is None or (step % self.every and step != steps):
            return None
        begun = time.monotonic()
        with self.checked():
            found = self.examiner.ask()
            best = self.keeper is not None and self.keeper.consider(step, found)
        spent = time.monotonic() - begun
        if self.meter is not None:
            self.meter.pause(spent)
        return {
            "step": step,
            "steps": steps,
            "held_out_loss": round(found.loss, 4),
            "held_out_accuracy": round(found.accuracy, 4),
            "best": best,
            "held_out_s": round(spent, 2),
            "answers": list(found.answers),
        }

    def tell(self, line: Mapping[str, object]) -> None:
        """Hand the numbers of a log line on."""
        numbers = {
            name: float(value)
            for name, value in line.items()
            if isinstance(value, (int, float)) and name not in ("step", "steps", "best")
        }
        for tracker in self.trackers:
            tracker.log(int(str(line["step"])), numbers)

    def close(self) -> None:
        """Nothing follows."""
        for tracker in self.trackers:
            tracker.close()

    @property
    def samples(self) -> tuple[Sample, ...]:
        """What is asked in words at every check."""
        return () if self.examiner is None else self.examiner.samples


UNWATCHED = Watch()
