"""Foreign configs of the parts: language models, vision towers, image processors, generation defaults.

Absent fields take the defaults of transformers' LlamaConfig, MistralConfig, Qwen2Config, CLIPVisionConfig and
SiglipVisionConfig, because files on the hub leave them out. Everything that would change the computation and is not
supported is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from pumice.checkpoint.description import Generation
from pumice.checkpoint.fields import Fields
from pumice.errors import ModelError
from pumice.images.config import CLIP_MEAN, CLIP_STD, SIGLIP_MEAN, SIGLIP_STD
from pumice.model.config import Activation, Feature, LanguageConfig, RopeScaling, Tower, VisionConfig

_LLAMA: Mapping[str, int | None] = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": None,
    "max_position_embeddings": 2048,
    "sliding_window": None,
}
_MISTRAL = {
    **_LLAMA,
    "intermediate_size": 14336,
    "num_key_value_heads": 8,
    "max_position_embeddings": 131072,
    "sliding_window": 4096,
}
_QWEN = {
    **_LLAMA,
    "vocab_size": 151936,
    "intermediate_size": 22016,
    "num_key_value_heads": 32,
    "max_position_embeddings": 32768,
}
FAMILIES: Mapping[str, Mapping[str, int | None]] = {
    "llama": _LLAMA,
    "llava": _LLAMA,
    "llava_llama": _LLAMA,
    "mistral": _MISTRAL,
    "llava_mistral": _MISTRAL,
    "qwen2": _QWEN,
    "llava_qwen": _QWEN,
}
_BICUBIC = 3


def names_mistral(raw: Fields) -> bool:
    """Whether a foreign language config names the Mistral family."""
    return FAMILIES.get(raw.text("model_type", "llama")) is _MISTRAL


def names_qwen(raw: Fields) -> bool:
    """Whether a foreign language config names the Qwen2 family."""
    return FAMILIES.get(raw.text("model_type", "llama")) is _QWEN


def language_config(raw: Fields, *, tied: bool = False) -> LanguageConfig:
    """A LLaMA-shaped decoder. ``tied``: the enclosing config ties the embeddings, whatever this one says.

    Raises:
        ModelError: another family, or a feature that changes the computation: biases other than Qwen2's,
            quantisation, other rotary scalings than linear and llama3, other activations than SiLU, layers that differ.
    """
    family = raw.text("model_type", "llama")
    if family not in FAMILIES:
        raise ModelError(
            f"{raw.where}: language models of type {family!r} are not supported",
            hint=f"supported are {', '.join(sorted(FAMILIES))}",
        )
    for name in ("attention_bias", "mlp_bias", "quantization_config"):
        raw.refuse(name)
    raw.refuse("hidden_act", "silu")
    raw.refuse("partial_rotary_factor", 1.0)
    qwen = names_qwen(raw)
    if qwen:
        raw.refuse("use_sliding_window")  # only some of its layers would have one
    size = {name: _size(raw, name, default) for name, default in FAMILIES[family].items()}
    heads, hidden = size["num_attention_heads"] or 0, size["hidden_size"] or 0
    theta, scaling = _rope(raw)
    return LanguageConfig(
        vocab_size=size["vocab_size"] or 0,
        hidden_size=hidden,
        intermediate_size=size["intermediate_size"] or 0,
        layers=size["num_hidden_layers"] or 0,
        heads=heads,
        kv_heads=size["num_key_value_heads"] or heads,
        head_dim=raw.whole("head_dim", hidden // max(heads, 1)),
        norm_eps=raw.number("rms_norm_eps", 1e-6),
        rope_theta=theta,
        rope_scaling=scaling,
        max_positions=size["max_position_embeddings"] or 0,
        sliding_window=None if qwen else size["sliding_window"],
        tied_embeddings=tied or raw.flag("tie_word_embeddings", False),
        qkv_bias=qwen,
    )


#: Kinds of vision towers, as configs call them: one inside the config of a model of pictures and texts, or alone.
TOWER_TYPES: Mapping[str, Tower] = {
    "clip": "clip",
    "clip_vision_model": "clip",
    "siglip": "siglip",
    "siglip_vision_model": "siglip",
}
ACTIVATIONS: Mapping[str, Activation] = {"quick_gelu": "quick_gelu", "gelu": "gelu", "gelu_pytorch_tanh": "gelu_tanh"}


def tower_fields(raw: Fields) -> Fields:
    """The vision part of a tower folder's config, be it the whole CLIP or SigLIP or its tower alone."""
    if raw.text("model_type", "clip_vision_model") in ("clip", "siglip"):
        kind = f"{raw.text('model_type')}_vision_model"
        inner = raw.inner("vision_config")
        return Fields({"model_type": kind, **inner.values}, inner.where)
    return raw


def tower_kind(raw: Fields) -> Tower:
    """Of the config of a tower, alone or as a part. Raises ModelError for another kind than CLIP and SigLIP."""
    name = raw.text("model_type", "clip_vision_model")
    kind = TOWER_TYPES.get(name)
    if kind is None:
        raise ModelError(
            f"{raw.where}: vision towers of type {name!r} are not supported", hint="use a CLIP or SigLIP tower"
        )
    return kind


