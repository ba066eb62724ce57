"""Every path of the native library against the same float64 arithmetic."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pumice.quantize.grouped import Grouped, encode
from pumice.quantize.library import Native, native
from pumice.quantize.linear import QuantizedLinear
from pumice.quantize.plan import Format

CPU = torch.device("cpu")
FORMATS = [Format(bits, group) for bits in (4, 8) for group in (32, 64, 128)]  # type: ignore[arg-type]


def library() -> Native:
    found = native()
    assert found is not None, "the library must be built where the tests run: it needs a C++17 compiler"
    return found


@pytest.fixture(params=library().choices)
def path(request: pytest.FixtureRequest) -> Iterator[str]:
    with library().using(request.param):
        yield request.param


def rounded(x: Tensor, group: int) -> Tensor:
    """``x`` [M, K] as int8 with one scale for each ``group``, float64: what the library multiplies with."""
    groups = x.unflatten(-1, (-1, group))
    largest = groups.abs().amax(-1, keepdim=True)
    inverse = torch.where(largest > 0, torch.full_like(largest, 127) / largest, 0.0)  # 127 / x is 127 * (1 / x)
    return ((groups * inverse).round().double() * (largest / 127).double()).flatten(-2)


def layer(weights: Grouped, bias: Tensor | None) -> QuantizedLinear:
    rows, columns = weights.shape
    made = QuantizedLinear(columns, rows, weights.format, bias=bias is not None)
    if bias is not None and made.bias is not None:
        made.bias.data.copy_(bias)
    made.fill(weights, CPU)
    assert made.packed
    return made


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_the_best_instructions_are_chosen() -> None:
    found = library()
    assert found.instructions == found.choices[0]
    assert found.choices[-1] == "portable"
    with pytest.raises(ValueError, match="expected one of"), found.using("abacus"):
        pass


@pytest.mark.parametrize("how", FORMATS, ids=str)
def test_a_product_is_exact_up_to_float32(path: str, how: Format) -> None:
    del path
    weights, bias = encode(random(1, 97, 384), how), random(2, 97)
    for positions in (1, 2, 3, 5, 7, 11, 12, 13, 40):
        x = random(positions, positions, 384)
        wanted = rounded(x, how.group) @ weights.decode().double().T + bias
        torch.testing.assert_close(layer(weights, bias)(x).double(), wanted, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("how", FORMATS, ids=str)
def test_what_is_not_finite_spoils_its_own_position(path: str, how: Format, bad: float) -> None:
    del path
    made, x = layer(encode(random(1, 40, 256), how), None), random(2, 14, 256)
    for positions in (3, 14):
        spoiled = x[:positions].clone()
        spoiled[1, 5] = bad
        y, wanted = made(spoiled), made(x[:positions])
        assert y[1].isnan().all() and torch.equal(y[0], wanted[0]) and torch.equal(y[2:], wanted[2:])


def test_values_next_to_nothing_are_nothing() -> None:
    made = layer(encode(random(1, 40, 64), FORMATS[0]), None)
    assert torch.equal(made(torch.full((1, 64), 1e-37)), torch.zeros(1, 40))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(FORMATS),
    st.sampled_from(library().choices),
    st.integers(1, 140),
    st.integers(1, 5),
    st.integers(1, 30),
    st.integers(0, 999),
)
def test_any_shape(how: Format, instructions: str, rows: int, groups: int, positions: int, seed: int) -> None:
    columns = groups * how.group
    weights, x = encode(random(seed, rows, columns), how), random(seed + 1, positions, columns)
    with library().using(instructions):
        made = layer(weights, None)
        y = made(x)
        wanted = rounded(x, how.group) @ weights.decode().double().T
        torch.testing.assert_close(y.double(), wanted, rtol=1e-5, atol=1e-4)
        row = seed % positions
        assert torch.equal(made(x[row : row + 1])[0], y[row]), "one position alone gives what many give together"


@pytest.mark.parametrize("how", FORMATS, ids=str)
def test_all_paths_agree(how: Format) -> None:
    weights, x = encode(random(3, 64, 256), how), random(4, 17, 256)
    made = layer(weights, None)
    results = []
    for name in library().choices:
        with library().using(name):
            results.append(made(x))
    for other in results[1:]:
        torch.testing.assert_close(results[0], other, rtol=1e-6, atol=1e-5)


def test_extreme_values(path: str) -> None:
    """The largest integers on both sides, zeros, and a group that is zero throughout."""
    del path
    for how in (Format(4), Format(8)):
        weight = torch.full((33, 64), -1.0)
        weight[1, :32] = 0
        x = torch.full((13, 64), 3.0)
        x[1] = 0
        x[2] *= -1
        made = layer(encode(weight, how), None)
        torch.testing.assert_close(made(x), x @ weight.T, rtol=1e-3, atol=1e-3)
        assert not made(x)[1].any()


def test_more_threads_change_nothing() -> None:
    made, x = layer(encode(random(5, 300, 128), Format(4)), random(6, 300)), random(7, 25, 128)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 5):
            torch.set_num_threads(threads)
            results.append(made(x))
            assert library().call.pumice_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(results[0], other) for other in results)


@pytest.mark.parametrize(
    ("bits", "rows", "columns", "group"),
    [(5, 32, 64, 32), (4, 0, 64, 32), (4, 32, 65, 32), (8, 32, 64, 7), (4, 8, 64, 0)],
)
def test_impossible_shapes_are_refused(bits: int, rows: int, columns: int, group: int) -> None:
    assert library().call.pumice_packed_bytes(bits, rows, columns, group) == -1
    assert library().call.pumice_linear(bits, None, rows, columns, group, None, 1, None, None) == -1
