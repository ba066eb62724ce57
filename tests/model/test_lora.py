"""Adapters beside frozen layers: nothing at first, then the product of two thin matrices."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import tiny
from pumice.model.lora import Lora, LoraLinear, adapters, put_adapters

HOW = Lora(4, 6.0)


def made(how: Lora = HOW, seed: int = 1) -> LoraLinear:
    """A layer [5, 7] with an adapter that has learned something."""
    torch.manual_seed(0)
    layer = LoraLinear(nn.Linear(7, 5), 7, 5, how, torch.Generator().manual_seed(seed))
    nn.init.normal_(layer.lora_b)
    return layer.eval()


def test_it_begins_as_the_layer_it_holds() -> None:
    base = nn.Linear(64, 3)
    layer = LoraLinear(base, 64, 3, Lora(512, 1.0), torch.Generator().manual_seed(0))
    x = torch.randn(2, 64)
    assert torch.equal(layer(x), base(x)) and torch.equal(layer.weight, base.weight)
    # PEFT's draw: uniform within one over the root of the inputs.
    bound = 1 / math.sqrt(64)
    assert 0.99 * bound < float(layer.lora_a.detach().abs().max()) <= bound
    assert float(layer.lora_a.detach().std()) == pytest.approx(bound / math.sqrt(3), rel=0.02)


def test_what_is_added() -> None:
    layer = made()
    x = torch.randn(2, 3, 7)
    weight = layer.base.weight + 6.0 / 4 * layer.lora_b @ layer.lora_a
    expected = x @ weight.T + layer.base.bias
    torch.testing.assert_close(layer(x), expected)
    torch.testing.assert_close(layer.weight, weight)


def test_only_the_factors_learn() -> None:
    layer = made()
    layer(torch.randn(2, 7)).square().sum().backward()
    assert {name for name, p in layer.named_parameters() if p.grad is not None} == {"lora_a", "lora_b"}


def test_dropout_is_for_training_alone() -> None:
    layer = made(Lora(4, 6.0, 0.5))
    x = torch.ones(1, 7)
    calm = layer(x)
    assert torch.equal(layer(x), calm)
    layer.train()
    torch.manual_seed(3)
    first, second = layer(x), layer(x)
    assert not torch.equal(first, second)
    torch.manual_seed(3)
    assert torch.equal(layer(x), first)
    torch.testing.assert_close(torch.stack([layer(x) for _ in range(4000)]).mean(0), calm, rtol=0.1, atol=0.1)


@pytest.mark.parametrize(("part", "count"), [("language", 2 * 7), ("vision", 2 * 6), ("connector", 2)])
def test_all_linear_layers_of_a_part_but_the_head(part: str, count: int) -> None:
    model = tiny.model()
    ids, seen = torch.tensor([[1, 5, -1, -1, -1, -1, 7]]), [torch.randn(1, 3, tiny.SIDE, tiny.SIDE)]
    with torch.no_grad():
        before = model.logits_for(ids, model.encode_images(seen[0])[0])
        assert put_adapters(model, part, HOW, torch.Generator().manual_seed(0)) == count
        assert torch.equal(model.logits_for(ids, model.encode_images(seen[0])[0]), before)
    found = adapters(model)
    assert len(found) == count and all(name.startswith(f"{part}.layers.") for name in found)
    left = [name for name, module in model.named_modules() if isinstance(module, nn.Linear) and ".base" not in name]
    assert not any(name.startswith(f"{part}.layers.") for name in left) and "language.lm_head" in left


def test_the_same_seed_draws_the_same() -> None:
    models = [tiny.model() for _ in range(3)]
    for model, seed in zip(models, (1, 1, 2), strict=True):
        put_adapters(model, "language", HOW, torch.Generator().manual_seed(seed))
    first, again, other = ([layer.lora_a for layer in adapters(model).values()] for model in models)
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not any(torch.equal(one, two) for one, two in zip(first, other, strict=True))
    assert len({one.detach().numpy().tobytes() for one in first}) == len(first)
