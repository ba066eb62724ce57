"""The decoder: the same logits whichever way a sequence reaches it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import tiny
from pumice.model import layers as model_layers
from pumice.model.cache import JoinedCache, KVCache
from pumice.model.config import RopeScaling
from pumice.model.language import Decoder
from pumice.model.layers import RMSNorm, attend, quick_gelu, rotary_frequencies, rotary_tables, rotate

CPU = torch.device("cpu")
SHAPES: dict[str, dict[str, Any]] = {
    "grouped": {},
    "single-key": {"kv_heads": 1},
    "every-head": {"kv_heads": 4},
    "window": {"sliding_window": 5},
    "linear": {"rope_scaling": RopeScaling("linear", 4.0)},
    "llama3": {"rope_scaling": RopeScaling("llama3", 8.0, 1.0, 4.0, 64)},
    "tied": {"tied_embeddings": True},
    "wide-head": {"head_dim": 16},
}


def decoder(name: str) -> Decoder:
    return tiny.model(3, sees=False, speak=tiny.language(**SHAPES[name])).language


def tokens(length: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, tiny.VOCABULARY, (length,), generator=generator)


@torch.inference_mode()
def whole(made: Decoder, ids: Tensor) -> Tensor:
    """Logits [L, V] of one row without a cache."""
    positions = torch.arange(len(ids))[None]
    return made.logits(made(made.embed_tokens(ids[None]), positions))[0]


def cache_for(made: Decoder, rows: int, capacity: int) -> KVCache:
    return KVCache.empty(made.config, rows, capacity, CPU, torch.float32)


@pytest.mark.parametrize("name", SHAPES)
@settings(deadline=None, max_examples=12)
@given(pieces=st.lists(st.integers(1, 6), min_size=1, max_size=6), spare=st.integers(0, 3), seed=st.integers(0, 99))
@torch.inference_mode()
def test_any_split_with_a_cache_equals_the_whole(name: str, pieces: list[int], spare: int, seed: int) -> None:
    made, ids = decoder(name), tokens(sum(pieces), seed)
    cache = cache_for(made, 1, len(ids) + spare)
    got, at = [], 0
    for length in pieces:
        positions = torch.arange(at, at + length)[None]
        got.append(made.logits(made(made.embed_tokens(ids[None, at : at + length]), positions, cache=cache))[0])
        at += length
    torch.testing.assert_close(torch.cat(got), whole(made, ids), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["grouped", "window"])
@settings(deadline=None, max_examples=12)
@given(lengths=st.lists(st.integers(1, 9), min_size=2, max_size=4), steps=st.integers(1, 7))
@torch.inference_mode()
def test_ragged_rows_with_a_cache_equal_single_rows(name: str, lengths: list[int], steps: int) -> None:
    """Shorter rows are padded on the right; their next tokens overwrite the padding's slots."""
    made = decoder(name)
    rows = [tokens(length + steps, seed) for seed, length in enumerate(lengths)]
    longest = max(lengths)
    ids = torch.full((len(rows), longest), 7)
    for row, (all_ids, length) in enumerate(zip(rows, lengths, strict=True)):
        ids[row, :length] = all_ids[:length]
    cache = cache_for(made, len(rows), longest + steps)
    hidden = made(made.embed_tokens(ids), torch.arange(longest).expand_as(ids), cache=cache)
    wanted = [whole(made, row) for row in rows]
    for row, length in enumerate(lengths):
        got = made.logits(hidden[row, :length])
        torch.testing.assert_close(got, wanted[row][:length], rtol=1e-4, atol=1e-5)
    for count in range(steps):
        places = torch.tensor([[length + count] for length in lengths])
        newest = torch.stack([row[length + count] for row, length in zip(rows, lengths, strict=True)])[:, None]
        got = made.logits(made(made.embed_tokens(newest), places, cache=cache))[:, 0]
        expected = torch.stack([each[length + count] for each, length in zip(wanted, lengths, strict=True)])
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_grouped_queries_equal_repeated_keys() -> None:
    """Four heads over two keys are four heads over four keys of which two and two are the same."""
    few = decoder("grouped")
    many = tiny.model(3, sees=False, speak=tiny.language(kv_heads=4)).language
    state = few.state_dict()
    for name, weight in state.items():
        if "k_proj" in name or "v_proj" in name:
            state[name] = weight.view(2, 8, 32).repeat_interleave(2, dim=0).reshape(32, 32)
    many.load_state_dict(state)
    ids = tokens(9)
    torch.testing.assert_close(whole(few, ids), whole(many, ids), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("window", [1, 2, 5, 8, 9, 50])
@torch.inference_mode()
def test_a_sliding_window_equals_a_mask_written_out(window: int) -> None:
    """Each token sees itself and the ``window - 1`` before it, with a mask made by hand."""
    made = tiny.model(3, sees=False, speak=tiny.language(sliding_window=window)).language
    open_made = tiny.model(3, sees=False).language
    ids = tokens(9)
    mask = torch.zeros(1, 1, 9, 9, dtype=torch.bool)
    for query in range(9):
        for key in range(9):
            mask[0, 0, query, key] = 0 <= query - key < window
    positions = torch.arange(9)[None]
    by_hand = open_made.logits(open_made(open_made.embed_tokens(ids[None]), positions, mask=mask))[0]
    torch.testing.assert_close(whole(made, ids), by_hand, rtol=1e-4, atol=1e-5)
    if window < 9:
        assert not torch.allclose(by_hand, whole(open_made, ids), atol=1e-3)


@torch.inference_mode()
def test_a_given_mask_does_not_switch_the_window_off() -> None:
    """Training gives a mask for every row; what lies beyond the window stays unseen there, too."""
    made = decoder("window")
    ids = tokens(12)
    causal = torch.ones(1, 1, 12, 12, dtype=torch.bool).tril()
    masked = made.logits(made(made.embed_tokens(ids[None]), torch.arange(12)[None], mask=causal))[0]
    torch.testing.assert_close(masked, whole(made, ids), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SHAPES)
@torch.inference_mode()
def test_no_token_sees_a_later_one(name: str) -> None:
    made = decoder(name)
    ids = tokens(10)
    other = ids.clone()
    other[6:] = (other[6:] + 1) % tiny.VOCABULARY
    first, second = whole(made, ids), whole(made, other)
    assert torch.equal(first[:6], second[:6])
    assert not torch.allclose(first[6:], second[6:], atol=1e-3)


@torch.inference_mode()
def test_tied_embeddings_are_the_output_weights() -> None:
    made = decoder("tied")
    assert not hasattr(made, "lm_head")
    hidden = torch.randn(3, 32)
    torch.testing.assert_close(made.logits(hidden), hidden @ made.embed_tokens.weight.T)


class Largest(TorchDispatchMode):
    """Remembers how many numbers the largest new tensor of this type had."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype, self.numbers = dtype, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if isinstance(found, Tensor) and found.dtype == self.dtype:
            self.numbers = max(self.numbers, found.numel())
        return found


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.inference_mode()
def test_narrow_tied_embeddings_are_widened_by_pieces(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """To what they give as a whole, without ever being there as a whole."""
    made = decoder("tied")
    made.embed_tokens.weight.data = made.embed_tokens.weight.data.to(dtype)
    wide, hidden = made.embed_tokens.weight.float(), torch.randn(2, 3, 32)
    monkeypatch.setattr(model_layers, "PIECE", 7 * 32 + 5)
    with Largest(torch.float32) as largest:
        found = made.logits(hidden)
    assert found.shape == (2, 3, tiny.VOCABULARY)
    torch.testing.assert_close(found, hidden @ wide.T, rtol=1e-6, atol=1e-6)
    assert largest.numbers == found.numel() < wide.numel()


@pytest.mark.parametrize("name", ["default", "linear", "llama3"])
@pytest.mark.parametrize("theta", [10000.0, 500000.0])
@pytest.mark.parametrize("head_dim", [8, 64, 128])
def test_rotary_speeds_equal_those_of_transformers(name: str, theta: float, head_dim: int) -> None:
    """Llama's own layer of the independent library, position by position."""
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    scaling: dict[str, Any] = {"rope_type": name, "rope_theta": theta}
    ours = None
    if name == "linear":
        scaling["factor"], ours = 4.0, RopeScaling("linear", 4.0)
    if name == "llama3":
        scaling |= {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
        scaling["original_max_position_embeddings"] = 8192
        ours = RopeScaling("llama3", 8.0, 1.0, 4.0, 8192)
    theirs = LlamaRotaryEmbedding(
        LlamaConfig(
            hidden_size=4 * head_dim,
            num_attention_heads=4,
            head_dim=head_dim,
            max_position_embeddings=65536,
            rope_parameters=scaling,
        )
    )
    config = tiny.language(head_dim=head_dim, rope_theta=theta, rope_scaling=ours)
    speeds = rotary_frequencies(config, CPU)
    torch.testing.assert_close(speeds, theirs.inv_freq.float(), rtol=1e-6, atol=0)
    positions = torch.tensor([[0, 1, 5, 100, 8191, 20000]])
    cos, sin = rotary_tables(positions, speeds, torch.float32)
    wanted_cos, wanted_sin = theirs(torch.zeros(1), positions)
    torch.testing.assert_close(cos[:, 0], wanted_cos, rtol=0, atol=2e-3)
    torch.testing.assert_close(sin[:, 0], wanted_sin, rtol=0, atol=2e-3)


@settings(deadline=None, max_examples=20)
@given(first=st.integers(0, 500), second=st.integers(0, 500), shift=st.integers(0, 500))
def test_rotation_knows_distances_only(first: int, second: int, shift: int) -> None:
    """A query and a key give the same product wherever the pair stands, and turning keeps lengths."""
    generator = torch.Generator().manual_seed(first)
    query, key = torch.randn(2, 1, 1, 1, 8, generator=generator, dtype=torch.float64)
    speeds = rotary_frequencies(tiny.language(), CPU).double()

    def turned(x: Tensor, position: int) -> Tensor:
        angles = torch.tensor(position, dtype=torch.float64) * speeds
        angles = torch.cat((angles, angles))
        return rotate(x, angles.cos(), angles.sin())

    here = (turned(query, first) * turned(key, second)).sum()
    there = (turned(query, first + shift) * turned(key, second + shift)).sum()
    torch.testing.assert_close(here, there, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(turned(query, first).norm(), query.norm(), rtol=1e-9, atol=1e-9)


def test_attention_by_hand() -> None:
    """The primitive against the formula, with groups and a mask."""
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(2, 4, 3, 8, generator=generator)
    key, value = torch.randn(2, 2, 2, 5, 8, generator=generator)
    mask = torch.rand(2, 1, 3, 5, generator=generator) < 0.6
    mask[..., 0] = True
    got = attend(query, key, value, mask, causal=False)
    for row in range(2):
        for head in range(4):
            scores = query[row, head] @ key[row, head // 2].T / 8**0.5
            weights = scores.masked_fill(~mask[row, 0], -torch.inf).softmax(-1)
            wanted = weights @ value[row, head // 2]
            torch.testing.assert_close(got[row, :, head * 8 : head * 8 + 8], wanted, rtol=1e-5, atol=1e-6)


def test_norm_is_computed_in_float32() -> None:
    """Large half-precision values do not overflow on the way to their mean square."""
    norm = RMSNorm(4, 1e-5).half()
    x = torch.tensor([[600.0, -600.0, 600.0, 600.0]], dtype=torch.float16)
    torch.testing.assert_close(norm(x), torch.tensor([[1.0, -1.0, 1.0, 1.0]], dtype=torch.float16))


def test_quick_gelu() -> None:
    torch.testing.assert_close(quick_gelu(torch.tensor([0.0, 1.0])), torch.tensor([0.0, 1 / (1 + 2.718281828**-1.702)]))


def filled(number: float, capacity: int) -> KVCache:
    cache = KVCache.empty(tiny.language(), 1, capacity, CPU, torch.float32)
    for tensor in (*cache.keys, *cache.values):
        tensor.fill_(number)
    return cache


def test_a_cache_copies_and_grows() -> None:
    cache = filled(2, 5)
    assert cache.nbytes == 2 * 2 * (2 * 5 * 8) * 4  # layers, keys and values, heads x slots x size, bytes
    copy = cache.beginning(2)
    copy.keys[0].fill_(9)
    assert copy.capacity == 2 and cache.keys[0].max() == 2
    cache.grow(4)
    assert cache.capacity == 5
    cache.grow(8)
    assert cache.keys[1][0, 0, :, 0].tolist() == [2] * 5 + [0] * 3 and cache.values[0].shape[2] == 8


def test_joined_rows_stay_where_they_are() -> None:
    rows = [filled(1, 3), filled(2, 5)]
    new = torch.full((2, 2, 1, 8), 7.0)
    keys, values = JoinedCache(rows).write(0, torch.tensor([[2], [4]]), new, new, 5)
    assert keys[:, 0, :, 0].tolist() == [[1, 1, 7, 0, 0], [2, 2, 2, 2, 7]]
    assert torch.equal(keys, values)
    assert rows[0].keys[0][0, 1, :, 3].tolist() == [1, 1, 7] and rows[0].keys[1].max() == 1


def test_a_cache_may_be_narrower_than_what_it_holds() -> None:
    cache = KVCache.empty(tiny.language(), 1, 2, CPU, torch.bfloat16)
    new = torch.full((1, 2, 1, 8), 1 / 3)
    keys, _ = cache.write(0, torch.tensor([[1]]), new, new, 2)
    assert keys.dtype == torch.float32 and keys[0, 0, 1, 0] == torch.tensor(1 / 3).bfloat16().float()
