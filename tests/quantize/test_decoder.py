"""The native decode step against PyTorch's, which is its definition."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import tiny
from pumice.engine.decode import FEW, PIECE, Runner
from pumice.model.cache import KVCache
from pumice.model.config import RopeScaling
from pumice.model.llava import Llava
from pumice.quantize.grouped import encode
from pumice.quantize.library import native
from pumice.quantize.plan import Bits, Format, Plan, standard_plan
from pumice.quantize.swap import linears, quantize_layers
from pumice.quantize.wide import WideLinear, widen_layers

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def without_bf16_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's side is float32 on every processor: with bfloat16 in hardware it would round what goes in, too."""
    monkeypatch.setattr("pumice.quantize.wide._has_bf16_products", lambda: False)


def quantized(plan: Plan, **changes: Any) -> Llava:
    made = tiny.model(speak=tiny.language(**{"intermediate_size": 64, **changes}))
    linear = {name: (layer.weight.detach(), layer.bias) for name, layer in linears(made)}
    for name, layer in quantize_layers(made, plan).items():
        weight, layer.bias = linear[name]
        layer.fill(encode(weight, layer.how), CPU)
    return made


def wide(dtype: torch.dtype = torch.bfloat16, **changes: Any) -> Llava:
    made = tiny.model(speak=tiny.language(**{"intermediate_size": 64, **changes}))
    for _, layer in linears(made):
        layer.weight.data = layer.weight.data.to(dtype)
    widen_layers(made)
    return made


def copy(cache: KVCache) -> KVCache:
    return cache.beginning(cache.capacity)


def tensors(caches: list[KVCache]) -> list[Tensor]:
    """What is stored; integers times their scales."""
    found = []
    for cache in caches:
        keys, values, *scales = cache.parts
        ones = [torch.ones(1)] * len(keys)
        for part, sizes in zip((keys, values), scales, strict=True):
            found += [tensor.float() * size for tensor, size in zip(part, sizes or ones, strict=True)]
    return found


def both_ways(made: Llava, lengths: list[int], steps: int, *, kv_8bit: bool = False) -> None:
    """Rows of these lengths, then ``steps`` tokens in each: every logit and every cache slot."""
    fast, slow = Runner(made, kv_8bit=kv_8bit), Runner(made, kv_8bit=kv_8bit)
    assert fast.native is not None
    slow.native = None
    generator = torch.Generator().manual_seed(sum(lengths))
    caches = []
    for length in lengths:
        ids = torch.randint(3, 400, (length,), generator=generator).tolist()
        cache = fast.new_cache(length)
        fast.prefill(ids, 0, None, cache)
        caches.append(cache)
    ours, theirs = caches, [copy(cache) for cache in caches]
    for index in range(steps):
        tokens = torch.randint(3, 400, (len(lengths),), generator=generator).tolist()
        places = [length + index for length in lengths]
        found, wanted = fast.step(tokens, places, ours), slow.step(tokens, places, theirs)
        # A rounding to int8 or bfloat16 that falls to the other side moves a logit by this much, not more.
        torch.testing.assert_close(found, wanted, rtol=0.02, atol=0.02 * float(wanted.abs().max()))
        assert (found - wanted).abs().mean() < 2e-3 * wanted.abs().max()
    for one, other in zip(tensors(ours), tensors(theirs), strict=True):
        torch.testing.assert_close(one.float(), other.float(), rtol=0.02, atol=0.02)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"heads": 2, "kv_heads": 2, "head_dim": 16},
        {"heads": 4, "kv_heads": 1, "head_dim": 32},
        {"rope_scaling": RopeScaling("linear", 2.0), "rope_theta": 500.0},
        {"vocab_size": 481},
        {"qkv_bias": True},
        {"qkv_bias": True, "heads": 4, "kv_heads": 1, "head_dim": 32},
    ],
    ids=str,
)
@pytest.mark.parametrize("plan", [standard_plan(4), standard_plan(8), Plan(Format(4), Format(4))], ids=str)
def test_fused_is_eager(plan: Plan, changes: dict[str, Any]) -> None:
    both_ways(quantized(plan, **changes), [9], 4)
    both_ways(quantized(plan, **changes), [9], 4, kv_8bit=True)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_16_bits_where_they_lie(dtype: torch.dtype) -> None:
    both_ways(wide(dtype), [9], 4)
    both_ways(wide(dtype), [9], 4, kv_8bit=True)
    both_ways(wide(dtype, vocab_size=483), [3, 11, 30], 2)
    both_ways(wide(dtype, qkv_bias=True), [3, 11, 30], 2)


