"""What configs of later families say: the fields as their makers published them, without weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from checkpoint.test_configs import CROPPING, ORIGINAL, TOWER
from pumice.checkpoint.configs import describe_language, describe_llava_hf, describe_original
from pumice.checkpoint.description import Description
from pumice.checkpoint.fields import Fields
from pumice.errors import ModelError
from pumice.images.config import SIGLIP_MEAN, SIGLIP_STD
from pumice.model.config import RopeScaling, VisionConfig

EMPTY = Fields({}, "none")
SIGLIP: dict[str, Any] = {
    "model_type": "siglip",
    "text_config": {"model_type": "siglip_text_model"},
    "vision_config": {
        "model_type": "siglip_vision_model",
        "hidden_size": 1152,
        "image_size": 384,
        "intermediate_size": 4304,
        "num_attention_heads": 16,
        "num_hidden_layers": 27,
        "patch_size": 14,
    },
}
SQUEEZING = {"size": {"height": 384, "width": 384}, "resample": 3, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
QWEN: dict[str, Any] = {
    "vocab_size": 151936,
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e6,
    "hidden_act": "silu",
    "sliding_window": 32768,
    "use_sliding_window": False,
    "max_window_layers": 24,
    "tie_word_embeddings": True,
}
LLAMA_3: dict[str, Any] = {
    "vocab_size": 128256,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0,
}
MOSAICS = [[384 * first, 384 * second] for first in range(1, 7) for second in range(1, 7)]
ONEVISION: dict[str, Any] = {
    **QWEN,
    "model_type": "llava_qwen",
    "mm_vision_tower": "google/siglip-so400m-patch14-384",
    "mm_hidden_size": 1152,
    "mm_projector_type": "mlp2x_gelu",
    "mm_vision_select_layer": -2,
    "mm_vision_select_feature": "patch",
    "mm_patch_merge_type": "spatial_unpad",
    "mm_use_im_start_end": False,
    "mm_use_im_patch_token": False,
    "mm_resampler_type": None,
    "mm_spatial_pool_mode": "bilinear",
    "mm_newline_position": "one_token",
    "use_pos_skipping": False,
    "image_aspect_ratio": "anyres_max_9",
    "image_grid_pinpoints": MOSAICS,
}
ONEVISION_HF: dict[str, Any] = {
    "model_type": "llava_onevision",
    "image_grid_pinpoints": MOSAICS,
    "image_token_index": 151646,
    "video_token_index": 151647,
    "projector_hidden_act": "gelu",
    "text_config": {"model_type": "qwen2", **QWEN, "vocab_size": 152000},
    "vision_config": {**SIGLIP["vision_config"], "num_hidden_layers": 26, "vision_use_head": False},
    "vision_feature_layer": -1,
    "vision_feature_select_strategy": "full",
    "vision_aspect_ratio": "anyres_max_9",
}


@dataclass
class Specials:
    """A tokenizer that knows some special tokens."""

    known: tuple[str, ...]

    def special_id(self, text: str) -> int | None:
        return self.known.index(text) if text in self.known else None


def original(raw: dict[str, Any], tower: dict[str, Any], processor: dict[str, Any], *known: str) -> Description:
    tokenizer: Any = Specials(known) if known else None
    return describe_original(Fields(raw, "config.json"), Fields(tower, "t"), Fields(processor, "p"), EMPTY, tokenizer)


def hf(raw: dict[str, Any], processor: dict[str, Any]) -> Description:
    return describe_llava_hf(Fields(raw, "config.json"), Fields(processor, "p"), EMPTY, None)


def seen(found: Description) -> VisionConfig:
    assert found.model.vision is not None
    return found.model.vision


def test_onevision_is_the_same_model_in_both_layouts() -> None:
    theirs, ported = original(ONEVISION, SIGLIP, SQUEEZING), hf(ONEVISION_HF, SQUEEZING)
    for found in (theirs, ported):
        vision, how, language = seen(found), found.preprocessing, found.model.language
        assert how is not None
        assert (vision.kind, vision.used_layers, vision.side, vision.activation) == ("siglip", 26, 27, "gelu_tanh")
        assert vision.norm_eps == 1e-6 and not vision.has_class_token
        assert (how.mode, how.merge, how.most_tiles) == ("anyres", "spatial_unpad", 9)
        assert (how.mean, how.std, how.image_size) == (SIGLIP_MEAN, SIGLIP_STD, 384)
        assert language.qkv_bias and language.tied_embeddings and language.sliding_window is None
        assert (found.template, found.model.has_newline) == ("qwen_1_5", True)
    assert set(theirs.preprocessing.pinpoints) == set(ported.preprocessing.pinpoints)  # type: ignore[union-attr]
    assert len(theirs.preprocessing.pinpoints) == 36  # type: ignore[union-attr]


def test_a_range_of_mosaics() -> None:
    listed = original(ONEVISION, SIGLIP, SQUEEZING).preprocessing
    for text in ("(1x1),...,(6x6)", " (1x1), ... ,(6x6) "):
        assert original({**ONEVISION, "image_grid_pinpoints": text}, SIGLIP, SQUEEZING).preprocessing == listed
    few = original({**ONEVISION, "image_grid_pinpoints": "(1x1),...,(2x3)"}, SIGLIP, SQUEEZING).preprocessing
    assert few is not None
    assert few.pinpoints == ((384, 384), (384, 768), (384, 1152), (768, 384), (768, 768), (768, 1152))
    one = original({**ONEVISION, "image_grid_pinpoints": "(2x2)"}, SIGLIP, SQUEEZING).preprocessing
    assert one is not None and one.pinpoints == ((768, 768),)


def test_what_onevision_leaves_out() -> None:
    bare = {name: value for name, value in ONEVISION_HF.items() if name in ("model_type", "text_config")}
    full = hf(ONEVISION_HF, {})
    found = hf(bare, {})
    assert found.model == full.model and found.preprocessing == full.preprocessing


def test_the_original_reads_siglip_before_its_last_layer_whatever_it_says() -> None:
    for changes in ({"mm_vision_select_layer": -1}, {"mm_vision_select_feature": "cls_patch"}):
        assert original({**ONEVISION, **changes}, SIGLIP, SQUEEZING).model == original(ONEVISION, SIGLIP, {}).model


def test_llama_3_and_qwen_in_the_frame_of_1_6() -> None:
    frame = {**ORIGINAL, "image_aspect_ratio": "anyres", "mm_patch_merge_type": "spatial_unpad"}
    frame["image_grid_pinpoints"] = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]
    llama = original({**frame, **LLAMA_3, "model_type": "llava_llama"}, TOWER, CROPPING)
    assert (llama.template, llama.model.language.rope_theta) == ("llava_llama_3", 500000.0)
    assert llama.preprocessing is not None and llama.preprocessing.most_tiles is None
    qwen = original({**frame, **QWEN, "model_type": "llava_qwen"}, TOWER, CROPPING)
    assert (qwen.template, qwen.model.language.qkv_bias, seen(qwen).kind) == ("qwen_1_5", True, "clip")
    text = {"model_type": "llama", **LLAMA_3, "vocab_size": 128320}
    ported = hf({"model_type": "llava_next", "text_config": text, "vision_config": TOWER["vision_config"]}, CROPPING)
    assert ported.template == "llava_llama_3" and ported.model.has_newline


def test_llama_3_1_stretches_its_positions() -> None:
    scaling = {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    raw = {"model_type": "llama", **LLAMA_3, "max_position_embeddings": 131072, "rope_scaling": scaling}
    found = describe_language(Fields(raw, "c"), EMPTY, None)
    assert found.model.language.rope_scaling == RopeScaling("llama3", 8.0, 1.0, 4.0, 8192)
    assert found.template == "llava_llama_3"


def test_special_tokens_tell_llama_3_from_a_vocabulary_of_another_size() -> None:
    known: Any = Specials(("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"))
    raw = Fields({"model_type": "llama", **LLAMA_3, "vocab_size": 500}, "c")
    assert describe_language(raw, EMPTY, known).template == "llava_llama_3"
    assert describe_language(raw, EMPTY, None).template == "vicuna_v1"


def test_bakllava_has_the_template_of_1_5() -> None:
    """Mistral, but without mosaics: LLaVA's own models on Mistral, which have mosaics, follow Mistral's template."""
    mistral = {"num_key_value_heads": 8, "intermediate_size": 14336, "sliding_window": 4096}
    theirs = original({**ORIGINAL, **mistral, "model_type": "llava_mistral"}, TOWER, CROPPING)
    text = {"model_type": "mistral", **mistral, "vocab_size": 32064}
    ported = hf({"model_type": "llava", "text_config": text, "vision_config": TOWER["vision_config"]}, CROPPING)
    for found in (theirs, ported):
        assert (found.template, found.model.language.sliding_window) == ("vicuna_v1", 4096)


REFUSED = [
    ({**ONEVISION_HF, "vision_feature_select_strategy": "default"}, "would drop a patch"),
    ({**ONEVISION_HF, "vision_aspect_ratio": "pad"}, "vision_aspect_ratio"),
    ({**ONEVISION_HF, "vision_config": {"model_type": "dinov2"}}, "use a CLIP or SigLIP tower"),
    ({**ONEVISION_HF, "text_config": {**QWEN, "use_sliding_window": True}}, "use_sliding_window"),
    ({**ONEVISION_HF, "image_grid_pinpoints": [[336, 336]]}, "not a multiple of the tile size 384"),
]


@pytest.mark.parametrize(("raw", "says"), REFUSED, ids=[says for _, says in REFUSED])
def test_refused(raw: dict[str, Any], says: str) -> None:
    with pytest.raises(ModelError) as caught:
        hf(raw, SQUEEZING)
    assert says in f"{caught.value} {caught.value.hint}"


def test_pictures_squeezed_to_squares_are_refused() -> None:
    with pytest.raises(ModelError, match="squeezed into a square"):
        original({**ONEVISION, "image_aspect_ratio": "square"}, SIGLIP, SQUEEZING)


def test_a_processor_for_other_sizes_is_refused() -> None:
    with pytest.raises(ModelError, match="size 224 does not suit"):
        original(ONEVISION, SIGLIP, {"size": {"height": 224, "width": 224}})
