"""Comparisons of two runs: symmetry, what cannot differ, what must, and how often chance is called a difference."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from pumice.errors import UsageError
from pumice.evaluate.compare import compare, mcnemar
from pumice.evaluate.formula import added, mean, total
from pumice.evaluate.statistic import Metric, Row, Scored

RANDOM = np.random.default_rng(7)
F1 = 200 * total("tp") / (2 * total("tp") + total("fp") + total("fn"))
PAIRS = added([100 * mean("right", each) + 100 * mean("both", each) for each in ("a", "b")])
METRICS = (Metric("accuracy", 100 * mean("right")), Metric("f1", F1), Metric("pairs", PAIRS, 400))


def _rows(hits: np.typing.NDArray[np.float64]) -> tuple[Row, ...]:
    """hits: [K, 2], two questions for each picture, the first of which should be answered with yes."""
    rows = []
    for k, (yes, no) in enumerate(hits):
        group = "ab"[k % 2]
        first = {"right": yes, "both": yes * no, "tp": yes, "fn": 1 - yes, "fp": 0.0}
        rows.append(Row(f"{k}", f"p{k}", first, group, bool(yes)))
        rows.append(Row(f"{k}", f"p{k}", {"right": no, "tp": 0.0, "fn": 0.0, "fp": 1 - no}, group, bool(no)))
    return tuple(rows)


def _scored(share: float, pictures: int = 60) -> Scored:
    hits = (RANDOM.random((pictures, 2)) < share).astype(np.float64)
    return Scored("toy", "official", "accuracy", _rows(hits), METRICS)


def test_the_same_answers_do_not_differ() -> None:
    scored = _scored(0.7)
    found = compare(scored, scored, resamples=300)
    assert (found.questions, found.pictures, found.left_out) == (120, 60, 0)
    for each in found.differences:
        assert each.value == 0
        assert each.p == 1
        assert "no picture's answers differ" in each.interval.unknown
        assert math.isnan(each.detectable)
    assert found.mcnemar is not None
    assert found.mcnemar.p == 1


def test_exchanged_runs_differ_the_other_way() -> None:
    first, second = _scored(0.6), _scored(0.8)
    one, other = compare(first, second, resamples=500), compare(second, first, resamples=500)
    for a, b in zip(one.differences, other.differences, strict=True):
        assert a.metric == b.metric
        assert a.value == pytest.approx(-b.value)
        assert a.interval.low == pytest.approx(-b.interval.high)
        assert a.p == pytest.approx(b.p, abs=0.02)
        assert a.detectable == pytest.approx(b.detectable)


def test_pictures_of_other_parts_make_a_difference_no_surer() -> None:
    """An interval from ten pictures is as wide as Student's t has it, though 290 others were asked about something."""
    random = np.random.default_rng(1)
    metric = (Metric("it", mean("mark", "part")),)
    rest = [Row(str(k), f"r{k}", {"mark": 1.0}, "rest") for k in range(290)]
    sides = [
        [Row(str(k), f"p{k}", {"mark": float(mark)}, "part") for k, mark in enumerate(random.random(10))] for _ in "ab"
    ]
    found = (
        compare(*(Scored("toy", "official", "it", (*side, *rest), metric) for side in sides)).differences[0].interval
    )
    assert (found.high - found.low) / (2 * found.error) > 2.1


def test_the_order_of_the_rows_does_not_matter() -> None:
    first, second = _scored(0.6), _scored(0.8)
    rows = [row for pair in zip(*[iter(second.rows)] * 2, strict=True) for row in pair]
    turned = replace(second, rows=tuple(rows[2 * k + i] for k in reversed(range(60)) for i in (0, 1)))
    assert compare(first, turned, resamples=200) == compare(first, second, resamples=200)


