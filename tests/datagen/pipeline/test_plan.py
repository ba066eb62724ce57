"""What a plan orders: a number of samples for each scene that the plan and the scene's id decide."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.datagen.plan import Plan, read_rates
from pumice.datagen.samples import KINDS
from pumice.errors import UsageError

RATES = st.dictionaries(st.sampled_from(KINDS), st.floats(0.01, 5), min_size=1)


@given(RATES, st.integers(0, 2**31), st.text(min_size=1, max_size=20))
def test_orders_are_whole_numbers_near_the_rates_and_always_the_same(
    rates: dict[str, float], seed: int, scene: str
) -> None:
    plan = Plan(rates, seed)  # type: ignore[arg-type]
    orders = list(plan.orders(scene))
    assert orders == list(Plan(dict(reversed(rates.items())), seed).orders(scene))  # type: ignore[arg-type]
    assert len({order.id for order in orders}) == len(orders)
    for kind in KINDS:
        count = sum(order.kind == kind for order in orders)
        assert math.floor(rates.get(kind, 0)) <= count <= math.ceil(rates.get(kind, 0))
    assert [order.kind for order in orders] == sorted((order.kind for order in orders), key=KINDS.index)


def test_a_fraction_is_met_over_many_scenes_and_other_seeds_choose_others() -> None:
    first, second = (Plan({"detail": 0.25}, seed) for seed in (0, 1))
    chosen = [{str(scene) for scene in range(4000) if list(plan.orders(str(scene)))} for plan in (first, second)]
    for each in chosen:
        assert abs(len(each) / 4000 - 0.25) < 4 * math.sqrt(0.25 * 0.75 / 4000)
    assert abs(len(chosen[0] & chosen[1]) / 4000 - 0.0625) < 0.02, "they are chosen independently"


@given(RATES)
def test_rates_are_read_as_they_are_written(rates: dict[str, float]) -> None:
    assert read_rates(" , ".join(f"{kind} = {rate!r}" for kind, rate in rates.items())) == rates


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("conversation=1,conversatoin=2", "did you mean conversation?"),
        ("detail=0", "0.25"),
        ("detail=nan", "0.25"),
        ("detail=many", "0.25"),
        ("detail=1e9", "0.25"),
        ("detail,detail", None),
    ],
)
def test_what_makes_no_sense_is_refused(text: str, hint: str | None) -> None:
    with pytest.raises(UsageError) as refused:
        read_rates(text)
    assert hint is None or hint in str(refused.value.hint)


def test_a_plan_for_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="no kind"):
        Plan(read_rates(" , "))
    with pytest.raises(UsageError, match="--tries"):
        Plan({"detail": 1}, tries=0)
