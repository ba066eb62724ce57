"""Foreign configs: defaults that files leave out, spellings, and features that must be refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from pumice.checkpoint.configs import describe_language, describe_llava_hf, describe_original
from pumice.checkpoint.description import Description, Generation
from pumice.checkpoint.fields import Fields
from pumice.checkpoint.parts import generation_defaults, language_config
from pumice.errors import ModelError
from pumice.model.config import ConnectorConfig, RopeScaling

EMPTY = Fields({}, "none")
# LLaVA-1.5-7b and its tower, as published
ORIGINAL: dict[str, Any] = {
    "model_type": "llava",
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "vocab_size": 32000,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 4096,
    "hidden_act": "silu",
    "mm_vision_tower": "openai/clip-vit-large-patch14-336",
    "mm_hidden_size": 1024,
    "mm_projector_type": "mlp2x_gelu",
    "mm_vision_select_layer": -2,
    "mm_vision_select_feature": "patch",
    "mm_use_im_start_end": False,
    "mm_use_im_patch_token": False,
    "image_aspect_ratio": "pad",
    "image_grid_pinpoints": None,
    "mm_resampler_type": None,
    "tune_mm_mlp_adapter": False,
}
NEXT = {
    **ORIGINAL,
    "model_type": "llava_mistral",
    "num_key_value_heads": 8,
    "rope_theta": 1e6,
    "sliding_window": None,
    "image_aspect_ratio": "anyres",
    "mm_patch_merge_type": "spatial_unpad",
    "image_grid_pinpoints": [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]],
}
TOWER: dict[str, Any] = {
    "model_type": "clip",
    "vision_config": {
        "model_type": "clip_vision_model",
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "image_size": 336,
        "patch_size": 14,
        "projection_dim": 768,
    },
}
HF: dict[str, Any] = {
    "model_type": "llava",
    "text_config": {"model_type": "llama", "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "vocab_size": 32064},
    "vision_config": TOWER["vision_config"],
    "image_token_index": 32000,
    "projector_hidden_act": "gelu",
    "vision_feature_layer": -2,
    "vision_feature_select_strategy": "default",
}
CROPPING = {"crop_size": {"height": 336, "width": 336}, "do_center_crop": True, "resample": 3}


def original(
    tower: dict[str, Any] | None = None, processor: dict[str, Any] | None = None, **changes: Any
) -> Description:
    raw = {**ORIGINAL, **changes}
    return describe_original(
        Fields(raw, "config.json"), Fields(tower or TOWER, "tower"), Fields(processor or {}, "p"), EMPTY, None
    )


def hf(processor: dict[str, Any] | None = None, **changes: Any) -> Description:
    return describe_llava_hf(Fields({**HF, **changes}, "config.json"), Fields(processor or {}, "p"), EMPTY, None)


def test_llava_1_5() -> None:
    found = original()
    vision, how = found.model.vision, found.preprocessing
    assert vision is not None and how is not None
    assert (vision.layers, vision.used_layers, vision.hidden_size, vision.side) == (24, 23, 1024, 24)
    assert found.model.connector == ConnectorConfig("mlp", 2)
    assert (how.mode, how.merge, found.template, found.image_wrap) == ("pad", "flat", "vicuna_v1", None)
    assert not found.model.has_newline


def test_llava_1_6() -> None:
    found = original(**NEXT)
    assert found.template == "mistral_instruct" and found.model.has_newline
    assert found.model.language.sliding_window is None and found.model.language.rope_theta == 1e6
    assert found.preprocessing is not None
    assert found.preprocessing.pinpoints[0] == (336, 672)
    as_text = original(**{**NEXT, "image_grid_pinpoints": "[(336, 672), (672, 336)]"})
    assert as_text.preprocessing is not None and as_text.preprocessing.pinpoints == ((336, 672), (672, 336))


def test_yi_has_its_template() -> None:
    assert original(vocab_size=64000).template == "chatml_direct"


def test_what_an_early_llava_leaves_out() -> None:
    raw = {k: v for k, v in ORIGINAL.items() if k not in ("mm_projector_type", "image_aspect_ratio")}
    raw["mm_use_im_start_end"] = True
    found = describe_original(Fields(raw, "c"), Fields(TOWER, "t"), EMPTY, EMPTY, None)
    assert found.model.connector == ConnectorConfig("linear", 1)
    assert found.preprocessing is not None and found.preprocessing.mode == "square"
    assert found.image_wrap == ("<im_start>", "<im_end>")


def test_llava_hf_fills_in_and_pads() -> None:
    found = hf(CROPPING)
    assert (found.model.language.layers, found.model.language.kv_heads) == (32, 32)
    assert found.preprocessing is not None and found.preprocessing.mode == "pad"
    for says, mode in ((False, "square"), (True, "pad")):
        said = hf({**CROPPING, "do_pad": says}).preprocessing
        assert said is not None and said.mode == mode
    assert hf(vision_config=None).model == found.model


def test_llava_next_hf_has_rows_first() -> None:
    found = hf(model_type="llava_next", image_grid_pinpoints=[[336, 1008]]).preprocessing
    assert found is not None
    assert (found.mode, found.merge, found.pinpoints) == ("anyres", "spatial_unpad", ((1008, 336),))


def test_mistral_defaults() -> None:
    found = language_config(Fields({"model_type": "mistral"}, "c"))
    assert (found.kv_heads, found.intermediate_size, found.sliding_window) == (8, 14336, 4096)
    assert language_config(Fields({"model_type": "mistral", "sliding_window": None}, "c")).sliding_window is None
    assert describe_language(Fields({"model_type": "mistral"}, "c"), EMPTY, None).template == "mistral_instruct"


@pytest.mark.parametrize("field", ["rope_scaling", "rope_parameters"])
def test_rotary_scaling(field: str) -> None:
    linear = language_config(Fields({field: {"type": "linear", "factor": 2}, "rope_theta": 5.0}, "c"))
    assert linear.rope_scaling == RopeScaling("linear", 2.0) and linear.rope_theta == 5.0
    inside = language_config(Fields({field: {"rope_type": "default", "rope_theta": 7.0}}, "c"))
    assert inside.rope_scaling is None and inside.rope_theta == 7.0


@dataclass
class Eos:
    """A tokenizer that knows some special tokens."""

    known: tuple[str, ...]

    def special_id(self, text: str) -> int | None:
        return self.known.index(text) if text in self.known else None


def test_chatml_tokens_decide_over_the_family() -> None:
    tokenizer: Any = Eos(("<|im_start|>", "<|im_end|>"))
    found = describe_language(Fields({"model_type": "mistral"}, "c"), EMPTY, tokenizer)
    assert found.template == "chatml_direct"


REFUSED_LANGUAGE = [
    {"model_type": "qwen2_moe"},
    {"model_type": "qwen2", "use_sliding_window": True},
    {"attention_bias": True},
    {"mlp_bias": True},
    {"hidden_act": "gelu"},
    {"rope_scaling": {"type": "dynamic", "factor": 2.0}},
    {"rope_parameters": {"rope_type": "yarn", "factor": 2.0}},
    {"rope_parameters": {"full_attention": {"rope_type": "default"}}},
    {"rope_scaling": {"type": "linear"}},
    {"partial_rotary_factor": 0.5},
    {"quantization_config": {"bits": 4}},
    {"hidden_size": "4096"},
    {"hidden_size": True},
    {"num_attention_heads": 0},
    {"num_attention_heads": 5, "num_key_value_heads": 2},
]


@pytest.mark.parametrize("changes", REFUSED_LANGUAGE, ids=str)
def test_refused_language_models(changes: dict[str, Any]) -> None:
    with pytest.raises(ModelError):
        language_config(Fields({"model_type": "llama", **changes}, "config.json"))


REFUSED_ORIGINAL = [
    {"mm_projector_type": "mlp2x_res2x_gelu"},
    {"mm_projector_type": "pooler"},
    {"s2": True},
    {"mm_resampler_type": "qformer"},
    {"image_aspect_ratio": "anyres_max_9"},
    {"image_aspect_ratio": "highres"},
    {"image_aspect_ratio": "anyres"},
    {"mm_patch_merge_type": "maxpool2x2"},
    {"mm_vision_select_layer": 30},
    {"mm_vision_select_feature": "slicefour_patch"},
    {"mm_hidden_size": 3072},
    {"mm_vision_select_layer": None},
    {"image_aspect_ratio": "anyres", "image_grid_pinpoints": "(1x1),...,(99x99)"},
    {"image_aspect_ratio": "anyres", "image_grid_pinpoints": "(2x2),...,(1x1)"},
    {"image_aspect_ratio": "anyres", "image_grid_pinpoints": "six by six"},
    {"image_aspect_ratio": "anyres_max_9", "image_grid_pinpoints": [[336, 672]]},  # without spatial_unpad
    {
        "image_aspect_ratio": "anyres_max_0",
        "image_grid_pinpoints": [[336, 672]],
        "mm_patch_merge_type": "spatial_unpad",
    },
    {"image_aspect_ratio": "anyres", "image_grid_pinpoints": [[336, 700]]},
    {"image_aspect_ratio": "anyres", "image_grid_pinpoints": [336]},
]


@pytest.mark.parametrize("changes", REFUSED_ORIGINAL, ids=str)
def test_refused_originals(changes: dict[str, Any]) -> None:
    with pytest.raises(ModelError):
        original(**changes)


@pytest.mark.parametrize("tower", [{"model_type": "dinov2"}, {**TOWER["vision_config"], "hidden_act": "relu"}], ids=str)
def test_refused_towers(tower: dict[str, Any]) -> None:
    with pytest.raises(ModelError):
        original(tower)


REFUSED_PROCESSORS = [
    {"do_normalize": False},
    {"do_rescale": False},
    {"resample": 2},
    {"rescale_factor": 1.0},
    {"crop_size": {"height": 224, "width": 224}},
    {"crop_size": 224},
    {"do_center_crop": False},
    {"size": {"shortest_edge": 256}},
    {"size": 256},
    {"image_mean": [0.5]},
]


@pytest.mark.parametrize("processor", REFUSED_PROCESSORS, ids=str)
def test_refused_processors(processor: dict[str, Any]) -> None:
    with pytest.raises(ModelError):
        original(processor=processor)


REFUSED_HF = [
    {"projector_hidden_act": "relu"},
    {"multimodal_projector_bias": False},
    {"vision_feature_layer": [-2, -5]},
    {"vision_feature_select_strategy": "both"},
    {"quantization_config": {"load_in_4bit": True}},
    {"text_config": {"model_type": "gemma"}},
    {"vision_config": {"model_type": "siglip_vision_model"}},
    {"text_config": "llama"},
]


@pytest.mark.parametrize("changes", REFUSED_HF, ids=str)
def test_refused_llava_hf(changes: dict[str, Any]) -> None:
    with pytest.raises(ModelError):
        hf(**changes)


def test_generation_defaults() -> None:
    assert generation_defaults(Fields({"eos_token_id": 2, "temperature": 0.9, "top_p": 0.6}, "g")) == Generation((2,))
    sampled = generation_defaults(Fields({"eos_token_id": [2, 7], "do_sample": True, "top_p": 0.6}, "g"))
    assert sampled == Generation((2, 7), top_p=0.6)
    with pytest.raises(ModelError):
        generation_defaults(Fields({"eos_token_id": "</s>"}, "g"))