def test_the_permutation_test_by_counting_all_swaps() -> None:
    """Eight pictures have 256 swaps, each of which can be looked at."""
    first, second = _scored(0.4, 8), _scored(0.9, 8)
    seen = [abs(second.value("pairs") - first.value("pairs"))]
    as_large = 0
    for swap in product([False, True], repeat=8):
        sides = [[], []]  # type: list[list[Row]]
        for k, exchanged in enumerate(swap):
            for place, rows in enumerate((first.rows, second.rows)):
                sides[place ^ exchanged] += rows[2 * k : 2 * k + 2]
        one, other = (replace(first, rows=tuple(side)).value("pairs") for side in sides)
        as_large += abs(other - one) >= seen[0] - 1e-9
    found = next(each for each in compare(first, second, resamples=8000).differences if each.metric == "pairs")
    assert found.p == pytest.approx(as_large / 256, abs=0.02)


def test_chance_is_called_a_difference_as_rarely_as_it_says() -> None:
    """300 pairs of runs of one model: p below 0.05 in about 15, and intervals that leave 0 out in as few."""
    small = missed = 0
    for _ in range(300):
        ease = RANDOM.beta(4, 2, (40, 1)).repeat(2, axis=1)  # pictures are hard or easy for both
        scored = [
            Scored("toy", "official", "f1", _rows((RANDOM.random((40, 2)) < ease).astype(float)), METRICS[1:2])
            for _ in range(2)
        ]
        found = compare(*scored, resamples=300).differences[0]
        small += found.p <= 0.05
        missed += not found.interval.low <= 0 <= found.interval.high
    assert 3 <= small <= 30
    assert 3 <= missed <= 30


def test_what_is_detectable_is_detected() -> None:
    """Runs whose true difference is the detectable one are told apart about four times in five."""
    difference = np.mean(
        [compare(_scored(0.7), _scored(0.7), resamples=300).differences[0].detectable for _ in range(5)]
    )
    found = 0
    for _ in range(150):
        each = compare(_scored(0.5), _scored(0.5 + difference / 100), resamples=300).differences[0]
        found += each.p <= 0.05
    assert 0.65 <= found / 150 <= 0.92


@pytest.mark.parametrize(
    ("only_first", "only_second", "p"),
    [(0, 0, 1.0), (0, 6, 2 / 64), (1, 5, 14 / 64), (3, 3, 1.0), (10, 25, 0.016671), (900, 1000, 0.023087)],
)
def test_mcnemar_is_the_binomial_test(only_first: int, only_second: int, p: float) -> None:
    """Against R's binom.test; the last by the normal distribution with the correction for continuity."""
    pairs = [(True, False)] * only_first + [(False, True)] * only_second + [(True, True)] * 7
    first, second = ([Row(str(i), "p", {}, correct=pair[side]) for i, pair in enumerate(pairs)] for side in (0, 1))
    found = mcnemar(first, second)
    assert found is not None
    assert (found.only_first, found.only_second) == (only_first, only_second)
    assert found.p == pytest.approx(p, rel=0.01)


def test_mcnemar_needs_right_and_wrong() -> None:
    assert mcnemar([Row("1", "p", {"mark": 0.5})], [Row("1", "p", {"mark": 0.7})]) is None


def test_pictures_of_one_run_alone_are_left_out_and_counted() -> None:
    first, second = _scored(0.7), _scored(0.7)
    found = compare(first, replace(second, rows=second.rows[:100]), resamples=100)
    assert (found.questions, found.pictures, found.left_out) == (100, 50, 10)
    cut = compare(first, replace(second, rows=second.rows[:99]), resamples=100)
    assert (cut.pictures, cut.left_out) == (49, 11)


def test_what_cannot_be_compared_is_refused() -> None:
    scored = _scored(0.7)
    with pytest.raises(UsageError, match="different benchmarks"):
        compare(scored, replace(scored, task="other"))
    with pytest.raises(UsageError, match="different rules"):
        compare(scored, replace(scored, profile="llava"))
    with pytest.raises(UsageError, match="share no picture"):
        compare(scored, replace(scored, rows=(Row("1", "elsewhere", {"right": 1.0}),)))


def test_an_undefined_figure_has_no_p() -> None:
    scored = _scored(0.7)
    undefined = replace(scored, metrics=(*METRICS, Metric("nothing", mean("absent"))))
    found = compare(undefined, undefined, resamples=50).differences[-1]
    assert math.isnan(found.p)
    assert found.interval.unknown
