"""How often 95 % intervals hold the truth, by simulation: for each metric of the twelve benchmarks, and a difference.

    python benchmarks/coverage.py [--samples 1000] [--others]

Each benchmark is drawn anew many times from a model of it whose true figure is known: pictures that are hard or easy
for all their questions, as many as the benchmark has (but at most 2,000, and fewer in cases of our own), values as
scorers give them. Of a good interval, 93 to 97 of 100 hold the truth. --others: plain percentiles, BCa and the
jackknife, too. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pumice.evaluate.bootstrap import intervals, resampling, student
from pumice.evaluate.compare import compare
from pumice.evaluate.formula import Formula, added, average, mean, total
from pumice.evaluate.statistic import Clusters, Metric, Row, Scored

Generator: TypeAlias = np.random.Generator
Draw: TypeAlias = Callable[[Generator], list[Row]]
Bounds: TypeAlias = Mapping[str, tuple[float, float]]

NORMAL = NormalDist()
#: Pictures that the true figure is computed from.
POOLED = 200_000
RESAMPLES = 1000
#: Cases of fewer rows are quickly drawn, and drawn more often.
FEW, TIMES = 400, 6
SOFT = np.array([0.0, 0.3, 0.6, 0.9, 1.0]), np.array([0.30, 0.05, 0.06, 0.09, 0.50])  # VQA's accuracies, their shares
GRADES = np.arange(11) / 10, np.array([0.45, 0.05, 0.05, 0.03, 0.03, 0.06, 0.03, 0.03, 0.05, 0.05, 0.17])  # MM-Vet's
MME = (
    (30, 0.97),
    (30, 0.80),
    (30, 0.70),
    (30, 0.88),
    (147, 0.83),
    (170, 0.79),
    (200, 0.82),
    (200, 0.87),
    (200, 0.62),
    (20, 0.66),
)


@dataclass(frozen=True)
class Case:
    """One benchmark, or a small one. draw: a sample of it."""

    name: str
    formula: Formula
    draw: Draw

    def scored(self, generator: Generator) -> Scored:
        return Scored("simulated", "official", "it", tuple(self.draw(generator)), (Metric("it", self.formula),))


def ease(generator: Generator, pictures: int, share: float, alike: float) -> NDArray[np.float64]:
    """How likely questions about each picture are answered rightly. alike: correlation within a picture."""
    if not alike:
        return np.full(pictures, share)
    strength = 1 / alike - 1
    return generator.beta(share * strength, (1 - share) * strength, pictures)


def shares(pictures: int, questions: int, share: float, alike: float) -> Draw:
    """Right or wrong; pictures have different numbers of questions, ``questions`` on average. A row for a picture."""

    def draw(generator: Generator) -> list[Row]:
        asked = 1 + generator.poisson(questions - 1, pictures)
        right = generator.binomial(asked, ease(generator, pictures, share, alike))
        return [Row("", str(k), {"right": float(right[k]), "asked": float(asked[k])}) for k in range(pictures)]

    return draw


def graded(pictures: int, levels: tuple[NDArray[np.float64], NDArray[np.float64]]) -> Draw:
    """Marks between 0 and 1."""
    marks, likely = levels

    def draw(generator: Generator) -> list[Row]:
        return [
            Row("", str(k), {"mark": float(mark)}) for k, mark in enumerate(generator.choice(marks, pictures, p=likely))
        ]

    return draw


def pope(pictures: int) -> Draw:
    """Six questions about each picture in each of three categories, half of them to be answered with yes."""
    false_alarms = {"random": 0.06, "popular": 0.10, "adversarial": 0.16}

    def draw(generator: Generator) -> list[Row]:
        rows = []
        seen = ease(generator, pictures, 0.82, 0.1)
        for category, share in false_alarms.items():
            hits = generator.binomial(3, seen)
            alarms = generator.binomial(3, ease(generator, pictures, share, 0.1))
            for k in range(pictures):
                values = {"tp": float(hits[k]), "fn": float(3 - hits[k]), "fp": float(alarms[k])}
                rows.append(Row("", str(k), values, category))
        return rows

    return draw


def f1(category: str) -> Formula:
    return 200 * total("tp", category) / (2 * total("tp", category) + total("fp", category) + total("fn", category))


def part(generator: Generator) -> list[Row]:
    """Twenty pictures of a small part of a benchmark, and others that the part's figure knows nothing of."""
    own, others = graded(20, GRADES)(generator), graded(280, GRADES)(generator)
    return [replace(row, group="part") for row in own] + [
        replace(row, cluster=f"other {row.cluster}") for row in others
    ]


