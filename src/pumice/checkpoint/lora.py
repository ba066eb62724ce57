"""Adapters in the layout of the PEFT library: reading them, and merging them into the weights they belong to."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
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
_PATTERNS = ("rank_pattern", "alpha_pattern")
_PLAIN = re.compile(r"[\w.]+")


@dataclass(frozen=True)
class Factors:
    """What an adapter adds to one weight: scale·B·A, with A [r, in] and B [out, r]."""

    a: LazyTensor
    b: LazyTensor
    scale: float


def read_adapter(folder: Path) -> dict[str, Factors]:
    """The factors of an adapter folder, by our weight names.

    Raises:
        ModelError: a file is missing or damaged, an option changes the meaning and is not supported, or a factor
            belongs to no known layer.
    """
    scales = _scales(Fields(read_json(folder / CONFIG), CONFIG))
    weights = next((open_file(folder / name) for name in _FILES if (folder / name).is_file()), None)
    if weights is None:
        raise ModelError(f"no adapter weights in {folder}: expected {' or '.join(_FILES)}")
    return _pairs(weights, scales, folder)


def merged(base: Mapping[str, LazyTensor], folder: Path) -> dict[str, LazyTensor]:
    """``base`` (our names) with the adapter in ``folder`` added: W + scale·B·A in fp32, cast back to W's type.

    Raises:
        ModelError: see ``read_adapter``; or a factor's shape does not fit its weight.
    """
    result = dict(base)
    for name, factors in read_adapter(folder).items():
        a, b = factors.a, factors.b
        weight = base.get(name)
        if weight is None:
            raise ModelError(f"the adapter in {folder} changes {name}, which its base model does not have")
        if (b.shape[0], a.shape[1]) != weight.shape or a.shape[0] != b.shape[1]:
            raise ModelError(
                f"the adapter in {folder} does not fit its base model: {name} is {shape_text(weight.shape)}, "
                f"its factors are {shape_text(b.shape)} and {shape_text(a.shape)}",
                hint="name the base model that the adapter was trained on",
            )
        result[name] = _merged(weight, factors)
    return result


def _scales(config: Fields) -> Callable[[str], float]:
    """Of each adapted layer, by the name that the adapter gives it."""
    kind = config.text("peft_type", "LORA")
    if kind != "LORA":
        raise ModelError(f"{config.where}: adapters of type {kind!r} are not supported; expected LORA")
    for name in _UNSUPPORTED:
        config.refuse(name, [], {})
    config.refuse("bias", "none")
    config.refuse("init_lora_weights", *_HARMLESS_STARTS)
    rank, alpha = config.whole("r"), config.number("lora_alpha")
    ranks, alphas = (_pattern(config, name) for name in _PATTERNS)
    for each in (rank, *ranks.values()):
        if each < 1:
            raise ModelError(f"{config.where}: r must be at least 1, found {each:g}")
    stabilised = config.flag("use_rslora", False)

    def scale(layer: str) -> float:
        own = _chosen(ranks, layer, rank)
        return _chosen(alphas, layer, alpha) / (math.sqrt(own) if stabilised else own)

    return scale


def _pattern(config: Fields, name: str) -> dict[str, float]:
    """Numbers for layers whose names end so. PEFT takes the ends for regular expressions; only plain ones are read."""
    given = config.inner(name)
    for end in given.values:
        if _PLAIN.fullmatch(end) is None:
            raise ModelError(f"{config.where}: {name} for {end!r} is not supported; expected the end of a name")
    return {end: given.number(end) for end in given.values}


def _chosen(numbers: Mapping[str, float], layer: str, otherwise: float) -> float:
    """The first that fits counts, as in PEFT."""
    return next((value for end, value in numbers.items() if f".{layer}".endswith(f".{end}")), otherwise)


def _pairs(weights: Weights, scales: Callable[[str], float], folder: Path) -> dict[str, Factors]:
    factors: dict[str, dict[str, LazyTensor]] = {}
    scale: dict[str, float] = {}
    unknown = []
    for key, tensor in weights.items():
        match = _KEY.fullmatch(key)
        ours = None if match is None else _our_name(f"{match[1]}.weight")
        if match is None or ours is None or len(tensor.shape) != 2:
            unknown.append(key)
        else:
            factors.setdefault(ours, {})[match[2]] = tensor
            scale[ours] = scales(match[1])
    _refuse(unknown, f"the adapter in {folder} holds tensors of unknown meaning")
    _refuse([name for name, pair in factors.items() if len(pair) < 2], f"the adapter in {folder} lacks one factor of")
    return {name: Factors(pair["A"], pair["B"], scale[name]) for name, pair in factors.items()}


def _our_name(name: str) -> str | None:
    """An adapter names layers as the model does that it was trained on."""
    return next((ours for layout in (original_layout(), LLAVA_HF, PUMICE) if (ours := layout.ours(name))), None)


def _refuse(names: Iterable[str], complaint: str) -> None:
    listed = sorted(names)
    if listed:
        raise ModelError(f"{complaint}: {shortened(listed)}", hint="only plain LoRA adapters of linear layers are read")


def _merged(weight: LazyTensor, factors: Factors) -> LazyTensor:
    def read() -> Tensor:
        product = factors.b.read().to(torch.float32) @ factors.a.read().to(torch.float32)
        base = weight.read()
        return (base.to(torch.float32) + factors.scale * product).to(base.dtype)

    return replace(weight, read=read, mapped=False)
