"""A linear layer whose weights are small integers.

Shapes: N outputs, K inputs.
"""

from __future__ import annotations

import threading
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pumice.quantize.grouped import Grouped
from pumice.quantize.library import Native, native
from pumice.quantize.operators import operands, product
from pumice.quantize.plan import Format


class QuantizedLinear(nn.Module):
    """``nn.Linear`` with grouped integers, multiplied by the best there is.

    That is the native library, for which inputs become int8 on the fly; an operator of PyTorch's, in bfloat16; or
    PyTorch's product with widened weights.

    Empty until ``fill``: its weights come from a checkpoint and are no part of the state dict.
    """

    weights: Tensor
    scales: Tensor

    def __init__(self, inputs: int, outputs: int, how: Format, *, bias: bool) -> None:
        super().__init__()
        self.inputs, self.outputs, self.how = inputs, outputs, how
        self.bias = nn.Parameter(torch.zeros(outputs), requires_grad=False) if bias else None
        self.register_buffer("weights", torch.empty(0, dtype=torch.uint8, device="cpu"), persistent=False)
        self.register_buffer("scales", torch.empty(0, dtype=torch.float16, device="cpu"), persistent=False)
        self.packed = self.converted = False  # the order of the weights is the library's, or an operator's

    def fill(self, grouped: Grouped, device: torch.device) -> None:
        """Take over the weights, in the order in which this machine multiplies them fastest."""
        assert grouped.shape == (self.outputs, self.inputs) and grouped.format == self.how
        library = native() if device.type == "cpu" else None
        made = operands(grouped, device) if library is None else None
        self.packed, self.converted = library is not None, made is not None
        if library is not None:
            self.weights = pack(library, grouped)
        else:
            self.weights, self.scales = made or (grouped.values.to(device), grouped.scales.to(device))

    def forward(self, x: Tensor) -> Tensor:  # [..., K] -> [..., N]
        if self.packed:
            with _ONE_AT_A_TIME:
                _registration()
            how = self.how
            y: Tensor = torch.ops.pumice.linear(x.float(), self.weights, self.bias, how.bits, how.group, self.outputs)
            return y.to(x.dtype)
        if self.converted:
            y = product(x, self.weights, self.scales, self.how.group).to(x.dtype)
            return y if self.bias is None else y + self.bias.to(x.dtype)
        weight = Grouped(self.weights, self.scales, self.how).decode().to(x.dtype)
        return F.linear(x, weight, None if self.bias is None else self.bias.to(x.dtype))

    def extra_repr(self) -> str:
        return f"{self.inputs}, {self.outputs}, bits={self.how.bits}, group={self.how.group}"


def pack(library: Native, grouped: Grouped) -> Tensor:
    """``grouped`` in the library's own order, uint8."""
    rows, columns = grouped.shape
    shape = grouped.format.bits, rows, columns, grouped.format.group
    values, scales = grouped.values.contiguous(), grouped.scales.contiguous()
    packed = torch.empty(library.call.pumice_packed_bytes(*shape), dtype=torch.uint8)
    code = library.call.pumice_pack(shape[0], values.data_ptr(), scales.data_ptr(), *shape[1:], packed.data_ptr())
    assert code == 0, "the library refuses what the format allows"
    return packed


_ONE_AT_A_TIME = threading.Lock()  # a cache does not keep two first callers apart


@lru_cache(maxsize=1)
def _registration() -> torch.library.Library:
    """``pumice::linear`` for PyTorch's dispatcher, made at first use; it lasts as long as this object."""
    library = torch.library.Library("pumice", "DEF")
    library.define("linear(Tensor x, Tensor packed, Tensor? bias, int bits, int group, int rows) -> Tensor")
    library.impl("linear", _linear, "CPU")
    library.impl("linear", _linear_shape, "Meta")
    return library


def _linear(x: Tensor, packed: Tensor, bias: Tensor | None, bits: int, group: int, rows: int) -> Tensor:
    found = native()
    assert found is not None, "packed weights come from the library"
    x = x.contiguous()
    columns = x.shape[-1]
    out = x.new_empty((*x.shape[:-1], rows))
    other = None if bias is None else bias.float().contiguous()
    found.call.pumice_set_threads(torch.get_num_threads())
    code = found.call.pumice_linear(
        bits,
        packed.data_ptr(),
        rows,
        columns,
        group,
        x.data_ptr(),
        x.numel() // columns,
        None if other is None else other.data_ptr(),
        out.data_ptr(),
    )
    assert code == 0, "the library refuses what the format allows"
    return out


def _linear_shape(x: Tensor, _packed: Tensor, _bias: Tensor | None, _bits: int, _group: int, rows: int) -> Tensor:
    return x.new_empty((*x.shape[:-1], rows))
