"""The neutral format: what it says, how near it is, and that C++ and PyTorch write the same."""

from __future__ import annotations

import pytest
import torch

from pumice.errors import ModelError, UsageError
from pumice.quantize import grouped, linear
from pumice.quantize.grouped import Grouped, encode, encode_plainly
from pumice.quantize.linear import QuantizedLinear
from pumice.quantize.plan import Format, Plan, standard_plan

FORMATS = [Format(4, 32), Format(4, 128), Format(8, 32)]


def error(weight: torch.Tensor, found: Grouped) -> float:
    return float((found.decode() - weight).square().mean().sqrt())


@pytest.mark.parametrize("how", FORMATS, ids=str)
def test_the_library_encodes_as_defined(how: Format) -> None:
    weight = torch.randn(70, 256, generator=torch.Generator().manual_seed(0))
    found = encode(weight, how)
    values, scales = encode_plainly(weight, how)
    plain = Grouped(values if how.bits == 4 else values.view(torch.int8), scales, how)
    assert found.values.shape == plain.values.shape and found.shape == (70, 256)
    # Sums in another order may decide between two scales that are equally good; nothing else may differ.
    same = (found.scales == plain.scales).float().mean()
    assert same > 0.99
    assert abs(error(weight, found) - error(weight, plain)) < 1e-5


def test_four_bits_are_nearer_than_the_plain_rule() -> None:
    """llama.cpp's Q4_0 makes the largest weight of each group -8; the search may not be worse than that, ever."""
    weight = torch.randn(64, 512, generator=torch.Generator().manual_seed(1))
    groups = weight.unflatten(1, (-1, 32))
    scale = (groups.gather(-1, groups.abs().argmax(-1, keepdim=True)) / -8).half().float()
    q4_0 = ((groups / scale + 8.5).floor().clamp(0, 15) - 8) * scale
    plain = (q4_0 - groups).square().sum(-1)
    searched = (encode(weight, Format(4)).decode().unflatten(1, (-1, 32)) - groups).square().sum(-1)
    assert searched.sum() < 0.92 * plain.sum()
    assert (searched <= plain * 1.01 + 1e-6).all()


@pytest.mark.parametrize("how", FORMATS, ids=str)
@pytest.mark.parametrize("wrong", [torch.inf, -torch.inf, torch.nan])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_not_finite_is_refused(how: Format, wrong: float, dtype: torch.dtype) -> None:
    """In whatever slice; the group would have become zeros without a word."""
    weight = torch.randn(70, 256, generator=torch.Generator().manual_seed(0)).to(dtype)
    weight[65, 100] = wrong
    with pytest.raises(ModelError, match=r"gate: expected finite weights, found 1 of 17920"):
        encode(weight, how, "gate")


def test_a_sum_that_is_too_large_is_no_mistake() -> None:
    encode(torch.full((4, 64), 3e38), Format(8))


def test_what_can_be_said_exactly_is() -> None:
    whole = torch.randint(-7, 8, (5, 64), generator=torch.Generator().manual_seed(2)).float()
    whole[:, ::32] = 7  # so that every group uses its range
    torch.testing.assert_close(encode(whole * 0.25, Format(4)).decode(), whole * 0.25, rtol=2e-3, atol=1e-3)
    assert not encode(torch.zeros(3, 64), Format(4)).decode().any()
    assert not encode(torch.zeros(3, 64), Format(8)).decode().any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_float_type_in_slices(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    weight = torch.randn(19, 64, generator=torch.Generator().manual_seed(3)).to(dtype)
    whole = encode(weight.float(), Format(4))
    monkeypatch.setattr(grouped, "SLICE", 128)
    parts = encode(weight, Format(4))
    assert torch.equal(whole.values, parts.values) and torch.equal(whole.scales, parts.scales)


@pytest.mark.parametrize("how", FORMATS, ids=str)
def test_without_the_library(how: Format, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch alone: the same numbers, from weights that are widened for each product."""
    monkeypatch.setattr(grouped, "native", lambda: None)
    monkeypatch.setattr(linear, "native", lambda: None)
    weight, bias = torch.randn(40, 128), torch.randn(40)
    weights = encode(weight, how)
    made = QuantizedLinear(128, 40, how, bias=True)
    assert made.bias is not None
    made.bias.data.copy_(bias)
    made.fill(weights, torch.device("cpu"))
    assert not made.packed
    x = torch.randn(3, 2, 128)
    torch.testing.assert_close(made(x), x @ weights.decode().T + bias, rtol=1e-4, atol=1e-4)
    assert made(x.bfloat16()).dtype == torch.bfloat16


def test_a_layer_knows_its_shape_without_numbers() -> None:
    """On the meta device, where models are built before they are loaded."""
    made = QuantizedLinear(64, 32, Format(4), bias=False)
    made.fill(encode(torch.randn(32, 64), Format(4)), torch.device("cpu"))
    assert made(torch.empty(2, 64, device="meta")).shape == (2, 32)
    assert repr(made) == "QuantizedLinear(64, 32, bits=4, group=32)"


def test_plans() -> None:
    plan = standard_plan(4, group=128, vision_bits=8)
    assert plan.for_layer("language.layers.0.mlp.gate_proj", (64, 256)) == Format(4, 128)
    assert plan.for_layer("language.layers.0.mlp.gate_proj", (64, 96)) is None, "96 is no multiple of 128"
    assert plan.for_layer("language.lm_head", (64, 256)) == Format(8)
    assert plan.for_layer("vision.layers.3.mlp.fc1", (64, 256)) == Format(8)
    assert plan.for_layer("language.embed_tokens", (64, 256)) is None
    assert plan.for_layer("connector.layers.0", (64, 256)) is None
    assert standard_plan(8) == Plan(Format(8), Format(8))
    with pytest.raises(UsageError, match="4 or 8 bits"):
        Format(3)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="32, 64, 128"):
        Format(4, 48)
    assert Format(4, 32).nbytes((10, 64)) == 10 * 32 + 10 * 2 * 2
