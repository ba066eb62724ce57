"""What the scorers of judged benchmarks share: runs of the judge, their spread, and verdicts that say nothing."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from pumice.errors import UsageError
from pumice.evaluate.questions import Answer
from pumice.evaluate.statistic import Scored
from pumice.evaluate.verdicts import Verdict, said

Marks = TypeVar("Marks")
# Of a judge's words, what a row keeps for people.
_SHOWN = 300


def runs_of(answers: Sequence[Answer], benchmark: str, kind: str) -> list[int]:
    """The runs of the judge that any answer has a verdict of. kind: the file that would hold some, for the error.

    Raises: UsageError if no answer has a verdict.
    """
    runs = sorted({run for answer in answers for run in said(answer)})
    if not runs:
        raise UsageError(
            f"{benchmark} is scored by what a judge says of the answers, and nothing was said yet",
            hint=f"name a judge with --judge URL, or give {kind} in place of the answers",
        )
    return runs


@dataclass
class Reading(Generic[Marks]):
    """Reads verdicts and counts those that say nothing.

    read: the marks in a verdict, None if it cannot be read. stand_in: what some tools take for a verdict that they
    cannot read; None leaves it out, so that it is in no mean.
    """

    read: Callable[[Verdict], Marks | None]
    stand_in: Marks | None
    counted: Counter[str] = field(default_factory=Counter)

    def marks(self, answer: Answer | None, runs: Sequence[int]) -> dict[int, Marks]:
        """The marks of an answer by run; a run without any is not there."""
        found: dict[int, Marks] = {}
        verdicts = {} if answer is None else said(answer)
        for run in runs if answer is not None else ():
            verdict = verdicts.get(run)
            if verdict is None or verdict.error:
                self.counted["failed"] += 1
                continue
            marks = self.read(verdict)
            self.counted["unread"] += marks is None
            marks = self.stand_in if marks is None else marks
            if marks is not None:
                found[run] = marks
        return found

    def notes(self) -> tuple[str, ...]:
        """What a reader of the figures must know."""
        told = []
        if self.counted["unread"]:
            fate = "are missing" if self.stand_in is None else f"count as {self.stand_in}, as in the original"
            told.append(f"{self.counted['unread']} verdicts of the judge could not be read and {fate}.")
        if self.counted["failed"]:
            told.append(f"{self.counted['failed']} verdicts of the judge never came and are missing.")
        return tuple(told)


def with_spread(scored: Scored, runs: Sequence[int]) -> Scored:
    """The result with a note on how far the judge's runs differ; it must have the metrics "run 1", "run 2" and so
    on."""
    if len(runs) < 2:
        return scored
    values = [scored.value(f"run {run}") for run in runs]
    told = ", ".join(f"{value:.1f}" for value in values)
    note = (
        f"{len(runs)} runs of the judge: {told}; "
        f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f} (mean and standard deviation)."
    )
    return replace(scored, about=(*scored.about, note))


def in_words(answer: Answer | None) -> str:
    """What the judge said first, in short, for people."""
    verdict = next(iter(said(answer).values()), None) if answer is not None else None
    words = "" if verdict is None else verdict.content or verdict.error
    return words if len(words) <= _SHOWN else words[:_SHOWN] + "…"
