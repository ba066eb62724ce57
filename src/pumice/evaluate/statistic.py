"""What a scorer returns: a row for each question, and metrics that can be computed anew from any weighting of the rows.

    rows = [Row(question_id="7", cluster="COCO_12.jpg", values={"right": 1.0}, group="count", correct=True), ...]
    metrics = [Metric("accuracy", 100 * mean("right")), Metric("count", 100 * mean("right", "count"))]
    Scored("pope", "official", "accuracy", tuple(rows), tuple(metrics)).value("accuracy")

Intervals, comparisons and controls are made from rows and formulas alone (``bootstrap``, ``compare``), so a scorer has
no statistics of its own. Two rules: a value that does not exist (a verdict that could not be read) is left out of
``values``, never a stand-in; a value that belongs to several questions (MME's acc+, a circular question) stands
in one row of them, or is shared out among them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pumice.errors import UsageError
from pumice.evaluate.formula import Array, Formula


@dataclass(frozen=True)
class Row:
    """What one question (or one group of rotations) contributes.

    cluster: the picture, as ``Question.image_key``; rows of one cluster are resampled together.
    values: the numbers that formulas add up.
    group: the benchmark's kind of question, for formulas upon one group.
    correct: right or wrong, where the benchmark knows nothing between; for McNemar's test and example failures.
    asked, answer, expected, note: for people: the question, what was said, what was right, what the scorer made of it.
    """

    question_id: str
    cluster: str
    values: Mapping[str, float]
    group: str = ""
    correct: bool | None = None
    asked: str = ""
    answer: str = ""
    expected: str = ""
    note: str = ""


@dataclass(frozen=True)
class Metric:
    """A figure: its name, how it comes from the rows, and what is best.

    formula: gives the figure as it is published (per cent, or points).
    scale: the largest that it can be, mostly 100; for plots. smaller_is_better: as with hallucinations.
    """

    name: str
    formula: Formula
    scale: float = 100.0
    smaller_is_better: bool = False

    def compute(self, table: Table) -> Array:
        """One figure for each of the table's resamples [R]; NaN where it is undefined."""
        return self.formula.compute(table)


@dataclass(frozen=True)
class Scored:
    """A benchmark's result for one set of answers.

    headline: the metric that is meant by "the score". missing: questions without an answer (how they count is the
    profile's business). notes: what a reader of the figures must know, a sentence each. about: the same, where it holds
    whichever of the questions were asked.
    """

    task: str
    profile: str
    headline: str
    rows: tuple[Row, ...]
    metrics: tuple[Metric, ...]
    missing: int = 0
    notes: tuple[str, ...] = ()
    about: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [each.name for each in self.metrics]
        if self.headline not in names or len(set(names)) < len(names):
            raise ValueError(f"{self.task}: headline {self.headline!r} among metrics with names of their own: {names}")

    def metric(self, name: str) -> Metric:
        """Raises UsageError for a name that is none of this benchmark's."""
        for each in self.metrics:
            if each.name == name:
                return each
        known = ", ".join(each.name for each in self.metrics)
        raise UsageError(f"{self.task} has no metric {name!r}", hint=f"it has {known}")

    def value(self, name: str | None = None) -> float:
        """A metric upon all rows; by default the headline."""
        return float(self.metric(name or self.headline).compute(Clusters(self.rows).all())[0])


@dataclass(frozen=True)
class Table:
    """Rows in some weighting, or in R of them: the sums that formulas ask for. Made by ``Clusters``.

    sums: of a column of one number per cluster [K], one for each resample [R].
    """

    clusters: Clusters
    sums: Callable[[Array], Array]

    def total(self, value: str, group: str | None = None) -> Array:
        """As in ``formula.Sums``. [R]"""
        return self.sums(self.clusters.columns(value, group)[0])

    def count(self, value: str, group: str | None = None) -> Array:
        """As in ``formula.Sums``. [R]"""
        return self.sums(self.clusters.columns(value, group)[1])


class Clusters:
    """Rows added up by cluster, once; every resample is a weighting of these sums. K clusters."""

    def __init__(self, rows: Sequence[Row], names: Sequence[str] | None = None) -> None:
        """names: of the clusters, in an order that several sets of rows share; by default as they appear."""
        self.rows = rows
        self.names = tuple(dict.fromkeys(row.cluster for row in rows) if names is None else names)
        index = {name: place for place, name in enumerate(self.names)}
        self._places = [index[row.cluster] for row in rows]
        self._columns: dict[tuple[str, str | None], tuple[Array, Array]] = {}

    def __len__(self) -> int:
        return len(self.names)

    def columns(self, value: str, group: str | None = None) -> tuple[Array, Array]:
        """Sums and counts of a value for each cluster, [K] and [K]; over one group's rows, or over all (None)."""
        if (value, group) not in self._columns:
            sums, counts = np.zeros(len(self)), np.zeros(len(self))
            for row, place in zip(self.rows, self._places, strict=True):
                if value in row.values and group in (None, row.group):
                    sums[place] += row.values[value]
                    counts[place] += 1
            self._columns[value, group] = sums, counts
        return self._columns[value, group]

    def behind(self, formula: Formula) -> NDArray[np.bool_]:
        """Which clusters a formula's figure is made of: those with a row that it adds up or counts. [K]"""
        found = np.zeros(len(self), dtype=np.bool_)
        for value, group in formula.sums():
            found |= self.columns(value, group)[1] > 0
        return found

    def all(self) -> Table:
        """Every cluster once: the figures themselves. R is 1."""
        return Table(self, lambda column: column.sum(keepdims=True))

    def weighted(self, weights: Array) -> Table:
        """weights: how often each cluster counts in each resample, [R, K]."""
        return Table(self, lambda column: weights @ column)

    def without_each(self) -> Table:
        """Every cluster left out in turn: the jackknife. R is K."""
        return Table(self, lambda column: column.sum() - column)
