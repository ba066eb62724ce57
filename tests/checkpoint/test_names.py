"""The key tables, both ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny
from pumice.checkpoint.load import expected_shapes
from pumice.checkpoint.names import LLAMA, LLAVA_HF, PUMICE, TOWER, Layout, check_tensors, original_layout, rename
from pumice.errors import ModelError

LAYOUTS = [PUMICE, LLAMA, TOWER, LLAVA_HF, original_layout(), original_layout("linear")]
POST_NORM = ("vision.post_norm.weight", "vision.post_norm.bias")


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.title)
@given(number=st.integers(0, 99))
def test_what_is_written_is_read_again(layout: Layout, number: int) -> None:
    for _, ours in layout.pairs:
        name = ours.replace("{i}", str(number))
        theirs = layout.theirs(name)
        assert theirs is not None
        assert layout.ours(theirs) == name


@pytest.mark.parametrize("layout", [PUMICE, LLAVA_HF, original_layout("mlp")], ids=lambda layout: layout.title)
def test_every_tensor_of_a_model_has_a_place(layout: Layout) -> None:
    names = [*expected_shapes(tiny.model().config), *POST_NORM]
    theirs = [layout.theirs(name) for name in names]
    assert None not in theirs and len(set(theirs)) == len(names)
    assert set(rename([name for name in theirs if name], layout, "here")) == set(names)


def test_some_names_as_the_formats_spell_them() -> None:
    original, linear = original_layout("mlp"), original_layout("linear")
    q = "vision.layers.3.self_attn.q_proj.weight"
    assert original.theirs(q) == (
        "model.vision_tower.vision_tower.vision_model.encoder.layers.3.self_attn.q_proj.weight"
    )
    for stage in (0, 2, 4):
        assert original.theirs(f"connector.layers.{stage}.bias") == f"model.mm_projector.{stage}.bias"
    assert linear.theirs("connector.layers.0.bias") == "model.mm_projector.bias"
    assert original.ours("model.mm_projector.weight") == "connector.layers.0.weight"
    assert LLAVA_HF.theirs("connector.layers.2.weight") == "multi_modal_projector.linear_2.weight"
    assert LLAVA_HF.theirs("connector.layers.4.weight") is None
    assert LLAVA_HF.theirs("language.norm.weight") == "language_model.model.norm.weight"
    for prefix in ("vision_tower.vision_model.", "model.vision_tower.vision_model.", "vision_tower."):
        assert LLAVA_HF.ours(f"{prefix}pre_layrnorm.bias") == "vision.pre_norm.bias"
    assert LLAVA_HF.ours("model.language_model.layers.7.mlp.up_proj.weight") == "language.layers.7.mlp.up_proj.weight"
    assert LLAVA_HF.ours("lm_head.weight") == LLAVA_HF.ours("language_model.lm_head.weight")
    assert TOWER.ours("embeddings.class_embedding") == TOWER.ours("vision_model.embeddings.class_embedding")


def test_known_and_dropped() -> None:
    dropped = ["model.layers.0.self_attn.rotary_emb.inv_freq", "vision_model.embeddings.position_ids"]
    assert rename(dropped, original_layout(), "here") == {}
    assert rename(["text_model.encoder.layers.0.mlp.fc1.bias", "logit_scale"], TOWER, "here") == {}
    pooling = ("head.probe", "head.attention.in_proj_weight", "head.layernorm.bias", "head.mlp.fc1.weight")
    for layout, tower in (
        (TOWER, "vision_model."),
        (TOWER, ""),
        (LLAVA_HF, "vision_tower.vision_model."),
        (LLAVA_HF, "model.vision_tower."),
        (original_layout(), "model.vision_tower.vision_tower.vision_model."),
    ):
        assert rename([tower + name for name in pooling], layout, "here") == {}
    assert rename(["logit_bias", "text_model.head.weight"], TOWER, "here") == {}
    with pytest.raises(ModelError):
        rename(["logit_scale"], LLAMA, "here")


def test_unknown_names_are_listed() -> None:
    names = [f"model.layers.{index}.self_attn.o_proj.bias" for index in range(9)]
    with pytest.raises(ModelError, match=r"here: 9 tensors do not belong .*layers.0.*and 5 more"):
        rename(names, LLAMA, "here")


def test_two_spellings_of_one_tensor() -> None:
    with pytest.raises(ModelError, match="the same tensor"):
        rename(["lm_head.weight", "language_model.lm_head.weight"], LLAVA_HF, "here")


def test_missing_extra_and_misshapen() -> None:
    expected = {"a": (1, 2), "b": (3,)}
    check_tensors(expected, dict(expected), "here")
    with pytest.raises(ModelError, match="here: 1 of 2 tensors are missing: b"):
        check_tensors(expected, {"a": (1, 2)}, "here")
    with pytest.raises(ModelError, match=r"here: 1 tensors have no place .* c"):
        check_tensors(expected, {**expected, "c": ()}, "here")
    with pytest.raises(ModelError, match="a must have the shape 1x2, found 2x1"):
        check_tensors(expected, {**expected, "a": (2, 1)}, "here")
