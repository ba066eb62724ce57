"""What quantised layers are called and how they are read: ``X.values`` and ``X.scales`` in place of ``X.weight``."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from pumice.checkpoint.files import LazyTensor
from pumice.quantize.grouped import Grouped, encode
from pumice.quantize.library import native
from pumice.quantize.plan import Format, LayerPlan

PAGE = 4096
MADV_DONTNEED = 4  # takes pages away; those of a mapped file come back from it when they are read again

WEIGHT, VALUES, SCALES = ".weight", ".values", ".scales"


def planned_layers(shapes: Mapping[str, tuple[int, ...]], plan: LayerPlan) -> dict[str, Format]:
    """The layers among the tensors ``shapes`` for which ``plan`` has a format."""
    found = {}
    for name, shape in shapes.items():
        layer = name.removesuffix(WEIGHT)
        how = plan.for_layer(layer, shape) if layer != name else None
        if how is not None:
            found[layer] = how
    return found


def shapes_on_disk(shapes: Mapping[str, tuple[int, ...]], layers: Mapping[str, Format]) -> dict[str, tuple[int, ...]]:
    """``shapes`` with ``layers`` as they are stored."""
    stored = dict(shapes)
    for layer, how in layers.items():
        rows, columns = stored.pop(layer + WEIGHT)
        stored[layer + VALUES] = (rows, columns * how.bits // 8)
        stored[layer + SCALES] = (rows, columns // how.group)
    return stored


@contextmanager
def layer_read(tensors: Mapping[str, LazyTensor], layer: str, how: Format) -> Iterator[Grouped]:
    """The integers of ``layer`` as they are stored, or made from its weights. Afterwards their file's pages are let go:
    without that, a checkpoint that is quantised or packed while it is loaded would count as this process's memory.
    """
    names = [layer + WEIGHT] if layer + WEIGHT in tensors else [layer + VALUES, layer + SCALES]
    read = [tensors[name].read() for name in names]
    if len(read) == 1:
        yield encode(read[0], how, names[0])
    else:
        values, scales = read
        yield Grouped(values.view(torch.int8) if how.bits == 8 else values, scales, how)
    kept = len(read) == 2 and native() is None  # integers that are not packed stay the layer's own
    for name, tensor in zip(names, read, strict=True):
        if tensors[name].mapped and not kept:
            _let_go(tensor)


def _let_go(tensor: Tensor) -> None:
    """Give back the memory of a mapped file. Linux only; elsewhere, and on any error, nothing happens."""
    if sys.platform != "linux" or tensor.nbytes < PAGE or not tensor.is_contiguous():
        return  # what is not contiguous may stand for more bytes than the file has
    start = -(-tensor.data_ptr() // PAGE) * PAGE
    length = (tensor.data_ptr() + tensor.nbytes - start) // PAGE * PAGE
    if length > 0:
        ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), MADV_DONTNEED)
