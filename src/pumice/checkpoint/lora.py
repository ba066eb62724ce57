"""Adapters in the layout of the PEFT library: reading them, and merging them into the weights they belong to."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from pumice.checkpoint.fields import Fields
from pumice.checkpoint.files import LazyTensor, Weights, open_file, read_json, shape_text, shortened
from pumice.checkpoint.names import LLAVA_HF, PUMICE, original_layout
from pumice.errors import ModelError

CONFIG = "adapter_config.json"
_FILES = ("adapter_model.safetensors", "adapter_model.bin")
_UNSUPPORTED = (
    "use_dora",
    "use_qalora",
    "fan_in_fan_out",
    "lora_bias",
    "alpha_pattern",
    "rank_pattern",
    "modules_to_save",
    "layer_replication",
    "target_parameters",
    "trainable_token_indices",
    "corda_config",
    "eva_config",
    "loftq_config",
)
# How the adapter was initialised matters only where that changed the base weights too.
_HARMLESS_STARTS = (True, "gaussian", "eva", "orthogonal")
_KEY = re.compile(r"(?:base_model\.model\.)?(.+)\.lora_([AB])(?:\.default)?\.weight")


def read_adapter(folder: Path) -> tuple[float, dict[str, tuple[LazyTensor, LazyTensor]]]:
    """The scale and, by our weight names, the factors (A [r, in], B [out, r]) of an adapter folder.

    Raises:
        ModelError: a file is missing or damaged, an option changes the meaning and is not supported, or a factor
            belongs to no known layer.
    """
    scale = _scale(Fields(read_json(folder / CONFIG), CONFIG))
    weights = next((open_file(folder / name) for name in _FILES if (folder / name).is_file()), None)
    if weights is None:
        raise ModelError(f"no adapter weights in {folder}: expected {' or '.join(_FILES)}")
    return scale, _pairs(weights, folder)


def merged(base: Mapping[str, LazyTensor], folder: Path) -> dict[str, LazyTensor]:
    """``base`` (our names) with the adapter in ``folder`` added: W + scale·B·A in fp32, cast back to W's type.

    Raises:
        ModelError: see ``read_adapter``; or a factor's shape does not fit its weight.
    """
    scale, pairs = read_adapter(folder)
    result = dict(base)
    for name, (a, b) in pairs.items():
        weight = base.get(name)
        if weight is None:
            raise ModelError(f"the adapter in {folder} changes {name}, which its base model does not have")
        if (b.shape[0], a.shape[1]) != weight.shape or a.shape[0] != b.shape[1]:
            raise ModelError(
                f"the adapter in {folder} does not fit its base model: {name} is {shape_text(weight.shape)}, "
                f"its factors are {shape_text(b.shape)} and {shape_text(a.shape)}",
                hint="name the base model that the adapter was trained on",
            )
        result[name] = _merged(weight, a, b, scale)
    return result


def _scale(config: Fields) -> float:
    kind = config.text("peft_type", "LORA")
    if kind != "LORA":
        raise ModelError(f"{config.where}: adapters of type {kind!r} are not supported; expected LORA")
    for name in _UNSUPPORTED:
        config.refuse(name, [], {})
    config.refuse("bias", "none")
    config.refuse("init_lora_weights", *_HARMLESS_STARTS)
    rank, alpha = config.whole("r"), config.number("lora_alpha")
    if rank < 1:
        raise ModelError(f"{config.where}: r must be at least 1, found {rank}")
    return alpha / (math.sqrt(rank) if config.flag("use_rslora", False) else rank)


def _pairs(weights: Weights, folder: Path) -> dict[str, tuple[LazyTensor, LazyTensor]]:
    factors: dict[str, dict[str, LazyTensor]] = {}
    unknown = []
    for key, tensor in weights.items():
        match = _KEY.fullmatch(key)
        ours = None if match is None else _our_name(f"{match[1]}.weight")
        if match is None or ours is None or len(tensor.shape) != 2:
            unknown.append(key)
        else:
            factors.setdefault(ours, {})[match[2]] = tensor
    _refuse(unknown, f"the adapter in {folder} holds tensors of unknown meaning")
    _refuse([name for name, pair in factors.items() if len(pair) < 2], f"the adapter in {folder} lacks one factor of")
    return {name: (pair["A"], pair["B"]) for name, pair in factors.items()}


def _our_name(name: str) -> str | None:
    """An adapter names layers as the model does that it was trained on."""
    return next((ours for layout in (original_layout(), LLAVA_HF, PUMICE) if (ours := layout.ours(name))), None)


def _refuse(names: Iterable[str], complaint: str) -> None:
    listed = sorted(names)
    if listed:
        raise ModelError(f"{complaint}: {shortened(listed)}", hint="only plain LoRA adapters of linear layers are read")


def _merged(weight: LazyTensor, a: LazyTensor, b: LazyTensor, scale: float) -> LazyTensor:
    def read() -> Tensor:
        product = b.read().to(torch.float32) @ a.read().to(torch.float32)
        base = weight.read()
        return (base.to(torch.float32) + scale * product).to(base.dtype)

    return replace(weight, read=read, mapped=False)
