"""The vision tower: square tiles in, one feature per patch out.

It is CLIP (Radford et al. 2021) or SigLIP (Zhai et al. 2023). SigLIP differs in three places: no class token, no
norm before the first layer, and a bias in the patch embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pumice.model.config import Activation, VisionConfig
from pumice.model.layers import attend, gelu_tanh, quick_gelu

_ACTIVATIONS: Mapping[Activation, Callable[[Tensor], Tensor]] = {
    "quick_gelu": quick_gelu,
    "gelu": F.gelu,
    "gelu_tanh": gelu_tanh,
}


class VisionAttention(nn.Module):
    """Every patch looks at every patch."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.heads = config.heads
        self.q_proj = nn.Linear(size, size)
        self.k_proj = nn.Linear(size, size)
        self.v_proj = nn.Linear(size, size)
        self.out_proj = nn.Linear(size, size)

    def forward(self, x: Tensor) -> Tensor:  # [T, N, D] -> [T, N, D]
        split = (self.heads, x.shape[-1] // self.heads)
        query, key, value = (p(x).unflatten(-1, split).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj))
        return self.out_proj(attend(query, key, value, None, causal=False))


class VisionMLP(nn.Module):
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)
        self.activation = _ACTIVATIONS[config.activation]

    def forward(self, x: Tensor) -> Tensor:  # [T, N, D] -> [T, N, D]
        return self.fc2(self.activation(self.fc1(x)))


class VisionLayer(nn.Module):
    """A pre-norm transformer layer."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(config.hidden_size, eps=config.norm_eps)
        self.self_attn = VisionAttention(config)
        self.layer_norm2 = nn.LayerNorm(config.hidden_size, eps=config.norm_eps)
        self.mlp = VisionMLP(config)

    def forward(self, x: Tensor) -> Tensor:  # [T, N, D] -> [T, N, D]
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class VisionTower(nn.Module):
    """A tower up to the layer that LLaVA reads; later layers, the final norm and SigLIP's pooling are never built."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.config = config
        first = config.has_class_token
        self.class_embedding = nn.Parameter(nn.init.normal_(torch.empty(size), std=size**-0.5)) if first else None
        self.patch_embedding = nn.Conv2d(3, size, config.patch_size, stride=config.patch_size, bias=not first)
        self.position_embedding = nn.Embedding(config.side**2 + int(first), size)
        self.pre_norm = nn.LayerNorm(size, eps=config.norm_eps) if first else nn.Identity()
        self.layers = nn.ModuleList(VisionLayer(config) for _ in range(config.used_layers))

    def forward(self, tiles: Tensor) -> Tensor:
        """Features of ``tiles`` [T, 3, S, S], normalised pixels -> [T, N, D], N patches in reading order.

        With ``cls_patch`` the class token's feature stands in front.
        """
        x = self.patch_embedding(tiles.to(self.patch_embedding.weight.dtype)).flatten(2).transpose(1, 2)
        if self.class_embedding is not None:
            x = torch.cat((self.class_embedding.expand(len(tiles), 1, -1), x), dim=1)  # [T, 1 + N, D]
        x = self.pre_norm(x + self.position_embedding.weight)
        for layer in self.layers:
            x = layer(x)
        drops = self.class_embedding is not None and self.config.select_feature == "patch"
        return x[:, 1:] if drops else x
