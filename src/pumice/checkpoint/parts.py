"""Foreign configs of the parts: language models, CLIP towers, image processors, generation defaults.

Absent fields take the defaults of transformers' LlamaConfig, MistralConfig and CLIPVisionConfig, because files on
the hub leave them out. Everything that would change the computation and is not supported is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from pumice.checkpoint.description import Generation
from pumice.checkpoint.fields import Fields
from pumice.errors import ModelError
from pumice.images.config import CLIP_MEAN, CLIP_STD
from pumice.model.config import Activation, Feature, LanguageConfig, RopeScaling, VisionConfig

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
FAMILIES: Mapping[str, Mapping[str, int | None]] = {
    "llama": _LLAMA,
    "llava": _LLAMA,
    "llava_llama": _LLAMA,
    "mistral": _MISTRAL,
    "llava_mistral": _MISTRAL,
}
_BICUBIC = 3


def names_mistral(raw: Fields) -> bool:
    """Whether a foreign language config names the Mistral family."""
    return FAMILIES.get(raw.text("model_type", "llama")) is _MISTRAL


def language_config(raw: Fields, *, tied: bool = False) -> LanguageConfig:
    """A LLaMA-shaped decoder. ``tied``: the enclosing config ties the embeddings, whatever this one says.

    Raises:
        ModelError: another family, or a feature that changes the computation: biases, quantisation, other rotary
            scalings than linear and llama3, other activations than SiLU.
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
        sliding_window=size["sliding_window"],
        tied_embeddings=tied or raw.flag("tie_word_embeddings", False),
    )


def tower_fields(raw: Fields) -> Fields:
    """The vision part of a CLIP folder's config, be it the whole CLIP or its tower alone.

    Raises:
        ModelError: another kind of tower.
    """
    kind = raw.text("model_type", "clip_vision_model")
    if kind == "clip":
        return raw.inner("vision_config")
    if kind == "clip_vision_model":
        return raw
    raise ModelError(f"{raw.where}: vision towers of type {kind!r} are not supported", hint="use a CLIP tower")


def vision_config(raw: Fields, *, select_layer: int, select_feature: Feature) -> VisionConfig:
    """A CLIP tower, and the hidden state that LLaVA reads from it. Raises ModelError for anything unsupported."""
    tower_fields(raw)
    raw.refuse("num_channels", 3)
    activation = raw.text("hidden_act", "quick_gelu")
    if activation not in ("quick_gelu", "gelu"):
        raise ModelError(f"{raw.where}: hidden_act = {activation!r} is not supported")
    return VisionConfig(
        image_size=_side(raw, "image_size", 224),
        patch_size=_side(raw, "patch_size", 32),
        hidden_size=raw.whole("hidden_size", 768),
        intermediate_size=raw.whole("intermediate_size", 3072),
        layers=raw.whole("num_hidden_layers", 12),
        heads=raw.whole("num_attention_heads", 12),
        activation=cast(Activation, activation),
        norm_eps=raw.number("layer_norm_eps", 1e-5),
        select_layer=select_layer,
        select_feature=select_feature,
    )


Colours = tuple[float, float, float]


def colours(raw: Fields, image_size: int) -> tuple[Colours, Colours]:
    """Mean and standard deviation of an image processor's config; CLIP's where it says nothing.

    Raises:
        ModelError: it resizes, crops, scales or normalises in another way than CLIP's processor.
    """
    for name in ("do_resize", "do_center_crop", "do_rescale", "do_normalize"):
        if not raw.flag(name, True):
            raise ModelError(f"{raw.where}: {name} = false is not supported")
    raw.refuse("resample", _BICUBIC)
    if abs(raw.number("rescale_factor", 1 / 255) * 255 - 1) > 1e-6:
        raise ModelError(f"{raw.where}: rescale_factor must be 1/255, found {raw.values['rescale_factor']!r}")
    crop = raw.values.get("crop_size")
    side = crop.get("height") if isinstance(crop, dict) else crop
    if side not in (None, image_size):
        raise ModelError(f"{raw.where}: crop_size {side!r} does not suit a vision tower for {image_size} pixels")
    size = raw.values.get("size")
    shortest = size.get("shortest_edge") if isinstance(size, dict) else size
    if shortest not in (None, image_size):
        raise ModelError(f"{raw.where}: size {shortest!r} does not suit a vision tower for {image_size} pixels")
    return _triple(raw, "image_mean", CLIP_MEAN), _triple(raw, "image_std", CLIP_STD)


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
