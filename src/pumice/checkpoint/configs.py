"""Foreign ``config.json`` -> what Pumice needs to know. The kind is told by fields and tokenizer, never by a path."""

from __future__ import annotations

import re
from typing import cast

from pumice.checkpoint.description import Description
from pumice.checkpoint.fields import Fields
from pumice.checkpoint.foreign import TEMPLATE_FIELD
from pumice.checkpoint.parts import (
    generation_defaults,
    language_config,
    names_mistral,
    names_qwen,
    tower_fields,
    tower_kind,
    vision_config,
)
from pumice.checkpoint.pictures import hf_preprocessing, original_preprocessing
from pumice.errors import ModelError, UsageError
from pumice.images.config import Merge
from pumice.model.config import ConnectorConfig, Feature, LanguageConfig, LlavaConfig
from pumice.prompts.templates import get_template
from pumice.prompts.tokenizer import Tokenizer

IMAGE_WRAP = ("<im_start>", "<im_end>")
IMAGE_PATCH = "<im_patch>"
GUESS = "vicuna_v1"
_CHATML = ("<|im_start|>", "<|im_end|>")
_LLAMA_3 = ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
# Their own rows, and those padded to a multiple of 64
_YI_VOCABULARY = range(64000, 64065)
_LLAMA_3_VOCABULARY = range(128256, 128321)
_MLP = re.compile(r"mlp(\d+)x_gelu")
# What transformers assumes where a llava-hf config has no vision_config at all: CLIP ViT-L/14 at 336 pixels.
_DEFAULT_TOWER = {
    "image_size": 336,
    "patch_size": 14,
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
}
# The same of LLaVA-OneVision: SigLIP-so400m at 384 pixels without its last layer.
_DEFAULT_SIGLIP = {
    "model_type": "siglip_vision_model",
    "image_size": 384,
    "patch_size": 14,
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 26,
    "num_attention_heads": 16,
}
_MOSAIC_TYPES = ("llava_next", "llava_onevision")
_NEXT_ONLY = ("s2", "mm_resampler_type", "add_faster_video", "use_pos_skipping")


def describe_original(
    raw: Fields, tower: Fields, processor: Fields, generation: Fields, tokenizer: Tokenizer | None
) -> Description:
    """LLaVA's own config. ``tower`` and ``processor``: config and image processor of the tower's folder it names.

    Raises:
        ModelError: a feature of a later or other LLaVA that is not supported, or fields that contradict each other.
    """
    for name in _NEXT_ONLY:
        raw.refuse(name)
    layer, feature = raw.whole("mm_vision_select_layer"), cast(Feature, raw.text("mm_vision_select_feature", "patch"))
    seen = tower_fields(tower)
    if tower_kind(seen) == "siglip":
        # LLaVA-NeXT cuts the last layer off and reads the one before, and all patches, whatever the config says.
        layer, feature = -2, "patch"
    vision = vision_config(seen, select_layer=layer, select_feature=feature)
    if raw.whole("mm_hidden_size", vision.hidden_size) != vision.hidden_size:
        raise ModelError(
            f"{raw.where}: the projector expects features of size {raw.whole('mm_hidden_size')}, "
            f"but the vision tower gives {vision.hidden_size}",
            hint="name the tower that the model was trained with",
        )
    language = language_config(raw)
    merge = cast(Merge, raw.text("mm_patch_merge_type", "flat"))
    return Description(
        model=LlavaConfig(language, vision, connector_config(raw), has_newline="unpad" in merge),
        template=template_for(raw, raw, language, tokenizer),
        preprocessing=original_preprocessing(raw, vision, merge, processor),
        image_wrap=IMAGE_WRAP if image_names(raw) else None,
        generation=generation_defaults(generation),
    )


def describe_llava_hf(raw: Fields, processor: Fields, generation: Fields, tokenizer: Tokenizer | None) -> Description:
    """The config of transformers' LLaVA, LLaVA-NeXT and LLaVA-OneVision. Raises ModelError for unsupported features."""
    raw.refuse("projector_hidden_act", "gelu")
    if not raw.flag("multimodal_projector_bias", True):
        raise ModelError(f"{raw.where}: a projector without biases is not supported")
    raw.refuse("quantization_config")
    family = raw.text("model_type")
    onevision = family == "llava_onevision"
    text = raw.inner("text_config")
    if onevision:
        text = Fields({"model_type": "qwen2", **text.values}, text.where)
    language = language_config(text, tied=raw.flag("tie_word_embeddings", False))
    assumed = Fields(_DEFAULT_SIGLIP if onevision else _DEFAULT_TOWER, raw.where)
    tower = raw.inner("vision_config") if raw.has("vision_config") else assumed
    layer = _feature_layer(raw, -1 if onevision else -2)
    feature = _hf_feature(raw, tower, "full" if onevision else "default")
    vision = vision_config(tower, select_layer=layer, select_feature=feature)
    return Description(
        model=LlavaConfig(language, vision, ConnectorConfig("mlp", 2), has_newline=family != "llava"),
        template=template_for(raw, text, language, tokenizer),
        preprocessing=hf_preprocessing(raw, vision, processor, family),
        generation=generation_defaults(generation),
    )


