"""Our description -> the config files of other layouts, as JSON objects."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pumice.checkpoint.description import Description
from pumice.checkpoint.parts import ACTIVATIONS
from pumice.errors import ModelError
from pumice.images.config import Preprocessing
from pumice.model.config import ConnectorConfig, LanguageConfig, RopeScaling, VisionConfig
from pumice.prompts.tokenizer import Tokenizer

TOWER_FOLDER = "vision_tower"
TEMPLATE_FIELD = "pumice_template"  # foreign layouts have no place for it and ignore it

Speaker: TypeAlias = Literal["llama", "mistral", "qwen2"]
Viewer: TypeAlias = Literal["llava", "llava_next", "llava_onevision"]

_MISTRAL_TEMPLATE = "mistral_instruct"
_CLASSES: dict[Speaker, str] = {"llama": "Llama", "mistral": "Mistral", "qwen2": "Qwen2"}
# What LLaVA's own code calls a model upon them
_ORIGINALS: dict[Speaker, str] = {"llama": "Llama", "mistral": "Mistral", "qwen2": "Qwen"}
_VIEWERS: dict[Viewer, str] = {"llava": "Llava", "llava_next": "LlavaNext", "llava_onevision": "LlavaOnevision"}


def speaker(description: Description) -> Speaker:
    """The language family that a foreign config should name.

    Qwen2 alone has biases. Mistral alone has sliding windows, and its name implies the template.
    Raises: ModelError for a model with both, which no family has.
    """
    language = description.model.language
    if language.qkv_bias:
        if language.sliding_window is not None:
            raise ModelError("no foreign layout has a place for biases and a sliding window in one model")
        return "qwen2"
    mistral = language.sliding_window is not None or description.template == _MISTRAL_TEMPLATE
    return "mistral" if mistral else "llama"


def language_json(language: LanguageConfig, family: Speaker) -> dict[str, object]:
    """A LlamaConfig, MistralConfig or Qwen2Config, in the spelling that transformers 4 and 5 both read."""
    content: dict[str, object] = {
        "model_type": family,
        "vocab_size": language.vocab_size,
        "hidden_size": language.hidden_size,
        "intermediate_size": language.intermediate_size,
        "num_hidden_layers": language.layers,
        "num_attention_heads": language.heads,
        "num_key_value_heads": language.kv_heads,
        "head_dim": language.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": language.max_positions,
        "rms_norm_eps": language.norm_eps,
        "rope_theta": language.rope_theta,
        "rope_scaling": None if language.rope_scaling is None else _scaling(language.rope_scaling),
        "tie_word_embeddings": language.tied_embeddings,
    }
    if family == "mistral":
        return {**content, "sliding_window": language.sliding_window}
    if family == "qwen2":
        return {**content, "use_sliding_window": False, "sliding_window": None}
    return {**content, "attention_bias": False, "mlp_bias": False}


def tower_json(vision: VisionConfig) -> dict[str, object]:
    """A CLIPVisionConfig or SiglipVisionConfig."""
    siglip = vision.kind == "siglip"
    names = {ours: theirs for theirs, ours in ACTIVATIONS.items()}
    content: dict[str, object] = {
        "model_type": f"{vision.kind}_vision_model",
        "hidden_size": vision.hidden_size,
        "intermediate_size": vision.intermediate_size,
        "num_hidden_layers": vision.layers,
        "num_attention_heads": vision.heads,
        "image_size": vision.image_size,
        "patch_size": vision.patch_size,
        "hidden_act": names[vision.activation],
        "layer_norm_eps": vision.norm_eps,
    }
    return {**content, "vision_use_head": False} if siglip else content


def tower_processor_json(how: Preprocessing, vision: VisionConfig) -> dict[str, object]:
    """A CLIPImageProcessor's config, or a SiglipImageProcessor's."""
    if vision.kind == "siglip":
        return {"image_processor_type": "SiglipImageProcessor", **_square(how)}
    return {"image_processor_type": "CLIPImageProcessor", **_cropped(how)}


def _square(how: Preprocessing) -> dict[str, object]:
    return {"size": {"height": how.image_size, "width": how.image_size}, **_values(how)}


def _cropped(how: Preprocessing) -> dict[str, object]:
    side = {"height": how.image_size, "width": how.image_size}
    return {"size": {"shortest_edge": how.image_size}, "do_center_crop": True, "crop_size": side, **_values(how)}


def _values(how: Preprocessing) -> dict[str, object]:
    return {
        "do_convert_rgb": True,
        "do_resize": True,
        "resample": 3,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(how.mean),
        "image_std": list(how.std),
    }


def original_json(description: Description) -> dict[str, object]:
    """LLaVA's ``config.json``; a plain language model's if there is no vision tower."""
    family = speaker(description)
    model, how = description.model, description.preprocessing
    name = _ORIGINALS[family]
    content: dict[str, object] = {
        "architectures": [f"{_CLASSES[family]}ForCausalLM"],
        **language_json(model.language, family),
        TEMPLATE_FIELD: description.template,
    }
    if model.vision is None or model.connector is None or how is None:
        return content
    return {
        **content,
        "architectures": [f"Llava{name}ForCausalLM"],
        "model_type": f"llava_{name.lower()}",
        "mm_vision_tower": TOWER_FOLDER,
        "unfreeze_mm_vision_tower": True,  # how the original says that the tower is inside
        "mm_hidden_size": model.vision.hidden_size,
        "mm_vision_select_layer": model.vision.select_layer,
        "mm_vision_select_feature": model.vision.select_feature,
        "mm_projector_type": _projector_name(model.connector),
        "use_mm_proj": True,
        "mm_use_im_start_end": description.image_wrap is not None,
        "mm_use_im_patch_token": False,
        "image_aspect_ratio": how.mode if how.most_tiles is None else f"anyres_max_{how.most_tiles}",
        "mm_patch_merge_type": how.merge,
        "image_grid_pinpoints": [list(pair) for pair in how.pinpoints] or None,
    }


def llava_hf_json(
    description: Description, *, image_id: int, pad_id: int, video_id: int | None = None
) -> dict[str, object]:
    """The ``config.json`` of transformers' LLaVA, LLaVA-NeXT or LLaVA-OneVision.

    Raises:
        ModelError: transformers has no model of this shape.
    """
    model, how = description.model, description.preprocessing
    if model.vision is None or model.connector is None or how is None:
        raise ModelError(
            "a model without a vision tower cannot become a llava-hf one",
            hint="convert it to the original layout: of a text-only model that is a plain LLaMA folder",
        )
    if (model.connector.kind, model.connector.depth) != ("mlp", 2):
        raise ModelError(
            f"llava-hf models have a projector of type mlp2x_gelu; this one is {_projector_name(model.connector)}",
            hint="convert it to the original layout instead",
        )
    family = viewer(how)
    content: dict[str, object] = {
        "architectures": [f"{_VIEWERS[family]}ForConditionalGeneration"],
        "model_type": family,
        "text_config": language_json(model.language, speaker(description)),
        "vision_config": tower_json(model.vision),
        "image_token_index": image_id,
        "pad_token_id": pad_id,
        "image_seq_length": how.side**2 + int(how.keeps_cls),
        "projector_hidden_act": "gelu",
        "multimodal_projector_bias": True,
        "vision_feature_layer": model.vision.select_layer,
        "vision_feature_select_strategy": _strategy(how, model.vision),
        "tie_word_embeddings": model.language.tied_embeddings,
        TEMPLATE_FIELD: description.template,
    }
    if family != "llava":
        content["image_grid_pinpoints"] = _rows_first(how)
        content["use_image_newline_parameter"] = True
    if family == "llava_onevision":
        content["vision_aspect_ratio"] = f"anyres_max_{how.most_tiles}"
        content["video_token_index"] = video_id
    return content


def viewer(how: Preprocessing) -> Viewer:
    """Whose way to read pictures this is: that of LLaVA-1.5, -NeXT or -OneVision. Raises ModelError if it is none's."""
    if how.mode != "anyres":
        return "llava"
    if how.merge != "spatial_unpad":
        raise ModelError(
            f"llava-hf models merge tiles as spatial_unpad; this one as {how.merge}",
            hint="convert it to the original layout instead",
        )
    return "llava_next" if how.most_tiles is None else "llava_onevision"


