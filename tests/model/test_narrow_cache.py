"""Keys and values as int8: near to what they were, and the same whichever way a sequence reaches them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import tiny
from pumice.model.cache import JoinedCache, KVCache
from pumice.model.language import Decoder

CPU = torch.device("cpu")


def narrow(rows: int, capacity: int) -> KVCache:
    return KVCache.empty(tiny.language(), rows, capacity, CPU, torch.int8)


def decoder() -> Decoder:
    return tiny.model(3, sees=False).language


def tokens(length: int, seed: int = 0) -> Tensor:
    return torch.randint(0, tiny.VOCABULARY, (length,), generator=torch.Generator().manual_seed(seed))


@torch.inference_mode()
def read(made: Decoder, ids: Tensor, cache: KVCache, *pieces: int) -> Tensor:
    """Logits [L, V] of ``ids``, read in pieces."""
    found, at = [], 0
    for piece in pieces:
        positions = torch.arange(at, at + piece)[None]
        found.append(made.logits(made(made.embed_tokens(ids[None, at : at + piece]), positions, cache=cache))[0])
        at += piece
    return torch.cat(found)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 999), power=st.integers(-20, 20), dtype=st.sampled_from([torch.float32, torch.bfloat16]))
def test_every_number_is_off_by_half_a_step_at_most(seed: int, power: int, dtype: torch.dtype) -> None:
    key, value = (torch.randn(2, 1, 2, 3, 8, generator=torch.Generator().manual_seed(seed)) * 2.0**power).to(dtype)
    key[0, 1, 2] = 0
    cache = narrow(1, 4)
    for new, stored in zip((key, value), cache.write(1, torch.tensor([[2, 0, 1]]), key, value, 3), strict=True):
        assert stored.dtype == dtype
        wanted = new[:, :, [1, 2, 0]].float()
        step = wanted.abs().amax(-1, keepdim=True) / 127
        own = 2.0**-8 * wanted.abs() if dtype == torch.bfloat16 else 0.0  # what comes back is rounded once more
        assert ((stored.float() - wanted).abs() <= 0.5001 * step + own).all()
    assert not cache.keys[0].any() and not cache.key_scales[0].any(), "the other layer is as it was"


@pytest.mark.parametrize("value", [torch.inf, -torch.inf, torch.nan])
def test_what_is_not_finite_spoils_its_head_and_position_alone(value: float) -> None:
    key = torch.ones(1, 2, 3, 8)
    key[0, 1, 2, 5] = value
    keys, values = narrow(1, 3).write(0, torch.arange(3)[None], key, torch.ones(1, 2, 3, 8), 3)
    wrong = torch.zeros(1, 2, 3, 8, dtype=torch.bool)
    wrong[0, 1, 2] = True
    assert torch.equal(keys.isnan(), wrong) and keys[~wrong].eq(1).all() and values.eq(1).all()


@settings(deadline=None, max_examples=15)
@given(pieces=st.lists(st.integers(1, 6), min_size=1, max_size=6), seed=st.integers(0, 99))
def test_pieces_are_the_whole(pieces: list[int], seed: int) -> None:
    """A prompt that is read at once sees its own integers, too."""
    made, ids = decoder(), tokens(sum(pieces), seed)
    one, other = narrow(1, len(ids)), narrow(1, len(ids) + 2)
    whole, found = read(made, ids, one, len(ids)), read(made, ids, other, *pieces)
    # Sums in another order may round one of the integers to the other side.
    torch.testing.assert_close(found, whole, rtol=0, atol=0.01 * float(whole.abs().max()))
    assert (found - whole).abs().mean() < 5e-4 * whole.abs().max()
    for mine, theirs in zip(one.keys, other.keys, strict=True):
        assert (mine.int() - theirs[:, :, : len(ids)].int()).abs().max() <= 1


@torch.inference_mode()
def test_it_is_near_to_the_floats() -> None:
    made, ids = decoder(), tokens(60)
    plain = read(made, ids, KVCache.empty(made.config, 1, 60, CPU, torch.float32), 60)
    half = read(made, ids, KVCache.empty(made.config, 1, 60, CPU, torch.bfloat16), 60)
    eight = read(made, ids, narrow(1, 60), 60)
    errors = [float((each - plain).norm() / plain.norm()) for each in (half, eight)]
    assert 0 < errors[0] < 0.004 and 0 < errors[1] < 0.012, errors


def test_joined_rows_are_single_rows() -> None:
    made = decoder()
    rows, alone = ([narrow(1, 12), narrow(1, 9)] for _ in range(2))
    for caches in (rows, alone):
        for seed, (cache, length) in enumerate(zip(caches, (7, 4), strict=True)):
            read(made, tokens(length, seed), cache, length)
    newest, places = torch.tensor([[5], [6]]), torch.tensor([[7], [4]])
    with torch.inference_mode():
        together = made(made.embed_tokens(newest), places, cache=JoinedCache(rows))
        apart = [made(made.embed_tokens(newest[at : at + 1]), places[at : at + 1], cache=alone[at]) for at in range(2)]
    torch.testing.assert_close(together, torch.cat(apart), rtol=1e-3, atol=1e-3)


def test_it_copies_grows_and_counts_its_scales() -> None:
    cache = narrow(1, 5)
    assert cache.nbytes == 2 * 2 * (2 * 5) * (8 + 4)  # layers, keys and values, heads x slots, integers and a scale
    new = torch.randn(1, 2, 5, 8)
    wanted = cache.write(0, torch.arange(5)[None], new, -new, 5)
    copy = cache.beginning(3)
    assert copy.capacity == 3
    copy.write(0, torch.tensor([[0]]), 9 * new[:, :, :1], new[:, :, :1], 1)
    cache.grow(8)
    assert cache.capacity == 8 and cache.key_scales[1].shape == (1, 2, 8, 1)
    again = cache.write(0, torch.tensor([[5]]), new[:, :, :1], new[:, :, :1], 6)
    for before, after in zip(wanted, again, strict=True):
        assert torch.equal(before, after[:, :, :5])
