"""PyTorch's operators in place of the library: the same product as the definition, or none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from pumice.quantize import linear, operators
from pumice.quantize.grouped import encode
from pumice.quantize.linear import QuantizedLinear
from pumice.quantize.plan import Bits, Format

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def probed_anew() -> Iterator[None]:
    operators.usable.cache_clear()
    yield
    operators.usable.cache_clear()


def layer(rows: int, columns: int, how: Format, monkeypatch: pytest.MonkeyPatch) -> tuple[QuantizedLinear, Tensor]:
    """A layer filled as if there were no library, and the weights it stands for."""
    monkeypatch.setattr(linear, "native", lambda: None)
    grouped = encode(torch.randn(rows, columns, generator=torch.Generator().manual_seed(rows)), how)
    made = QuantizedLinear(columns, rows, how, bias=True)
    assert made.bias is not None
    made.bias.data.normal_()
    made.fill(grouped, CPU)
    return made, grouped.decode()


@pytest.mark.parametrize("group", [32, 64, 128])
@pytest.mark.parametrize("shape", [(16, 128), (64, 256), (352, 768)])
def test_the_operator_is_the_definition(shape: tuple[int, int], group: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made, weight = layer(*shape, Format(4, group), monkeypatch)
    assert made.converted
    for positions in ((), (1,), (2, 7), (40,)):
        x = torch.randn(*positions, shape[1])
        found, wanted = made(x), torch.nn.functional.linear(x, weight, made.bias)
        assert found.dtype == x.dtype and found.shape == wanted.shape
        assert (found - wanted).norm() < 0.01 * wanted.norm()


@pytest.mark.parametrize(("rows", "columns", "bits"), [(40, 128, 4), (64, 96, 4), (64, 256, 8)])
def test_what_it_does_not_take_is_widened(rows: int, columns: int, bits: Bits, monkeypatch: pytest.MonkeyPatch) -> None:
    made, weight = layer(rows, columns, Format(bits), monkeypatch)
    assert not made.converted
    x = torch.randn(3, columns)
    torch.testing.assert_close(made(x), torch.nn.functional.linear(x, weight, made.bias))


def broken(*_arguments: object) -> Tensor:
    raise RuntimeError("not compiled for this device")


def wrong(x: Tensor, packed: Tensor, group: int, pairs: Tensor) -> Tensor:
    """An operator that lays out its weights in another way."""
    return torch.ops.aten._weight_int4pack_mm_for_cpu(x, packed.flip(0), group, pairs)  # type: ignore[no-any-return]


@pytest.mark.parametrize("operator", [broken, wrong])
def test_an_operator_that_is_not_right_is_not_used(operator: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "_weight_int4pack_mm_for_cpu", operator)
    made, weight = layer(64, 256, Format(4), monkeypatch)
    assert not made.converted
    x = torch.randn(2, 256)
    torch.testing.assert_close(made(x), torch.nn.functional.linear(x, weight, made.bias))


def test_a_kind_of_device_without_operators() -> None:
    assert not operators.usable("xla")


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_on_an_accelerator(device: str) -> None:
    backend = torch.cuda if device == "cuda" else torch.backends.mps
    if not backend.is_available():
        assert not operators.usable(device), "the probe says so too"
        return
    how = Format(4, 32)
    grouped = encode(torch.randn(256, 1024), how)
    made = QuantizedLinear(1024, 256, how, bias=False)
    made.fill(grouped, torch.device(device))
    x = torch.randn(5, 1024, dtype=torch.bfloat16)
    found, wanted = made(x.to(device)).float().cpu(), x.float() @ grouped.decode().T
    assert (found - wanted).norm() < 0.01 * wanted.norm()
