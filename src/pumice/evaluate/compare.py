"""Whether two sets of answers to the same questions differ: by how much, how surely, and what could have been seen.

    difference = compare(first, second).differences[0]
    print(difference.value, difference.interval, difference.p)

Both are weighted by the same resamples, so what makes a picture hard for both cancels out. The test swaps the two sets'
answers picture by picture: if it does not matter who answered, the difference of the figures is one of many such swaps.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from pumice.errors import UsageError
from pumice.evaluate.bootstrap import LEVEL, RESAMPLES, Interval, at_a_time, interval, resampling, unknown
from pumice.evaluate.formula import Array
from pumice.evaluate.statistic import Clusters, Metric, Row, Scored

#: With which chance a true difference of the size ``Difference.detectable`` is found.
POWER = 0.8


@dataclass(frozen=True)
class Difference:
    """One metric of two sets of answers, second minus first.

    interval: of the difference. p: how often swaps that change nothing make one as large (two-sided, at least
    1/(swaps + 1)); NaN where it is undefined. detectable: the smallest true difference that as many pictures would
    show, at the interval's level, four times out of five.
    """

    metric: str
    first: float
    second: float
    interval: Interval
    p: float
    detectable: float

    @property
    def value(self) -> float:
        """Second minus first."""
        return self.second - self.first


@dataclass(frozen=True)
class McNemar:
    """Questions that only one of both has right, and how often chance divides them as unevenly (exact binomial test).

    Questions are taken for independent, which those about one picture are not: ``Difference.p`` heeds that.
    """

    only_first: int
    only_second: int
    p: float


@dataclass(frozen=True)
class Comparison:
    """Two sets of answers to one benchmark. left_out: pictures that only one of them was asked about."""

    task: str
    differences: tuple[Difference, ...]
    mcnemar: McNemar | None
    questions: int
    pictures: int
    left_out: int


def compare(
    first: Scored, second: Scored, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> Comparison:
    """Second against first, upon the pictures that both have answered the same questions about.

    Raises UsageError: they are of different benchmarks, were scored by different rules, or share no picture.
    """
    _require_alike(first, second)
    ours, theirs = _by_cluster(first.rows), _by_cluster(second.rows)
    names = [name for name in ours if _asked(ours[name]) == _asked(theirs.get(name, ()))]
    if not names:
        raise UsageError(f"{first.task}: the two runs share no picture", hint="were both made with the same files?")
    rows = [row for name in names for row in ours[name]], [row for name in names for row in theirs[name]]
    tables = Clusters(rows[0], names), Clusters(rows[1], names)
    shared = [metric for metric in first.metrics if metric in second.metrics]
    return Comparison(
        first.task,
        tuple(_differences(shared, tables, level, resamples, seed)),
        mcnemar(*rows),
        questions=len(rows[0]),
        pictures=len(names),
        left_out=len(ours.keys() | theirs.keys()) - len(names),
    )


def mcnemar(first: Sequence[Row], second: Sequence[Row]) -> McNemar | None:
    """Of rows in the same order; None if nothing is simply right or wrong."""
    pairs = Counter(
        (one.correct, other.correct)
        for one, other in zip(first, second, strict=True)
        if one.correct is not None and other.correct is not None
    )
    if not pairs:
        return None
    only_first, only_second = pairs[True, False], pairs[False, True]
    return McNemar(only_first, only_second, _binomial(min(only_first, only_second), only_first + only_second))


def _require_alike(first: Scored, second: Scored) -> None:
    if first.task != second.task:
        raise UsageError(f"{first.task} and {second.task} are different benchmarks")
    if first.profile != second.profile:
        raise UsageError(
            f"{first.task} was scored by different rules: {first.profile} and {second.profile}",
            hint="score both with the same --profile",
        )


def _by_cluster(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows in an order that does not depend on who answered first; ids that repeat keep theirs."""
    found: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.question_id):
        found.setdefault(row.cluster, []).append(row)
    return found


def _asked(rows: Sequence[Row]) -> list[tuple[str, str]]:
    return [(row.question_id, row.group) for row in rows]


def _differences(
    metrics: Sequence[Metric], tables: tuple[Clusters, Clusters], level: float, resamples: int, seed: int
) -> Iterator[Difference]:
    first, second = tables
    drawn: list[list[Array]] = [[] for _ in metrics]
    swapped: list[list[Array]] = [[] for _ in metrics]
    for weights in resampling(len(first), resamples, seed):
        sides = first.weighted(weights), second.weighted(weights)
        for metric, chunk in zip(metrics, drawn, strict=True):
            chunk.append(metric.compute(sides[1]) - metric.compute(sides[0]))
    for chosen in _swaps(len(first), resamples, seed):
        exchanged = _Exchanged(second, first, chosen), _Exchanged(first, second, chosen)
        for metric, chunk in zip(metrics, swapped, strict=True):
            chunk.append(metric.formula.compute(exchanged[0]) - metric.formula.compute(exchanged[1]))
    z = NormalDist().inv_cdf((1 + level) / 2) + NormalDist().inv_cdf(POWER)
    for metric, differences, chances in zip(metrics, drawn, swapped, strict=True):
        figures = (float(metric.compute(table.all())[0]) for table in tables)
        one, other = figures
        own = int((first.behind(metric.formula) | second.behind(metric.formula)).sum())
        found = interval(np.concatenate(differences), other - one, own, level)
        if found.low == found.high:  # drawing anew shows no doubt, which is not to say that there is none
            found = unknown("no picture's answers differ")
        p = _share_as_large(np.concatenate(chances), other - one, metric.scale)
        yield Difference(metric.name, one, other, found, p, z * found.error)


@dataclass(frozen=True)
class _Exchanged:
    """Sums of one set of answers, for the clusters that are ``chosen`` [R, K] the other's."""

    own: Clusters
    other: Clusters
    chosen: Array

    def total(self, value: str, group: str | None) -> Array:
        return self._sum(self.own.columns(value, group)[0], self.other.columns(value, group)[0])

    def count(self, value: str, group: str | None) -> Array:
        return self._sum(self.own.columns(value, group)[1], self.other.columns(value, group)[1])

    def _sum(self, own: Array, other: Array) -> Array:
        total: Array = own.sum() + self.chosen @ (other - own)
        return total


def _swaps(clusters: int, resamples: int, seed: int) -> Iterator[Array]:
    """Which clusters' answers change sides, [R, K] of 0 and 1, a chunk at a time."""
    generator = np.random.default_rng([seed, 1])  # not the numbers that drew the resamples
    for count in at_a_time(clusters, resamples):
        yield generator.integers(0, 2, size=(count, clusters)).astype(np.float64)


def _share_as_large(swapped: Array, difference: float, scale: float) -> float:
    """p of a permutation test, the swap that changes nothing counted in."""
    defined = swapped[~np.isnan(swapped)]
    if math.isnan(difference) or not len(defined):
        return math.nan
    as_large = np.abs(defined) >= abs(difference) - 1e-9 * scale  # sums in another order round differently
    return float((1 + as_large.sum()) / (1 + len(defined)))


def _binomial(fewer: int, all_of_them: int) -> float:
    """How often a fair coin divides them at least as unevenly, either way."""
    logs = [
        math.lgamma(all_of_them + 1) - math.lgamma(k + 1) - math.lgamma(all_of_them - k + 1) for k in range(fewer + 1)
    ]
    return min(1.0, 2 * sum(math.exp(each - all_of_them * math.log(2)) for each in logs))