def image_processor_json(how: Preprocessing) -> dict[str, object]:
    """The image processor's config beside a llava-hf model, padding as the model was trained."""
    family = viewer(how)
    base = _square(how) if family == "llava_onevision" else _cropped(how)
    named = {**base, "image_processor_type": f"{_VIEWERS[family]}ImageProcessor"}
    if family == "llava":
        return {**named, "do_pad": how.mode == "pad"}
    return {**named, "do_pad": True, "image_grid_pinpoints": _rows_first(how)}


def processor_json(how: Preprocessing, vision: VisionConfig) -> dict[str, object]:
    """The processor's config beside a llava-hf model."""
    family = viewer(how)
    content: dict[str, object] = {
        "processor_class": f"{_VIEWERS[family]}Processor",
        "image_token": "<image>",
        "vision_feature_select_strategy": _strategy(how, vision),
    }
    if family == "llava_onevision":
        return {**content, "num_image_tokens": how.side**2, "vision_aspect_ratio": f"anyres_max_{how.most_tiles}"}
    # The class token, which the strategy then drops or keeps; SigLIP has none to be counted.
    return {**content, "patch_size": how.patch_size, "num_additional_image_tokens": int(vision.has_class_token)}


def generation_json(description: Description, tokenizer: Tokenizer | None) -> dict[str, object]:
    """``generation_config.json``."""
    given = description.generation
    ends = given.end_ids or (() if tokenizer is None else (tokenizer.eos_id,))
    content: dict[str, object] = {}
    if tokenizer is not None and tokenizer.bos_id is not None:
        content["bos_token_id"] = tokenizer.bos_id
    if ends:
        content["eos_token_id"] = ends[0] if len(ends) == 1 else list(ends)
    sampling = {"temperature": given.temperature, "top_p": given.top_p, "top_k": given.top_k}
    chosen = {name: value for name, value in sampling.items() if value is not None}
    return {**content, "do_sample": True, **chosen} if chosen else content


def _scaling(scaling: RopeScaling) -> dict[str, object]:
    content: dict[str, object] = {"type": scaling.kind, "rope_type": scaling.kind, "factor": scaling.factor}
    if scaling.kind == "linear":
        return content
    return {
        **content,
        "low_freq_factor": scaling.low_freq_factor,
        "high_freq_factor": scaling.high_freq_factor,
        "original_max_position_embeddings": scaling.original_max_positions,
    }


def _strategy(how: Preprocessing, vision: VisionConfig) -> str:
    """``full`` keeps all features of a tile, ``default`` drops the first of them."""
    return "full" if how.keeps_cls or not vision.has_class_token else "default"


def _projector_name(connector: ConnectorConfig) -> str:
    return f"mlp{connector.depth}x_gelu" if connector.kind == "mlp" else connector.kind


def _rows_first(how: Preprocessing) -> list[list[int]]:
    return [[height, width] for width, height in how.pinpoints]
