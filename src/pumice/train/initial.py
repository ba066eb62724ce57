"""Weights to begin with, where nothing pretrained exists."""

from __future__ import annotations

import math

import torch
from torch import nn

from pumice.model.config import ConnectorConfig, LanguageConfig, LlavaConfig, VisionConfig
from pumice.model.llava import Llava
from pumice.train.parts import sincos_positions
from pumice.train.recipe import Start

SPREAD = 0.02  # standard deviation of GPT-2 and LLaMA


def config_of(start: Start) -> LlavaConfig:
    """The model that the shapes in ``start`` describe."""
    assert start.vision is not None and start.language is not None
    return LlavaConfig(
        language=LanguageConfig(
            **start.language.model_dump(),
            head_dim=start.language.hidden_size // start.language.heads,
            tied_embeddings=True,
        ),
        vision=VisionConfig(**start.vision.model_dump(), select_layer=-1),
        connector=ConnectorConfig(start.projector, 2),
    )


def random_model(start: Start, seed: int) -> Llava:
    """A model of the shapes in ``start``, drawn with ``seed``."""
    config = config_of(start)
    torch.manual_seed(seed)
    model = Llava(config)
    _draw(model, config)
    return model


@torch.no_grad()
def _draw(model: Llava, config: LlavaConfig) -> None:
    assert model.vision is not None and config.vision is not None
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=SPREAD)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
    # The way back into the residual stream starts smaller the deeper the stack is (GPT-2, section 2.3).
    ways_back = (
        (model.language, config.language.layers, ("o_proj", "down_proj")),
        (model.vision, config.vision.layers, ("out_proj", "fc2")),
    )
    for tower, depth, names in ways_back:
        for name, module in tower.named_modules():
            if name.split(".")[-1] in names and isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=SPREAD / math.sqrt(2 * depth))
    # Positions that already know the plane save the tower from finding it out; they are trained like the rest.
    positions = model.vision.position_embedding.weight
    positions[0].zero_()
    positions[1:] = 0.5 * sincos_positions(config.vision.side, config.vision.hidden_size)
    fan_in = 3 * config.vision.patch_size**2
    nn.init.normal_(model.vision.patch_embedding.weight, std=fan_in**-0.5)
    if model.connector is not None:
        for module in model.connector.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=module.in_features**-0.5)
