"""How sure a figure is: intervals by resampling pictures, for any formula.

    for name, interval in intervals(scored).items():
        print(name, interval.low, interval.high)

Questions about one picture are not independent, so whole pictures are drawn, with replacement. The interval is made of
percentiles of the resampled figures, further out than 2.5 % for few pictures: by as much as Student's t is wider than
the normal distribution, and because resamples vary by (K-1)/K too little (the "expanded percentile" interval of
Hesterberg, What Teachers Should Know about the Bootstrap, 2015). K are the pictures that the figure is made of: those
of a benchmark's other parts say nothing of this one. ``benchmarks/coverage.py`` shows how often it holds the truth,
beside plain percentiles, BCa and the jackknife.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from pumice.evaluate.formula import Array
from pumice.evaluate.statistic import Clusters, Metric, Scored

LEVEL = 0.95
RESAMPLES = 4000
#: Of all resamples, the share for which a figure may be undefined before there is no interval.
_MOST_UNDEFINED = 0.01
#: Numbers drawn at a time: 16 MB of weights.
_AT_ONCE = 2_000_000
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Interval:
    """Where a figure may lie: from ``low`` to ``high``, or why nobody can say.

    error: the standard error, in the figure's own unit.
    """

    low: float
    high: float
    error: float
    unknown: str = ""


def intervals(
    scored: Scored, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Interval]:
    """One interval for each metric, all from the same resamples. The same seed gives the same intervals."""
    clusters = Clusters(scored.rows)
    chunks: list[list[Array]] = [[] for _ in scored.metrics]
    for weights in resampling(len(clusters), resamples, seed):
        table = clusters.weighted(weights)
        for chunk, metric in zip(chunks, scored.metrics, strict=True):
            chunk.append(metric.compute(table))
    found = {}
    for chunk, metric in zip(chunks, scored.metrics, strict=True):
        figure = float(metric.compute(clusters.all())[0])
        sampled = np.concatenate(chunk) if chunk else np.empty(0)
        own = int(clusters.behind(metric.formula).sum())
        found[metric.name] = _bounded(interval(sampled, figure, own, level), metric, figure, own, level)
    return found


def resampling(clusters: int, resamples: int, seed: int) -> Iterator[Array]:
    """How often each of K clusters counts in each resample: weights [R, K], a chunk of resamples at a time."""
    generator = np.random.default_rng(seed)
    for count in at_a_time(clusters, resamples):
        places = generator.integers(clusters, size=(count, clusters))  # [R, K]
        places += clusters * np.arange(count)[:, None]  # each resample counts in a row of its own
        weights = np.bincount(places.ravel(), minlength=count * clusters)
        yield weights.reshape(count, clusters).astype(np.float64)


def at_a_time(clusters: int, resamples: int) -> Iterator[int]:
    """How many resamples of K clusters fit into memory together, until all are done."""
    at_once = max(1, _AT_ONCE // max(clusters, 1))
    for first in range(0, resamples if clusters else 0, at_once):
        yield min(at_once, resamples - first)


def interval(sampled: Array, figure: float, clusters: int, level: float = LEVEL) -> Interval:
    """The interval of a figure whose resamples are ``sampled`` [R]. clusters: that the figure is made of."""
    if math.isnan(figure):
        return unknown("the figure is undefined: a part of it has no questions")
    if clusters < 2:
        return unknown("one picture says nothing of others")
    defined = sampled[~np.isnan(sampled)]
    if len(defined) < (1 - _MOST_UNDEFINED) * len(sampled):
        return unknown("too few pictures in a part of it")
    tail = expanded_tail((1 - level) / 2, clusters)
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Interval(float(low), float(high), float(defined.std(ddof=1)))


def expanded_tail(tail: float, clusters: int) -> float:
    """The share to cut off at either side of K clusters' resamples, so that ``tail`` is missed."""
    widened = student(1 - tail, clusters - 1) * math.sqrt(clusters / (clusters - 1))
    return _NORMAL.cdf(-widened)


def student(share: float, freedom: int) -> float:
    """A quantile of Student's t, by its series in 1/freedom (Abramowitz and Stegun, 26.7.5): to 0.2 % from 3 on."""
    z = _NORMAL.inv_cdf(share)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    fourth = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    return z + first / freedom + second / freedom**2 + third / freedom**3 + fourth / freedom**4


def _bounded(found: Interval, metric: Metric, figure: float, clusters: int, level: float) -> Interval:
    """Where all pictures give the same, resampling finds no doubt at all. At an end of the scale, such as none wrong of
    K, the exact binomial bound takes its place (the "rule of three"); elsewhere nobody can say."""
    if found.unknown or found.high > found.low:
        return found
    rest = metric.scale * (1 - ((1 - level) / 2) ** (1 / clusters))
    if math.isclose(figure, metric.scale):
        return replace(found, low=metric.scale - rest)
    if figure == 0:
        return replace(found, high=rest)
    return unknown("all pictures give the same")


def unknown(why: str) -> Interval:
    """No interval, and why."""
    return Interval(math.nan, math.nan, math.nan, why)