def test_bf16_products_round_what_goes_in_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """On processors that have them; PyTorch computes them everywhere."""
    layer = WideLinear(torch.nn.Parameter(torch.randn(48, 96).bfloat16()), torch.randn(48))
    rows = torch.randn(5, 96)
    wanted = layer(rows.bfloat16().float())
    monkeypatch.setattr("pumice.quantize.wide._has_bf16_products", lambda: True)
    found = layer(rows)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted, rtol=2**-7, atol=2**-7 * float(wanted.abs().max()))
    assert not torch.equal(found, wanted), "it is rounded to bfloat16"


def test_16_bits_among_8() -> None:
    mixed = quantized(standard_plan(8), vocab_size=481)
    mixed.language.lm_head = WideLinear(torch.nn.Parameter(torch.randn(481, 32).bfloat16()), None)
    both_ways(mixed, [4, 5], 2)


@pytest.mark.parametrize("instructions", native().choices if native() else [])  # type: ignore[union-attr]
def test_every_path(instructions: str) -> None:
    library = native()
    assert library is not None
    with library.using(instructions):
        for size in (8, 16, 24):
            both_ways(quantized(standard_plan(4), heads=4, head_dim=size), [5, 12], 3)
            both_ways(quantized(standard_plan(4), heads=4, head_dim=size), [5, 12], 3, kv_8bit=True)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=14), st.booleans())
def test_ragged_rows(lengths: list[int], kv_8bit: bool) -> None:
    both_ways(quantized(standard_plan(4)), lengths, 2, kv_8bit=kv_8bit)


@pytest.mark.parametrize("kv_8bit", [False, True])
def test_a_row_alone_is_that_row_among_others(kv_8bit: bool) -> None:
    made = quantized(standard_plan(4))
    runner = Runner(made, kv_8bit=kv_8bit)
    caches = []
    for length in (7, 20, 3):
        cache = runner.new_cache(length)
        runner.prefill(list(range(5, 5 + length)), 0, None, cache)
        caches.append(cache)
    alone = [
        runner.step([9 + index], [length], [copy(cache)])
        for index, (length, cache) in enumerate(zip((7, 20, 3), caches, strict=True))
    ]
    together = runner.step([9, 10, 11], [7, 20, 3], caches)
    assert torch.equal(torch.cat(alone), together)


def test_what_it_cannot_do_is_left_to_pytorch() -> None:
    assert Runner(tiny.model()).native is None
    assert Runner(quantized(standard_plan(4), sliding_window=8)).native is None
    assert Runner(quantized(standard_plan(4), tied_embeddings=True)).native is None
    biased = quantized(standard_plan(4))
    biased.language.layers[0].mlp.up_proj.bias = torch.nn.Parameter(torch.zeros(64))
    assert Runner(biased).native is None, "only queries, keys and values have biases"
    assert Runner(quantized(standard_plan(4), hidden_size=48, head_dim=12)).native is None, "48 is no multiple of 32"
    assert Runner(quantized(standard_plan(4))).new_cache(3).keys[0].dtype == torch.bfloat16
    assert Runner(tiny.model()).new_cache(3).keys[0].dtype == torch.float32


