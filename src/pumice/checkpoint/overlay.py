"""Partial checkpoints laid over a base model: lone projectors, and the tensors trained beside LoRA factors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from pumice.checkpoint.files import LazyTensor, open_file, shape_text
from pumice.checkpoint.names import original_layout, rename
from pumice.errors import ModelError

EMBEDDINGS = "language.embed_tokens.weight"
HEAD = "language.lm_head.weight"
_WRAPPERS = ("base_model.", "module.")


def projector_tensors(path: Path) -> dict[str, LazyTensor]:
    """``mm_projector.bin`` by our names. Training under wrappers puts prefixes before ``mm_projector``."""
    weights = open_file(path)
    named = {}
    for name, tensor in weights.items():
        _, found, rest = name.partition("mm_projector.")
        named[f"model.mm_projector.{rest}" if found else name] = tensor
    return {ours: named[theirs] for ours, theirs in rename(named, original_layout(), str(path)).items()}


def trained_tensors(path: Path) -> dict[str, LazyTensor]:
    """``non_lora_trainables.bin`` by our names."""
    weights = open_file(path)
    named = {_unwrapped(name): tensor for name, tensor in weights.items()}
    return {ours: named[theirs] for ours, theirs in rename(named, original_layout(), str(path)).items()}


def with_projector(
    base: Mapping[str, LazyTensor], projector: Mapping[str, LazyTensor], path: Path, *, first: int | None = None
) -> dict[str, LazyTensor]:
    """The base with the projector's tensors.

    Stage 1 with new tokens around pictures stores the embeddings too: all rows, or only the two of ``<im_start>`` and
    ``<im_end>``. first: the id of the former; None puts them behind the base's rows. The row of ``<im_patch>``, which
    no prompt reads, is the mean of the rest if it is not stored, and so are the output rows of new tokens, which the
    reference never trains at that stage.

    Raises:
        ModelError: the stored rows are neither.
    """
    result = {**base, **projector}
    rows = projector.get(EMBEDDINGS)
    if rows is None:
        return result
    old = base[EMBEDDINGS]
    count = old.shape[0]
    before = count if first is None else first
    if rows.shape[0] == 2 and rows.shape[1:] == old.shape[1:]:
        result[EMBEDDINGS] = _appended(resized(old, before), rows)
    elif rows.shape[0] not in (count, count + 2, count + 3, before + 2) or rows.shape[1:] != old.shape[1:]:
        raise ModelError(
            f"{path}: embeddings must have {count} rows of {old.shape[1]}, 2 or 3 more, or just 2; "
            f"found {shape_text(rows.shape)}",
            hint="name the base model that the projector was trained on",
        )
    if HEAD in base:
        result[HEAD] = resized(base[HEAD], result[EMBEDDINGS].shape[0])
    return result


def resized(matrix: LazyTensor, rows: int) -> LazyTensor:
    """A matrix with rows cut off its end, or added there, each the mean of the present ones (in fp32)."""
    extra = rows - matrix.shape[0]
    if extra == 0:
        return matrix

    def read() -> Tensor:
        tensor = matrix.read()
        if extra < 0:
            return tensor[:rows]
        mean = tensor.mean(dim=0, keepdim=True, dtype=torch.float32).to(tensor.dtype)
        return torch.cat((tensor, mean.expand(extra, -1)))

    return replace(matrix, shape=(rows, *matrix.shape[1:]), read=read, mapped=False)


def _appended(first: LazyTensor, second: LazyTensor) -> LazyTensor:
    def read() -> Tensor:
        tensor = first.read()
        return torch.cat((tensor, second.read().to(tensor.dtype)))

    return replace(first, shape=(first.shape[0] + second.shape[0], *first.shape[1:]), read=read, mapped=False)


def _unwrapped(name: str) -> str:
    """``base_model.model.model.mm_projector.0.weight`` -> ``model.mm_projector.0.weight``."""
    for prefix in _WRAPPERS:
        name = name.removeprefix(prefix)
    return name.removeprefix("model.") if name.startswith(("model.model.", "model.lm_head.")) else name
