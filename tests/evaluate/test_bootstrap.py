"""Intervals: what they must do whatever the data, and that they hold the truth as often as they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pumice.evaluate.bootstrap import Interval, expanded_tail, intervals, resampling, student
from pumice.evaluate.formula import Formula, mean, number, total
from pumice.evaluate.statistic import Metric, Row, Scored

ACCURACY = 100 * mean("right")


def _scored(values: list[list[float]], formula: Formula = ACCURACY, scale: float = 100) -> Scored:
    """values: of each picture's questions."""
    rows = [Row(f"{k}-{i}", str(k), {"right": v}) for k, each in enumerate(values) for i, v in enumerate(each)]
    return Scored("toy", "official", "it", tuple(rows), (Metric("it", formula, scale),))


def _interval(scored: Scored, **how: int) -> Interval:
    return intervals(scored, **how)["it"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("freedom", "exact"), [(3, 3.18245), (5, 2.57058), (10, 2.22814), (30, 2.04227), (10_000, 1.96020)]
)
def test_student_by_the_tables(freedom: int, exact: float) -> None:
    assert student(0.975, freedom) == pytest.approx(exact, rel=0.002)


def test_tails_grow_towards_the_nominal_share() -> None:
    tails = [expanded_tail(0.025, clusters) for clusters in (3, 5, 10, 24, 100, 10_000)]
    assert tails == sorted(tails)
    assert tails[-1] == pytest.approx(0.025, abs=1e-4)


@given(st.integers(1, 40), st.integers(1, 300), st.integers(0, 9))
@settings(max_examples=30)
def test_resamples_draw_as_many_as_there_are(clusters: int, resamples: int, seed: int) -> None:
    drawn = np.concatenate(list(resampling(clusters, resamples, seed)))
    assert drawn.shape == (resamples, clusters)
    assert (drawn.sum(axis=1) == clusters).all()
    again = np.concatenate(list(resampling(clusters, resamples, seed)))
    assert (drawn == again).all()


@given(st.lists(st.lists(st.sampled_from([0.0, 0.3, 1.0]), min_size=1, max_size=3), min_size=4, max_size=25))
@settings(max_examples=30)
def test_an_interval_holds_its_figure_and_stays_on_the_scale(values: list[list[float]]) -> None:
    scored = _scored(values)
    found = _interval(scored, resamples=200)
    if not found.unknown:
        assert 0 <= found.low <= found.high <= 100
        assert found.low - 1e-9 <= scored.value() <= found.high + 1e-9


def test_clusters_widen_the_interval() -> None:
    """Ten questions about a picture that stand or fall together tell no more than one."""
    random = np.random.default_rng(0)
    answers = (random.random(100) < 0.7).astype(float)
    together = _interval(_scored([[each] * 10 for each in answers]))
    alone = _interval(_scored([[each] for each in answers]))
    apart = _interval(_scored([[each] for each in answers for _ in range(10)]))
    assert together.low == pytest.approx(alone.low)
    assert together.error == pytest.approx(alone.error)
    assert together.error > 2.5 * apart.error


def test_pictures_of_other_parts_make_a_part_no_surer() -> None:
    """Ten pictures are ten, whatever else was asked: 100 * 0.025^(1/10) where all are right."""
    part = [Row(str(k), f"a{k}", {"right": 1.0, "mark": float(np.sin(k))}, "a") for k in range(10)]
    rest = [Row(str(k), f"b{k}", {"right": 1.0, "mark": 1.0}, "b") for k in range(290)]
    metrics = (Metric("it", 100 * mean("right", "a")), Metric("marks", mean("mark", "a")))
    found = intervals(Scored("toy", "official", "it", (*part, *rest), metrics))
    assert (found["it"].low, found["it"].high) == pytest.approx((69.15, 100), abs=0.01)
    marks = found["marks"]
    assert (marks.high - marks.low) / (2 * marks.error) > 2.1  # Student's t; 1.96 would be the normal distribution's


def test_the_standard_error_is_the_textbook_one() -> None:
    random = np.random.default_rng(1)
    answers = (random.random(400) < 0.6).astype(float)
    found = _interval(_scored([[each] for each in answers]), resamples=8000)
    textbook = 100 * math.sqrt(answers.var() / 400)
    assert found.error == pytest.approx(textbook, rel=0.05)
    assert found.high - found.low == pytest.approx(2 * 1.96 * textbook, rel=0.07)


@pytest.mark.parametrize(
    ("values", "formula", "why"),
    [
        ([[1.0, 0.0]], 100 * mean("right"), "one picture"),
        ([[1.0], [0.0], [1.0]], 100 * mean("absent"), "undefined"),
        ([[1.0], *([[0.0]] * 6)], number(100) / total("right"), "too few pictures"),
        ([[0.5]] * 9, 100 * mean("right"), "all pictures give the same"),
    ],
)
def test_where_nothing_can_be_said_nothing_is(values: list[list[float]], formula: Formula, why: str) -> None:
    found = _interval(_scored(values, formula))
    assert why in found.unknown
    assert math.isnan(found.low)
    assert math.isnan(found.error)


@pytest.mark.parametrize(("value", "expected"), [(1.0, (95.2, 100)), (0.0, (0, 4.8))])
def test_none_wrong_is_not_never_wrong(value: float, expected: tuple[float, float]) -> None:
    """The exact binomial bound for 75 of 75: 100 * 0.025^(1/75)."""
    found = _interval(_scored([[value]] * 75))
    assert (found.low, found.high) == pytest.approx(expected, abs=0.05)


def test_the_same_seed_gives_the_same_interval_and_no_rows_none() -> None:
    scored = _scored([[float(k % 3 == 0)] for k in range(40)])
    assert intervals(scored) == intervals(scored)
    assert intervals(scored, seed=1) != intervals(scored)
    assert _interval(_scored([])).unknown


@pytest.mark.parametrize("ratio", [False, True])
def test_it_holds_the_truth_as_often_as_it_says(ratio: bool) -> None:
    """A small version of benchmarks/coverage.py: 60 questions about 24 pictures, as LLaVA-Bench has them."""
    random = np.random.default_rng(5)
    formula = 100 * total("right") / total("other") if ratio else 100 * mean("right")
    truth = 100 * 0.6 / 0.8 if ratio else 60.0
    held = 0
    for _ in range(400):
        rows = []
        shift = random.normal(0, 0.1, 24)
        for i in range(60):
            mark, other = (float(random.normal(mean_, 0.2) + shift[i % 24]) for mean_ in (0.6, 0.8))
            rows.append(Row(str(i), str(i % 24), {"right": mark, "other": other}))
        found = intervals(Scored("toy", "official", "it", tuple(rows), (Metric("it", formula),)), resamples=400)["it"]
        held += found.low <= truth <= found.high
    assert 0.92 <= held / 400 <= 0.98
