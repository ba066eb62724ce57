"""Foreign ``config.json`` -> what Pumice needs to know. The kind is told by fields and tokenizer, never by a path."""

from __future__ import annotations

import ast
import re
from typing import cast

from pumice.checkpoint.description import Description
from pumice.checkpoint.fields import Fields
from pumice.checkpoint.foreign import TEMPLATE_FIELD
from pumice.checkpoint.parts import (
    colours,
    generation_defaults,
    language_config,
    names_mistral,
    tower_fields,
    vision_config,
)
from pumice.errors import ModelError, UsageError
from pumice.images.config import Merge, Mode, Preprocessing
from pumice.model.config import ConnectorConfig, Feature, LanguageConfig, LlavaConfig, VisionConfig
from pumice.prompts.templates import get_template
from pumice.prompts.tokenizer import Tokenizer

IMAGE_WRAP = ("<im_start>", "<im_end>")
IMAGE_PATCH = "<im_patch>"
GUESS = "vicuna_v1"
_CHATML = ("<|im_start|>", "<|im_end|>")
_YI_VOCABULARY = range(64000, 64065)  # Yi's own rows, and those padded to a multiple of 64
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
_DEFAULT_PINPOINTS = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]
_NEXT_ONLY = ("s2", "mm_resampler_type", "add_faster_video", "use_pos_skipping")


def describe_original(
    raw: Fields, tower: Fields, processor: Fields, generation: Fields, tokenizer: Tokenizer | None
) -> Description:
    """LLaVA's own config. ``tower`` and ``processor``: config and image processor of the CLIP folder it names.

    Raises:
        ModelError: a feature of a later or other LLaVA that is not supported, or fields that contradict each other.
    """
    for name in _NEXT_ONLY:
        raw.refuse(name)
    raw.refuse("mm_newline_position", "grid")
    feature = cast(Feature, raw.text("mm_vision_select_feature", "patch"))
    vision = vision_config(
        tower_fields(tower), select_layer=raw.whole("mm_vision_select_layer"), select_feature=feature
    )
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
        preprocessing=_original_preprocessing(raw, vision, merge, processor),
        image_wrap=IMAGE_WRAP if image_names(raw) else None,
        generation=generation_defaults(generation),
    )


def describe_llava_hf(raw: Fields, processor: Fields, generation: Fields, tokenizer: Tokenizer | None) -> Description:
    """The config of transformers' LLaVA and LLaVA-NeXT. Raises ModelError for unsupported features."""
    raw.refuse("projector_hidden_act", "gelu")
    if not raw.flag("multimodal_projector_bias", True):
        raise ModelError(f"{raw.where}: a projector without biases is not supported")
    raw.refuse("quantization_config")
    text = raw.inner("text_config")
    language = language_config(text, tied=raw.flag("tie_word_embeddings", False))
    tower = raw.inner("vision_config") if raw.has("vision_config") else Fields(_DEFAULT_TOWER, raw.where)
    strategy = raw.text("vision_feature_select_strategy", "default")
    if strategy not in ("default", "full"):
        raise ModelError(f"{raw.where}: vision_feature_select_strategy = {strategy!r} is not supported")
    vision = vision_config(
        tower, select_layer=_feature_layer(raw), select_feature="patch" if strategy == "default" else "cls_patch"
    )
    is_next = raw.text("model_type") == "llava_next"
    return Description(
        model=LlavaConfig(language, vision, ConnectorConfig("mlp", 2), has_newline=is_next),
        template=template_for(raw, text, language, tokenizer),
        preprocessing=_hf_preprocessing(raw, vision, processor, is_next=is_next),
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
    if tokenizer is not None and all(tokenizer.special_id(text) is not None for text in _CHATML):
        return "chatml_direct"
    if names_mistral(text):
        return "mistral_instruct"
    return "chatml_direct" if language.vocab_size in _YI_VOCABULARY else None


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


def _original_preprocessing(raw: Fields, vision: VisionConfig, merge: Merge, processor: Fields) -> Preprocessing:
    mode = raw.text("image_aspect_ratio", "square")
    if mode not in ("square", "pad", "anyres"):
        raise ModelError(
            f"{raw.where}: image_aspect_ratio = {mode!r} is not supported", hint="supported are square, pad and anyres"
        )
    pinpoints = raw.values.get("image_grid_pinpoints") if mode == "anyres" else None
    if isinstance(pinpoints, str):
        try:
            pinpoints = ast.literal_eval(pinpoints)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            raise ModelError(f"{raw.where}: image_grid_pinpoints must be a list of pairs, found text") from None
    return _preprocessing(vision, cast(Mode, mode), merge, _pairs(raw, pinpoints), processor)


def _hf_preprocessing(raw: Fields, vision: VisionConfig, processor: Fields, *, is_next: bool) -> Preprocessing:
    if is_next:
        pinpoints = raw.values.get("image_grid_pinpoints") or _DEFAULT_PINPOINTS
        swapped = tuple((width, height) for height, width in _pairs(raw, pinpoints))  # theirs are (height, width)
        return _preprocessing(vision, "anyres", "spatial_unpad", swapped, processor)
    # LLaVA-1.5 was trained on padded pictures, but the ports' processors say nothing of it and crop; only a config
    # with a do_pad of its own was made by someone who chose.
    return _preprocessing(vision, "pad" if processor.flag("do_pad", True) else "square", "flat", (), processor)


def _preprocessing(
    vision: VisionConfig, mode: Mode, merge: Merge, pinpoints: tuple[tuple[int, int], ...], processor: Fields
) -> Preprocessing:
    mean, std = colours(processor, vision.image_size)
    return Preprocessing(
        image_size=vision.image_size,
        patch_size=vision.patch_size,
        mode=mode,
        merge=merge,
        pinpoints=pinpoints,
        mean=mean,
        std=std,
        keeps_cls=vision.select_feature == "cls_patch",
    )


def _pairs(raw: Fields, value: object) -> tuple[tuple[int, int], ...]:
    pairs = Fields({"image_grid_pinpoints": value}, raw.where).items("image_grid_pinpoints")
    for pair in pairs:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not all(isinstance(side, int) for side in pair):
            raise ModelError(f"{raw.where}: image_grid_pinpoints must be a list of pairs, found {pair!r} in it")
    return tuple((int(first), int(second)) for first, second in cast("list[tuple[int, int]]", pairs))


def _feature_layer(raw: Fields) -> int:
    value = raw.values.get("vision_feature_layer")
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, list):
        raise ModelError(f"{raw.where}: features of several vision layers ({value}) are not supported")
    return Fields({"vision_feature_layer": value}, raw.where).whole("vision_feature_layer", -2)