@pytest.mark.parametrize(
    "made",
    [
        wide(),
        wide(torch.float16),
        quantized(standard_plan(4)),
        wide(qkv_bias=True),
        quantized(standard_plan(4), qkv_bias=True),
    ],
    ids=["bf16", "fp16", "4 bits", "bf16 and biases", "4 bits and biases"],
)
@pytest.mark.parametrize(("start", "length"), [(0, 1), (0, 17), (5, FEW + 5), (60, 60 + FEW), (0, PIECE + 40)])
@pytest.mark.parametrize("kv_8bit", [False, True])
def test_prompts_are_read_natively(made: Llava, start: int, length: int, kv_8bit: bool) -> None:
    fast, slow = Runner(made, kv_8bit=kv_8bit), Runner(made, kv_8bit=kv_8bit)
    slow.native = None
    assert length <= made.config.language.max_positions
    ids = torch.randint(3, 400, (length,), generator=torch.Generator().manual_seed(length)).tolist()
    ours = fast.new_cache(length)
    if start:
        slow.prefill(ids[:start], 0, None, ours)
    theirs = copy(ours)
    found, wanted = fast.prefill(ids, start, None, ours), slow.prefill(ids, start, None, theirs)
    torch.testing.assert_close(found, wanted, rtol=0.02, atol=0.02 * float(wanted.abs().max()))
    for one, other in zip(tensors([ours]), tensors([theirs]), strict=True):
        torch.testing.assert_close(one.float()[..., :length, :], other.float()[..., :length, :], rtol=0.03, atol=0.03)


@pytest.mark.parametrize("kv_8bit", [False, True])
@pytest.mark.parametrize("bits", [4, 8])
def test_a_prompt_in_pieces_is_the_prompt(bits: Bits, kv_8bit: bool) -> None:
    """To the last bit, for pieces of a dozen positions or more: how requests share turns changes no answer."""
    runner = Runner(quantized(standard_plan(bits), heads=4, kv_heads=2, head_dim=16), kv_8bit=kv_8bit)
    ids = torch.randint(3, 400, (200,), generator=torch.Generator().manual_seed(bits)).tolist()
    whole, pieces = runner.new_cache(200), runner.new_cache(200)
    wanted = runner.prefill(ids, 0, None, whole)
    for start, end in [(0, 12), (12, 100), (100, 113), (113, 200)]:
        found = runner.prefill(ids[:end], start, None, pieces)
    assert torch.equal(found, wanted)
    for one, other in zip(tensors([whole]), tensors([pieces]), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_tied_embeddings_are_the_head(dtype: torch.dtype) -> None:
    for made in (wide(dtype, tied_embeddings=True), quantized(standard_plan(8), tied_embeddings=True)):
        made.language.embed_tokens.weight.data = made.language.embed_tokens.weight.data.to(dtype)
        both_ways(made, [9, 4], 3)


def test_pictures_in_a_short_rest() -> None:
    """Features take their places among the embeddings on either way."""
    made = wide()
    inputs = tiny.processor()(tiny.question("Sky?", 1))
    assert len(inputs.ids) <= FEW
    features, fast, slow = tiny.features(made, inputs), Runner(made), Runner(made)
    slow.native = None
    assert features is not None
    found = fast.prefill(inputs.ids, 0, features, fast.new_cache(64))
    wanted = slow.prefill(inputs.ids, 0, features, fast.new_cache(64))
    torch.testing.assert_close(found, wanted, rtol=0.02, atol=0.02 * float(wanted.abs().max()))
    other = slow.prefill(inputs.ids, 0, features.flip(0), fast.new_cache(64))
    assert (other - wanted).abs().max() > 4 * (found - wanted).abs().max()


def test_what_is_no_number_stays_in_sight() -> None:
    """A position whose key is not finite spoils what looks at it, on either way; it does not become zero."""
    made = quantized(standard_plan(8))
    made.language.layers[0].input_layernorm.weight.data[3] = torch.inf
    fast, slow = Runner(made, kv_8bit=True), Runner(made, kv_8bit=True)
    slow.native = None
    for runner in (fast, slow):
        cache = runner.new_cache(20)
        assert runner.prefill(list(range(5, 25)), 0, None, cache).isnan().all()
        assert cache.key_scales[0][:, :, :20].isnan().all()
