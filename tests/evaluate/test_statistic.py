"""Formulas and weighted rows: what a metric is, whatever the weighting."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.errors import UsageError
from pumice.evaluate.formula import Formula, added, average, count, mean, number, read, total
from pumice.evaluate.statistic import Clusters, Metric, Row, Scored

ROWS = st.lists(
    st.builds(
        Row,
        question_id=st.just("q"),
        cluster=st.sampled_from("abcde"),
        values=st.dictionaries(st.sampled_from(["right", "other"]), st.integers(-3, 9).map(float)),
        group=st.sampled_from(["", "g", "h"]),
    ),
    max_size=30,
)
LEAVES = st.one_of(
    st.integers(-5, 5).map(number),
    st.builds(total, st.sampled_from(["right", "other"]), st.sampled_from([None, "g"])),
    st.builds(count, st.sampled_from(["right", "other"]), st.sampled_from([None, "h"])),
)
FORMULAS = st.recursive(
    LEAVES,
    lambda parts: st.builds(
        lambda sign, a, b: Formula(sign, (a, b)), st.sampled_from(["+", "-", "*", "/"]), parts, parts
    ),
    max_leaves=8,
)


def _by_hand(formula: Formula, rows: list[Row]) -> float:
    """The definition, row by row."""
    if formula.operation == "number":
        return formula.constant
    if formula.operation in ("total", "count"):
        mine = [r for r in rows if formula.value in r.values and formula.group in (None, r.group)]
        return float(sum(r.values[formula.value] for r in mine)) if formula.operation == "total" else float(len(mine))
    left, right = (_by_hand(part, rows) for part in formula.parts)
    if formula.operation == "/":
        return math.nan if right == 0 else left / right
    return {"+": left + right, "-": left - right, "*": left * right}[formula.operation]


@given(FORMULAS, ROWS, st.lists(st.integers(0, 3), min_size=5, max_size=5))
def test_a_weighting_is_rows_repeated(formula: Formula, rows: list[Row], times: list[int]) -> None:
    clusters = Clusters(rows, "abcde")
    repeated = [row for row in rows for _ in range(times["abcde".index(row.cluster)])]
    weights = np.array([times, [1] * 5], dtype=np.float64)
    expected = [_by_hand(formula, repeated), _by_hand(formula, rows)]
    found = np.broadcast_to(formula.compute(clusters.weighted(weights)), 2)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(formula.compute(clusters.all()), expected[1:], rtol=1e-9, atol=1e-9)


@given(FORMULAS, ROWS)
def test_leaving_out_a_cluster_is_leaving_out_its_rows(formula: Formula, rows: list[Row]) -> None:
    found = np.broadcast_to(formula.compute(Clusters(rows, "abcde").without_each()), 5)
    expected = [_by_hand(formula, [row for row in rows if row.cluster != name]) for name in "abcde"]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@given(FORMULAS)
def test_a_formula_survives_its_file(formula: Formula) -> None:
    assert read(json.loads(json.dumps(formula.written()))) == formula


@pytest.mark.parametrize(
    "written", [None, [], ["mean", "right"], ["total", 3, None], ["/", ["number", 1]], ["number", "x"]]
)
def test_what_is_no_formula_is_refused(written: object) -> None:
    with pytest.raises(UsageError, match="expected a formula"):
        read(written)


def test_published_metrics_by_hand() -> None:
    rows = [
        Row("1", "a", {"right": 1, "both": 1, "tp": 1}, "count", True),
        Row("2", "a", {"right": 1, "fp": 1}, "count", True),
        Row("3", "b", {"right": 0, "both": 0, "fn": 1}, "colour", False),
        Row("4", "b", {"right": 1}, "colour", True),
    ]
    perception = added([100 * mean("right", each) + 100 * mean("both", each) for each in ("count", "colour")])
    metrics = (
        Metric("accuracy", 100 * mean("right")),
        Metric("macro", 100 * average([mean("right", each) for each in ("count", "colour")])),
        Metric("mme", perception, scale=400),
        Metric("f1", 200 * total("tp") / (2 * total("tp") + total("fp") + total("fn"))),
        Metric("twice less one", 2 * mean("right") - 1),
        Metric("one less", 1 - mean("right")),
        Metric("ratio", mean("right") / mean("both")),
        Metric("nothing", mean("absent")),
    )
    scored = Scored("toy", "official", "mme", tuple(rows), metrics)
    assert scored.value() == 250
    found = {metric.name: scored.value(metric.name) for metric in metrics}
    nothing = found.pop("nothing")
    assert math.isnan(nothing)
    assert found == {
        **{"accuracy": 75, "macro": 75, "mme": 250, "f1": 50},
        **{"twice less one": 0.5, "one less": 0.25, "ratio": 1.5},
    }
    with pytest.raises(UsageError, match="no metric 'F1'"):
        scored.value("F1")


def test_a_headline_is_one_of_the_metrics() -> None:
    with pytest.raises(ValueError, match="headline 'x'"):
        Scored("toy", "official", "x", (), (Metric("y", mean("right")),))
    twice = (Metric("y", mean("right")), Metric("y", mean("other")))
    with pytest.raises(ValueError, match="names of their own"):
        Scored("toy", "official", "y", (), twice)
