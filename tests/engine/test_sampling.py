"""From logits to tokens: the right set is kept, and sampled as often as it should be."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pumice.engine.sampling import Sampler, distribution
from pumice.options import SamplingOptions

# Eighths, so that equal logits are equal and different ones are far apart.
LOGITS = st.lists(st.integers(-64, 64).map(lambda n: n / 8), min_size=1, max_size=12)


def naive(logits: list[float], options: SamplingOptions) -> list[float]:
    """The definition, in plain Python: most likely first, cut to k, cut to p, scaled to one."""
    worst = sorted(logits, reverse=True)[min(options.top_k or len(logits), len(logits)) - 1]
    highest = max(logits)
    raw = [math.exp((x - highest) / options.temperature) if x >= worst else 0.0 for x in logits]
    weights = [w / sum(raw) for w in raw]
    order = sorted(range(len(logits)), key=lambda index: (-logits[index], index))
    mass, kept = 0.0, set()
    for index in order:
        if mass < options.top_p or options.top_p == 1:
            kept.add(index)
        mass += weights[index]
    total = sum(weights[index] for index in kept)
    return [weights[index] / total if index in kept else 0.0 for index in range(len(logits))]


@settings(deadline=None, max_examples=150)
@given(LOGITS, st.sampled_from([0.1, 0.7, 1.0, 3.0]), st.integers(0, 14), st.integers(1, 99))
def test_equal_to_the_definition(logits: list[float], temperature: float, top_k: int, percent: int) -> None:
    # An odd share, which no sum of these weights meets exactly.
    options = SamplingOptions(temperature=temperature, top_k=top_k, top_p=percent / 100 + 0.00314159)
    got = distribution(torch.tensor(logits), options)
    wanted = torch.tensor(naive(logits, options))
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-6)
    assert torch.equal(got > 0, wanted.float() > 0) or (wanted[got.eq(0) != wanted.eq(0)] < 1e-6).all()


@settings(deadline=None, max_examples=60)
@given(LOGITS, st.floats(0.01, 100.0), st.integers(0, 14), st.floats(0.001, 1.0))
def test_always_a_distribution(logits: list[float], temperature: float, top_k: int, top_p: float) -> None:
    options = SamplingOptions(temperature=temperature, top_k=top_k, top_p=top_p)
    got = distribution(torch.tensor(logits), options)
    assert got.min() >= 0 and float(got.sum()) == pytest.approx(1.0, abs=1e-5)
    assert got[int(torch.tensor(logits).argmax())] > 0


@settings(deadline=None, max_examples=60)
@given(LOGITS, st.sampled_from([1e-3, 1e-6, 1e-30, 1e-38, 1e-44, 1e-300]), st.floats(0.1, 1.0))
def test_cold_is_greedy(logits: list[float], temperature: float, top_p: float) -> None:
    """Towards a temperature of 0 only the most likely tokens remain, however small the number is."""
    got = distribution(torch.tensor(logits), SamplingOptions(temperature=temperature, top_p=top_p))
    best = torch.tensor([x == max(logits) for x in logits])
    assert float(got.sum()) == pytest.approx(1.0, abs=1e-5)
    assert got[~best].sum() == 0


def test_top_k_of_one_and_a_tiny_top_p_are_greedy() -> None:
    logits = torch.tensor([0.0, 2.0, 1.0])
    for options in (SamplingOptions(temperature=5.0, top_k=1), SamplingOptions(temperature=5.0, top_p=1e-9)):
        assert distribution(logits, options).tolist() == [0.0, 1.0, 0.0]


def test_refused_tokens_stay_refused() -> None:
    logits = torch.tensor([-torch.inf, 1.0, -torch.inf, 0.0])
    got = distribution(logits, SamplingOptions(temperature=1.0, top_k=3, top_p=0.99))
    assert got[0] == got[2] == 0 and float(got.sum()) == pytest.approx(1.0)


def test_drawn_as_often_as_they_should_be() -> None:
    options = SamplingOptions(temperature=0.8, top_k=4, top_p=0.97, seed=11)
    logits = torch.tensor([1.0, 0.2, -0.5, 2.0, -3.0, 0.9])
    wanted = distribution(logits, options)
    sampler, draws = Sampler(options), 4000
    counts = torch.bincount(torch.tensor([sampler.choose(logits) for _ in range(draws)]), minlength=6)
    assert counts[wanted == 0].sum() == 0
    spread = (draws * wanted * (1 - wanted)).sqrt()
    assert ((counts - draws * wanted).abs() <= 4 * spread + 1e-6).all()


def test_seeds() -> None:
    logits = torch.zeros(100)
    warm = SamplingOptions(temperature=1.0, seed=5)
    first, second = ([sampler.choose(logits) for _ in range(5)] for sampler in (Sampler(warm), Sampler(warm)))
    assert first == second
    assert Sampler(warm).seed == 5
    assert Sampler(SamplingOptions(seed=5)).seed is None
    free = [Sampler(SamplingOptions(temperature=1.0)).seed for _ in range(4)]
    assert None not in free and len(set(free)) > 1


def test_greedy_takes_the_largest_of_any_format() -> None:
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        assert Sampler(SamplingOptions()).choose(torch.tensor([0.0, 3.0, 2.0], dtype=dtype)) == 1