def describe_language(raw: Fields, generation: Fields, tokenizer: Tokenizer | None) -> Description:
    """A language model without pictures. Raises ModelError for unsupported features."""
    language = language_config(raw)
    return Description(
        model=LlavaConfig(language),
        template=template_for(raw, raw, language, tokenizer),
        generation=generation_defaults(generation),
    )


def image_names(raw: Fields) -> tuple[str, ...]:
    """The special tokens that an original model with tokens around pictures adds to its language model's, in order."""
    if not raw.flag("mm_use_im_start_end", False):
        return ()
    return (IMAGE_PATCH, *IMAGE_WRAP) if raw.flag("mm_use_im_patch_token", True) else IMAGE_WRAP


def connector_config(raw: Fields) -> ConnectorConfig:
    """``mm_projector_type`` of an original config; ``linear`` where it is absent. Raises ModelError for others."""
    name = raw.text("mm_projector_type", "linear")
    if name in ("linear", "identity"):
        return ConnectorConfig("linear" if name == "linear" else "identity", 1)
    match = _MLP.fullmatch(name)
    if match is None:
        raise ModelError(
            f"{raw.where}: the projector type {name!r} is not supported",
            hint="supported are linear, mlp<N>x_gelu and identity",
        )
    return ConnectorConfig("mlp", int(match[1]))


def template_for(raw: Fields, text: Fields, language: LanguageConfig, tokenizer: Tokenizer | None) -> str:
    """The conversation template of a foreign checkpoint: ``known_template``, or else the guess that suits most."""
    return known_template(raw, text, language, tokenizer) or GUESS


def known_template(raw: Fields, text: Fields, language: LanguageConfig, tokenizer: Tokenizer | None) -> str | None:
    """The template that a foreign checkpoint tells: written down if Pumice made it, else by family and vocabulary.

    raw: the whole config; text: the language model's, which may be the same.
    """
    if raw.has(TEMPLATE_FIELD):
        try:
            return get_template(raw.text(TEMPLATE_FIELD)).name
        except UsageError as error:
            raise ModelError(f"{raw.where}: {error}", hint=error.hint) from error
    if names_qwen(text):
        return "qwen_1_5"
    if _knows(tokenizer, _CHATML):
        return "chatml_direct"
    if _knows(tokenizer, _LLAMA_3) or language.vocab_size in _LLAMA_3_VOCABULARY:
        return "llava_llama_3"
    if names_mistral(text):
        # LLaVA's own on Mistral are all of 1.6; one that sees as 1.5 does is BakLLaVA, trained with 1.5's template.
        return "mistral_instruct" if not _sees(raw) or _cuts_mosaics(raw) else None
    return "chatml_direct" if language.vocab_size in _YI_VOCABULARY else None


def _knows(tokenizer: Tokenizer | None, names: tuple[str, ...]) -> bool:
    return tokenizer is not None and all(tokenizer.special_id(name) is not None for name in names)


def _sees(raw: Fields) -> bool:
    return raw.has("mm_vision_tower") or raw.has("text_config")


def _cuts_mosaics(raw: Fields) -> bool:
    """Whether a foreign config, of either layout, is of LLaVA 1.6 or later."""
    return raw.text("image_aspect_ratio", "").startswith("anyres") or raw.text("model_type") in _MOSAIC_TYPES


def knows_template(raw: Fields, language: LanguageConfig, tokenizer: Tokenizer | None) -> bool:
    """Whether a foreign checkpoint tells its template. raw: its whole config, of either layout."""
    text = raw.inner("text_config") if raw.has("text_config") else raw
    return known_template(raw, text, language, tokenizer) is not None


def template_doubts(model: LlavaConfig, tokenizer: Tokenizer | None) -> tuple[str, ...]:
    """Why a guessed template may be wrong.

    Before LLaVA 1.5, whose projectors are deeper, there were several templates; and a tokenizer without the token that
    ends the guess's answers, such as Llama 3's, was trained with another.
    """
    old = model.connector is not None and model.connector.kind == "linear"
    endings = get_template(GUESS).stops
    foreign = tokenizer is not None and any(tokenizer.special_id(ending) is None for ending in endings)
    if not (old or foreign):
        return ()
    return (
        f"the template {GUESS} is a guess: this checkpoint does not say which one it was trained with; see --template",
    )


def _hf_feature(raw: Fields, tower: Fields, default: str) -> Feature:
    """What ``vision_feature_select_strategy`` keeps: ``default`` drops what stands first, ``full`` drops nothing."""
    strategy = raw.text("vision_feature_select_strategy", default)
    if strategy not in ("default", "full"):
        raise ModelError(f"{raw.where}: vision_feature_select_strategy = {strategy!r} is not supported")
    if tower_kind(tower) == "siglip":
        if strategy == "default":
            raise ModelError(
                f"{raw.where}: vision_feature_select_strategy = 'default' would drop a patch of a SigLIP tower, "
                "which has no class token",
                hint="set it to full",
            )
        return "patch"
    return "patch" if strategy == "default" else "cls_patch"


def _feature_layer(raw: Fields, default: int) -> int:
    value = raw.values.get("vision_feature_layer")
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, list):
        raise ModelError(f"{raw.where}: features of several vision layers ({value}) are not supported")
    return Fields({"vision_feature_layer": value}, raw.where).whole("vision_feature_layer", default)
