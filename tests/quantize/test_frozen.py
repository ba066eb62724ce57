"""Integer layers to train upon: exact products, exact gradients, and nothing else kept."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

import tiny
from pumice.checkpoint.load import Arithmetic, load_checkpoint
from pumice.checkpoint.save import save_checkpoint
from pumice.quantize.frozen import FrozenLinear
from pumice.quantize.grouped import Grouped, encode
from pumice.quantize.plan import Format, standard_plan

CPU = torch.device("cpu")


def filled(how: Format, *, bias: bool = True) -> tuple[FrozenLinear, Grouped]:
    torch.manual_seed(0)
    grouped = encode(torch.randn(24, 64), how)
    layer = FrozenLinear(64, 24, how, bias=bias)
    layer.fill(grouped, CPU)
    if layer.bias is not None:
        layer.bias.data.normal_()
    return layer, grouped


@pytest.mark.parametrize("how", [Format(4, 32), Format(8, 64)], ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_a_product_and_its_gradient(how: Format, bias: bool) -> None:
    layer, grouped = filled(how, bias=bias)
    mine, theirs = (torch.randn(2, 5, 64, generator=torch.Generator().manual_seed(1)).requires_grad_() for _ in "12")
    found, expected = layer(mine), F.linear(theirs, grouped.decode(), layer.bias)
    assert torch.equal(found, expected) and torch.equal(layer.weight, grouped.decode())
    weights = torch.randn_like(found)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(mine.grad, theirs.grad)
    assert not any(parameter.requires_grad for parameter in layer.parameters())


def test_only_the_integers_wait_for_the_way_back() -> None:
    layer, _ = filled(Format(4, 32))
    kept: list[torch.Tensor] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        layer(torch.randn(3, 64, requires_grad=True)).sum().backward()
    assert sorted(str(tensor.dtype) for tensor in kept) == ["torch.float16", "torch.uint8"]


def test_in_a_narrower_format() -> None:
    layer, grouped = filled(Format(4, 32), bias=False)
    x = torch.randn(3, 64, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), x @ grouped.decode().T, rtol=0.02, atol=0.2)
    y.float().sum().backward()
    assert x.grad is not None and x.grad.dtype == torch.float32
    torch.testing.assert_close(x.grad, grouped.decode().sum(0).expand(3, -1), rtol=0.02, atol=0.1)


def test_loaded_in_place_of_a_checkpoints_layers(tmp_path: Path) -> None:
    """The same integers as for answering, in layers that let gradients through."""
    speak = tiny.language(hidden_size=64, intermediate_size=64, head_dim=16)
    save_checkpoint(tiny.model(speak=speak), tiny.processor(mode="anyres", merge="spatial_unpad"), tmp_path / "model")
    plan = standard_plan(4)
    plain = load_checkpoint(tmp_path / "model").model.state_dict()
    model = load_checkpoint(tmp_path / "model", how=Arithmetic(frozen=plan)).model
    layers = {name: module for name, module in model.named_modules() if isinstance(module, FrozenLinear)}
    assert len(layers) == 2 * 7 + 1
    for name, layer in layers.items():
        how = plan.for_layer(name, layer.weight.shape)
        assert how is not None and torch.equal(layer.weight, encode(plain[f"{name}.weight"], how).decode())
