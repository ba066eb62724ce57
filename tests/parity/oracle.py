"""Tiny random transformers models, saved to disk as the hub would have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

transformers = pytest.importorskip("transformers", reason="transformers is the parity oracle; install pumice[dev]")

VOCABULARY = 120
TEXT: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 56,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
VISION: dict[str, Any] = {
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "image_size": 28,
    "patch_size": 7,
}
IMAGE_TOKEN = VOCABULARY - 3


def scramble(model: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Random values everywhere, norms and biases too: a fresh model's ones and zeros would hide mistakes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            spread = 0.3 if parameter.dim() > 1 else 0.2
            centre = 1.0 if parameter.dim() == 1 and float(parameter.mean()) == 1.0 else 0.0
            parameter.copy_(centre + spread * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def save(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    return folder


def text_config(family: str = "llama", **changes: Any) -> Any:
    kinds = {
        "llama": transformers.LlamaConfig,
        "mistral": transformers.MistralConfig,
        "qwen2": transformers.Qwen2Config,
    }
    return kinds[family](**{**TEXT, **changes})


def vision_config(**changes: Any) -> Any:
    return transformers.CLIPVisionConfig(**{**VISION, **changes})


def siglip_config(**changes: Any) -> Any:
    """Four by four patches that do not cover the tile, as 27 of 14 pixels do not cover 384."""
    return transformers.SiglipVisionConfig(**{**VISION, "image_size": 30, **changes})


def reload_strictly(folder: Path) -> Any:
    """transformers' model of a folder, with nothing missing, left over, or of another shape."""
    config = transformers.AutoConfig.from_pretrained(folder)
    kind = getattr(transformers, config.architectures[0])
    model, info = kind.from_pretrained(folder, output_loading_info=True, dtype=torch.float32)
    for problem, names in info.items():
        assert not names, f"{problem}: {names}"
    return model.eval()