def vision_config(raw: Fields, *, select_layer: int, select_feature: Feature) -> VisionConfig:
    """A tower, and the hidden state that LLaVA reads from it. Raises ModelError for anything unsupported."""
    kind = tower_kind(raw)
    siglip = kind == "siglip"
    raw.refuse("num_channels", 3)
    name = raw.text("hidden_act", "gelu_pytorch_tanh" if siglip else "quick_gelu")
    if name not in ACTIVATIONS:
        raise ModelError(
            f"{raw.where}: hidden_act = {name!r} is not supported", hint=f"supported are {', '.join(ACTIVATIONS)}"
        )
    return VisionConfig(
        image_size=_side(raw, "image_size", 224),
        patch_size=_side(raw, "patch_size", 16 if siglip else 32),
        hidden_size=raw.whole("hidden_size", 768),
        intermediate_size=raw.whole("intermediate_size", 3072),
        layers=raw.whole("num_hidden_layers", 12),
        heads=raw.whole("num_attention_heads", 12),
        kind=kind,
        activation=ACTIVATIONS[name],
        norm_eps=raw.number("layer_norm_eps", 1e-6 if siglip else 1e-5),
        select_layer=select_layer,
        select_feature=select_feature,
    )


Colours = tuple[float, float, float]


def colours(raw: Fields, vision: VisionConfig) -> tuple[Colours, Colours]:
    """Mean and standard deviation of an image processor's config; those of the tower where it says nothing.

    Raises:
        ModelError: it resizes, crops, scales or normalises in another way than the processor of CLIP or SigLIP.
    """
    image_size, siglip = vision.image_size, vision.kind == "siglip"
    # SigLIP's makes squares at once, so there is nothing to crop.
    for name in ("do_resize", "do_rescale", "do_normalize", *(() if siglip else ("do_center_crop",))):
        if not raw.flag(name, True):
            raise ModelError(f"{raw.where}: {name} = false is not supported")
    raw.refuse("resample", _BICUBIC)
    if abs(raw.number("rescale_factor", 1 / 255) * 255 - 1) > 1e-6:
        raise ModelError(f"{raw.where}: rescale_factor must be 1/255, found {raw.values['rescale_factor']!r}")
    for name in ("crop_size", "size"):
        value = raw.values.get(name)
        sides = [value.get(each) for each in ("height", "width", "shortest_edge")] if isinstance(value, dict) else value
        for side in sides if isinstance(sides, list) else [sides]:
            if side not in (None, image_size):
                raise ModelError(f"{raw.where}: {name} {side!r} does not suit a vision tower for {image_size} pixels")
    mean, std = (SIGLIP_MEAN, SIGLIP_STD) if siglip else (CLIP_MEAN, CLIP_STD)
    return _triple(raw, "image_mean", mean), _triple(raw, "image_std", std)


def generation_defaults(raw: Fields) -> Generation:
    """What ``generation_config.json`` suggests. Its sampling values count only where it also switches sampling on."""
    ends = raw.values.get("eos_token_id")
    listed = ends if isinstance(ends, list) else [] if ends is None else [ends]
    if not all(isinstance(each, int) for each in listed):
        raise ModelError(f"{raw.where}: eos_token_id must be a whole number or a list of them, found {ends!r}")
    end_ids = tuple(listed)
    if not raw.flag("do_sample", False):
        return Generation(end_ids)
    return Generation(
        end_ids,
        temperature=raw.number("temperature") if raw.has("temperature") else None,
        top_p=raw.number("top_p") if raw.has("top_p") else None,
        top_k=raw.whole("top_k") if raw.has("top_k") else None,
    )


def _size(raw: Fields, name: str, default: int | None) -> int | None:
    """A number that may be null: null overrides the default, as in transformers."""
    if name not in raw.values:
        return default
    return raw.whole(name) if raw.has(name) else None


def _rope(raw: Fields) -> tuple[float, RopeScaling | None]:
    """Base and scaling of the rotary positions, in the spelling of transformers 5 or of 4."""
    scaling = raw.inner("rope_parameters" if raw.has("rope_parameters") else "rope_scaling")
    theta = scaling.number("rope_theta", raw.number("rope_theta", 10000.0))
    scaling.refuse("partial_rotary_factor", 1.0)
    kind = scaling.text("rope_type", scaling.text("type", "default"))
    if any(isinstance(value, dict) for value in scaling.values.values()):
        raise ModelError(f"{scaling.where}: rotary positions that differ between layers are not supported")
    if kind == "default":
        return theta, None
    if kind == "linear":
        return theta, RopeScaling("linear", scaling.number("factor"))
    if kind == "llama3":
        return theta, RopeScaling(
            "llama3",
            scaling.number("factor"),
            scaling.number("low_freq_factor"),
            scaling.number("high_freq_factor"),
            scaling.whole("original_max_position_embeddings"),
        )
    raise ModelError(f"{scaling.where}: rope type {kind!r} is not supported", hint="supported are linear and llama3")


def _side(raw: Fields, name: str, default: int) -> int:
    """A length that may be written as a pair of equal ones."""
    value = raw.values.get(name)
    if isinstance(value, (list, tuple)) and len(set(value)) == 1:
        return Fields({name: value[0]}, raw.where).whole(name)
    return raw.whole(name, default)


def _triple(raw: Fields, name: str, default: Colours) -> Colours:
    values = raw.items(name) if raw.has(name) else list(default)
    if len(values) != 3 or not all(isinstance(each, (int, float)) for each in values):
        raise ModelError(f"{raw.where}: {name} must be three numbers, found {values!r}")
    red, green, blue = (float(cast(float, each)) for each in values)
    return red, green, blue
