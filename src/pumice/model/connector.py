"""The projector: vision features become word embeddings (LLaVA-1.5, section 3.2)."""

from __future__ import annotations

from torch import Tensor, nn

from pumice.model.config import ConnectorConfig


class Connector(nn.Module):
    """``linear``: one layer. ``mlp`` of depth N: N layers with exact GELU between. ``identity``: nothing."""

    def __init__(self, config: ConnectorConfig, vision_size: int, language_size: int) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        if config.kind != "identity":
            stages.append(nn.Linear(vision_size, language_size))
            for _ in range(config.depth - 1 if config.kind == "mlp" else 0):
                stages += [nn.GELU(), nn.Linear(language_size, language_size)]
        self.layers = nn.Sequential(*stages)

    def forward(self, features: Tensor) -> Tensor:  # [T, N, D_vision] -> [T, N, D]
        projected: Tensor = self.layers(features)
        return projected
