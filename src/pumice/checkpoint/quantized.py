"""Quantised layers on disk: in place of ``X.weight`` stand ``X.values`` and ``X.scales``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from pumice.checkpoint.description import write_description
from pumice.checkpoint.files import LazyTensor
from pumice.checkpoint.load import expected_shapes, needed_tensors
from pumice.checkpoint.names import check_tensors
from pumice.checkpoint.sources import open_checkpoint
from pumice.checkpoint.stored import SCALES, VALUES, WEIGHT, layer_read, planned_layers
from pumice.checkpoint.writing import SHARD_BYTES, fresh_folder, save_shards
from pumice.errors import ModelError
from pumice.prompts.tokenizer import save_tokenizer
from pumice.quantize.plan import Format, Plan


def quantize_checkpoint(
    source: str | Path,
    target: str | Path,
    plan: Plan,
    *,
    base: str | Path | None = None,
    vision_tower: str | Path | None = None,
    offline: bool = False,
    overwrite: bool = False,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Read any supported checkpoint and write it in our layout with integers, tensor by tensor.

    Raises:
        ModelError: the source cannot be opened, is quantised already, or the target cannot be written.
        UsageError: the target exists.
    """
    opened = open_checkpoint(source, base=base, vision_tower=vision_tower, offline=offline)
    if opened.description.quantization is not None:
        raise ModelError(f"{source} is quantized already", hint="quantize the checkpoint that it was made from")
    model = opened.description.model
    tensors = needed_tensors(opened.tensors, model)
    expected = expected_shapes(model)
    check_tensors(expected, {name: tensor.shape for name, tensor in tensors.items()}, str(source))
    layers = planned_layers(expected, plan)
    with fresh_folder(Path(target), overwrite=overwrite) as folder:
        save_shards(folder, _written(tensors, layers), shard_bytes=shard_bytes)
        write_description(folder, replace(opened.description, quantization=plan))
        if opened.tokenizer is not None:
            save_tokenizer(opened.tokenizer, folder)


def _written(tensors: Mapping[str, LazyTensor], layers: Mapping[str, Format]) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in tensors.items():
        layer = name.removesuffix(WEIGHT)
        how = layers.get(layer)
        if how is None:
            yield name, _narrow(tensor.read())
            continue
        with layer_read(tensors, layer, how) as grouped:
            yield layer + VALUES, grouped.values
            yield layer + SCALES, grouped.scales


def _narrow(tensor: Tensor) -> Tensor:
    """What is not quantised is stored in 16 bits: bfloat16, unless it is float16 already."""
    return tensor.to(torch.bfloat16) if tensor.dtype == torch.float32 else tensor