def mme(generator: Generator) -> list[Row]:
    """Two questions about each picture; a second figure counts pictures with both right."""
    rows = []
    for subtask, (pictures, share) in enumerate(MME):
        right = generator.random((pictures, 2)) < ease(generator, pictures, share, 0.2)[:, None]
        for k, (first, second) in enumerate(right):
            values = {"right": float(first) + float(second), "asked": 2.0, "both": float(first and second)}
            rows.append(Row("", f"{subtask} {k}", values, str(subtask)))
    return rows


def circular(generator: Generator) -> list[Row]:
    """Right in all four rotations, or not; a few questions share a picture."""
    right = generator.random((1164, 4)) < ease(generator, 1164, 0.8, 0.6)[:, None]
    return [Row("", str(k * 9 // 10), {"mark": float(turns.all())}) for k, turns in enumerate(right)]


def marks(questions: int, pictures: int) -> Draw:
    """Two marks from 1 to 10 for each question, the reference's and the model's."""

    def draw(generator: Generator) -> list[Row]:
        shift = generator.normal(0, 0.8, pictures)
        rows = []
        for number in range(questions):
            reference = np.clip(round(generator.normal(8.6, 0.6)), 1, 10)
            model = np.clip(round(generator.normal(6.3, 1.8) + shift[number % pictures]), 1, 10)
            rows.append(Row("", str(number % pictures), {"reference": float(reference), "model": float(model)}))
        return rows

    return draw


RIGHT = 100 * total("right") / total("asked")
MARK = 100 * mean("mark")
F1 = average([f1(category) for category in ("random", "popular", "adversarial")])
PAIRS = added(
    [100 * total("right", str(k)) / total("asked", str(k)) + 100 * mean("both", str(k)) for k in range(len(MME))]
)
CASES = (
    Case("VQAv2, VizWiz, TextVQA", MARK, graded(2000, SOFT)),
    Case("GQA", RIGHT, shares(398, 32, 0.62, 0.03)),
    Case("ScienceQA, SEED, Q-Bench", RIGHT, shares(1495, 1, 0.67, 0)),
    Case("POPE, mean F1", F1, pope(500)),
    Case("MME, acc and acc+", PAIRS, mme),
    Case("MMBench, circular", MARK, circular),
    Case("LLaVA-Bench, ratio", 100 * total("model") / total("reference"), marks(60, 24)),
    Case("MM-Vet, grades", MARK, graded(218, GRADES)),
    Case("50 pictures, mean F1", F1, pope(50)),
    Case("20 of 300 pictures", 100 * mean("mark", "part"), part),
    Case("30 pictures, 50 % right", RIGHT, shares(30, 1, 0.5, 0)),
    Case("30 pictures, 90 % right", RIGHT, shares(30, 1, 0.9, 0)),
    Case("10 pictures, grades", MARK, graded(10, GRADES)),
)


def true_figure(case: Case, generator: Generator) -> float:
    """The figure of so many pictures that there is no doubt about it."""
    rows: list[Row] = []
    while len(rows) < POOLED:
        rows += case.draw(generator)
    return float(case.formula.compute(Clusters(rows).all())[0])


def ours(scored: Scored) -> Bounds:
    found = intervals(scored, resamples=RESAMPLES)["it"]
    return {"ours": (found.low, found.high)}


def others(scored: Scored) -> Bounds:
    """The usual alternatives: percentiles, BCa (Efron 1987), and Student's t with the jackknife's standard error."""
    clusters, formula = Clusters(scored.rows), scored.metrics[0].formula
    figure = float(formula.compute(clusters.all())[0])
    drawn = [formula.compute(clusters.weighted(weights)) for weights in resampling(len(clusters), RESAMPLES, 0)]
    sampled = np.concatenate(drawn)
    sampled = sampled[~np.isnan(sampled)]
    without = formula.compute(clusters.without_each())
    influence = (len(clusters) - 1) * (np.nanmean(without) - without)
    spread = float(np.nansum(influence**2))
    error = student(0.975, len(clusters) - 1) * math.sqrt(spread / len(clusters) / (len(clusters) - 1))
    acceleration = float(np.nansum(influence**3)) / (6 * spread**1.5) if spread else 0.0
    below = float(np.mean(sampled < figure) + np.mean(sampled == figure) / 2)
    bias = NORMAL.inv_cdf(min(max(below, 1 / RESAMPLES), 1 - 1 / RESAMPLES))

    def corrected(z: float) -> float:
        return NORMAL.cdf(bias + (bias + z) / (1 - acceleration * (bias + z)))

    def between(low: float, high: float) -> tuple[float, float]:
        ends = np.quantile(sampled, [low, high])
        return float(ends[0]), float(ends[1])

    return {
        "percentiles": between(0.025, 0.975),
        "BCa": between(corrected(-1.96), corrected(1.96)),
        "jackknife": (figure - error, figure + error),
    }


def coverage(case: Case, samples: int, methods: Sequence[Callable[[Scored], Bounds]]) -> dict[str, float]:
    """Of 100 intervals, how many hold the truth; by method."""
    generator = np.random.default_rng(2026)
    truth = true_figure(case, generator)
    held: dict[str, int] = {}
    times = samples * (TIMES if len(case.draw(generator)) < FEW else 1)
    for _ in range(times):
        scored = case.scored(generator)
        for method in methods:
            for name, (low, high) in method(scored).items():
                held[name] = held.get(name, 0) + (low - 1e-9 <= truth <= high + 1e-9)
    return {name: 100 * count / times for name, count in held.items()}


def difference(samples: int) -> float:
    """Of intervals of a difference: two models, one better, upon the same pictures of POPE's size, paired."""
    generator = np.random.default_rng(2027)

    def both() -> tuple[Scored, Scored]:
        hard = ease(generator, 500, 0.8, 0.2)
        runs = []
        for better in (0.0, 0.04):
            hits, alarms = generator.binomial(9, hard * (1 - better) + better), generator.binomial(9, 0.15 * (1 - hard))
            values = [{"tp": float(h), "fn": float(9 - h), "fp": float(a)} for h, a in zip(hits, alarms, strict=True)]
            rows = tuple(Row(str(k), str(k), each, "all") for k, each in enumerate(values))
            runs.append(Scored("simulated", "official", "it", rows, (Metric("it", f1("all")),)))
        return runs[0], runs[1]

    pools = [
        [row for _, pair in zip(range(600), iter(both, None), strict=False) for row in pair[side].rows]
        for side in (0, 1)
    ]
    first, second = (float(f1("all").compute(Clusters(rows).all())[0]) for rows in pools)
    held = 0
    for _ in range(samples):
        found = compare(*both(), resamples=RESAMPLES).differences[0].interval
        held += found.low <= second - first <= found.high
    return 100 * held / samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1000, help="of each case, at least")
    parser.add_argument("--others", action="store_true", help="other kinds of intervals, too")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    chosen = parser.parse_args()
    methods = [ours, others] if chosen.others else [ours]
    found: dict[str, dict[str, float]] = {}
    began = time.perf_counter()
    for case in CASES:
        if chosen.only in case.name:
            found[case.name] = coverage(case, chosen.samples, methods)
            print(
                f"{case.name:26}" + "  ".join(f"{name} {held:5.1f}" for name, held in found[case.name].items()),
                flush=True,
            )
    if chosen.only in "difference":
        found["difference"] = {"ours": difference(chosen.samples)}
        print(f"{'difference of F1':26}ours {found['difference']['ours']:5.1f}")
    seconds = time.perf_counter() - began
    print(json.dumps({"samples": chosen.samples, "seconds": round(seconds, 1), "coverage": found}))


if __name__ == "__main__":
    main()
