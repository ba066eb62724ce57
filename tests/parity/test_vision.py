"""CLIP and SigLIP towers equal transformers', at every layer and in every form of its checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pumice.checkpoint.start import Joint, start_model
from pumice.model.config import ConnectorConfig, Feature

from .oracle import VISION, save, scramble, siglip_config, text_config, transformers, vision_config


@pytest.fixture
def language(tmp_path: Path) -> Path:
    return save(scramble(transformers.LlamaForCausalLM(text_config()), seed=5), tmp_path / "language")


def tiles(side: int = VISION["image_size"]) -> torch.Tensor:
    return torch.randn(3, 3, side, side, generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
@pytest.mark.parametrize("feature", ["patch", "cls_patch"])
@pytest.mark.parametrize("layer", [-1, -2, -4, 0, 1, 3])
def test_features(layer: int, feature: Feature, activation: str, language: Path, tmp_path: Path) -> None:
    config = vision_config(hidden_act=activation, layer_norm_eps=1e-4)
    theirs = scramble(transformers.CLIPVisionModel(config), seed=6)
    tower = save(theirs, tmp_path / "tower")
    ours = start_model(language, tower, Joint(select_layer=layer, select_feature=feature)).model
    expected = theirs(tiles(), output_hidden_states=True).hidden_states[layer]
    assert ours.vision is not None
    found = ours.vision(tiles())
    torch.testing.assert_close(found, expected if feature == "cls_patch" else expected[:, 1:], rtol=1e-4, atol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("activation", ["gelu_pytorch_tanh", "gelu"])
@pytest.mark.parametrize("layer", [-1, -2, 0, 2])
def test_siglip_features(layer: int, activation: str, language: Path, tmp_path: Path) -> None:
    """Its pooling head, which stands in the file, is left out."""
    config = siglip_config(hidden_act=activation, layer_norm_eps=1e-4)
    theirs = scramble(transformers.SiglipVisionModel(config), seed=6)
    assert any("head.probe" in name for name in theirs.state_dict())
    tower = save(theirs, tmp_path / "tower")
    ours = start_model(language, tower, Joint(select_layer=layer)).model
    assert ours.vision is not None and ours.vision.config.side == 4
    expected = theirs(tiles(30), output_hidden_states=True).hidden_states[layer]
    torch.testing.assert_close(ours.vision(tiles(30)), expected, rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_a_whole_siglip(language: Path, tmp_path: Path) -> None:
    text = {"hidden_size": 24, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 16}
    config = transformers.SiglipConfig(text_config=text, vision_config=siglip_config().to_dict())
    theirs = scramble(transformers.SiglipModel(config), seed=7)
    found = start_model(language, save(theirs, tmp_path / "siglip"), Joint())
    how = found.description.preprocessing
    assert found.model.vision is not None and how is not None
    assert (how.mean, how.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    expected = theirs.vision_model(tiles(30), output_hidden_states=True).hidden_states[-2]
    torch.testing.assert_close(found.model.vision(tiles(30)), expected, rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_a_whole_clip_and_the_projector(language: Path, tmp_path: Path) -> None:
    text = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 16}
    config = transformers.CLIPConfig(text_config=text, vision_config=vision_config().to_dict())
    theirs = scramble(transformers.CLIPModel(config), seed=7)
    tower = save(theirs, tmp_path / "clip")
    joint = Joint(ConnectorConfig("mlp", 3), seed=9)
    first = start_model(language, tower, joint).model
    again = start_model(language, tower, joint).model
    other = start_model(language, tower, Joint(ConnectorConfig("mlp", 3), seed=10)).model
    assert first.vision is not None and first.connector is not None
    expected = theirs.vision_model(tiles(), output_hidden_states=True).hidden_states[-2][:, 1:]
    torch.testing.assert_close(first.vision(tiles()), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(first.encode_images(tiles()), again.encode_images(tiles()), rtol=0, atol=0)
    assert not torch.allclose(first.encode_images(tiles()), other.encode_images(tiles()))
    assert len(first.connector.layers) == 5
