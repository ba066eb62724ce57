"""Our own folder: ``pumice.json``, ``model.safetensors`` (or shards of it) and the tokenizer's files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from pumice.checkpoint.description import Description, Generation, write_description
from pumice.checkpoint.load import expected_shapes
from pumice.checkpoint.names import check_tensors
from pumice.checkpoint.writing import SHARD_BYTES, fresh_folder, save_shards
from pumice.model.config import LlavaConfig
from pumice.model.llava import Llava
from pumice.processor import Processor
from pumice.prompts.tokenizer import save_tokenizer


def save_checkpoint(
    model: Llava,
    processor: Processor,
    folder: str | Path,
    *,
    dtype: torch.dtype | None = None,
    generation: Generation | None = None,
    origin: str = "",
    overwrite: bool = False,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write a model and its way to read, whole or not at all; ``load_checkpoint`` reads it back.

    model: adapters merged. dtype: for storage; None keeps each tensor's own. generation: suggestions to store.
    origin: where the weights came from, for people to read. overwrite: replace the folder if it exists.

    Raises:
        ModelError: the model's tensors are not those of its config, or the folder cannot be written.
        UsageError: the folder exists.
    """
    description = describe(model.config, processor, generation, origin)
    state = model.state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    check_tensors(expected_shapes(model.config), shapes, "the model to be saved")
    with fresh_folder(Path(folder), overwrite=overwrite) as work:
        save_shards(work, stored(state.items(), dtype), shard_bytes=shard_bytes)
        write_description(work, description)
        save_tokenizer(processor.tokenizer, work)


def describe(
    config: LlavaConfig, processor: Processor, generation: Generation | None = None, origin: str = ""
) -> Description:
    """What a folder says about a model of this ``config`` that reads as ``processor`` does."""
    return Description(
        model=config,
        template=processor.template.name,
        preprocessing=processor.preprocessing,
        image_wrap=processor.image_wrap,
        generation=generation or Generation(),
        source=origin,
    )


def stored(tensors: Iterable[tuple[str, Tensor]], dtype: torch.dtype | None) -> Iterator[tuple[str, Tensor]]:
    """Tensors as they go to disk: on the CPU, detached, in ``dtype`` if one is given."""
    for name, tensor in tensors:
        yield name, tensor.detach().to(device="cpu", dtype=dtype or tensor.dtype)
