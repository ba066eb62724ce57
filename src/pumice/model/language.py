"""A LLaMA-shaped decoder (Touvron et al. 2023): Vicuna, Llama, Mistral, Yi and Qwen2 are values of its config.

Shapes: B batch, L positions of this call, K key positions, D hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pumice.model.cache import Cache
from pumice.model.config import LanguageConfig
from pumice.model.layers import (
    Block,
    RMSNorm,
    attend,
    attend_blocks,
    product,
    rotary_frequencies,
    rotary_tables,
    rotate,
)


class Attention(nn.Module):
    """Causal self-attention with rotary positions and grouped queries."""

    def __init__(self, config: LanguageConfig, index: int) -> None:
        super().__init__()
        self.index = index
        self.split = (-1, config.head_dim)
        self.q_proj = nn.Linear(config.hidden_size, config.heads * config.head_dim, bias=config.qkv_bias)
        self.k_proj = nn.Linear(config.hidden_size, config.kv_heads * config.head_dim, bias=config.qkv_bias)
        self.v_proj = nn.Linear(config.hidden_size, config.kv_heads * config.head_dim, bias=config.qkv_bias)
        self.o_proj = nn.Linear(config.heads * config.head_dim, config.hidden_size, bias=False)

    def forward(self, x: Tensor, view: View) -> Tensor:  # [B, L, D] -> [B, L, D]
        query, key, value = (
            p(x).unflatten(-1, self.split).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj)
        )
        query, key = rotate(query, view.cos, view.sin), rotate(key, view.cos, view.sin)
        if view.cache is not None:
            key, value = view.cache.write(self.index, view.positions, key, value, view.seen)
        if view.blocks is not None:
            return self.o_proj(attend_blocks(query, key, value, view.blocks))
        return self.o_proj(attend(query, key, value, view.mask, causal=view.causal))


class MLP(nn.Module):
    """SwiGLU (Shazeer 2020)."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:  # [B, L, D] -> [B, L, D]
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class DecoderLayer(nn.Module):
    def __init__(self, config: LanguageConfig, index: int) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, config.norm_eps)
        self.self_attn = Attention(config, index)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.norm_eps)
        self.mlp = MLP(config)

    def forward(self, x: Tensor, view: View) -> Tensor:  # [B, L, D] -> [B, L, D]
        x = x + self.self_attn(self.input_layernorm(x), view)
        return x + self.mlp(self.post_attention_layernorm(x))


class View:
    """What one call of the decoder may see: made once, read by every layer.

    mask: bool [B, 1, L, K] or None; causal: plain causal attention without a mask. blocks: stretches that rows consist
    of, in place of a mask. seen: key slots to read.
    """

    def __init__(
        self,
        config: LanguageConfig,
        positions: Tensor,
        mask: Tensor | None,
        cache: Cache | None,
        dtype: torch.dtype,
        blocks: Sequence[Block] | None = None,
    ) -> None:
        self.positions = positions
        self.cache = cache
        self.cos, self.sin = rotary_tables(positions, rotary_frequencies(config, positions.device), dtype)
        self.seen = 0 if cache is None else int(positions.max()) + 1
        self.mask, window = mask, config.sliding_window
        self.blocks = None if blocks is None else _narrowed(blocks, positions, window)
        if blocks is None and mask is None and (cache is not None or window is not None):
            self.mask = self._causal_mask(window)
        elif mask is not None and window is not None:
            self.mask = mask & _within(positions, window)
        self.causal = self.mask is None and cache is None

    def _causal_mask(self, window: int | None) -> Tensor | None:
        """[B, 1, L, K]: a query sees the slots up to its own position, at most ``window`` of them."""
        last = self.seen or self.positions.shape[1]
        batch, length = self.positions.shape
        if self.cache is not None and batch == 1 and length == 1 and (window is None or last <= window):
            return None  # one new token of one row sees everything there is
        slots = torch.arange(last, device=self.positions.device) if self.cache is not None else self.positions[:, None]
        queries = self.positions[:, :, None]  # [B, L, 1]
        allowed = slots <= queries
        if window is not None:
            allowed = allowed & (slots > queries - window)
        return allowed[:, None]

    def whole_mask(self) -> Tensor:
        """Without a cache: bool [B or 1, 1, L, L], what ``mask`` or ``blocks`` say; causal where nothing is said."""
        if self.mask is not None:
            return self.mask
        blocks = self.blocks or [(self.positions.shape[1], None)]
        masks = [_causal(length, self.positions.device) if mask is None else mask for length, mask in blocks]
        return torch.block_diag(*(mask[0, 0] for mask in masks))[None, None].bool()


def _causal(length: int, device: torch.device) -> Tensor:
    return torch.ones(1, 1, length, length, dtype=torch.bool, device=device).tril()


def _within(positions: Tensor, window: int) -> Tensor:
    """bool [B, 1, L, L]: keys that are less than ``window`` positions back."""
    return (positions[:, None] > positions[:, :, None] - window)[:, None]


def _narrowed(blocks: Sequence[Block], positions: Tensor, window: int | None) -> Sequence[Block]:
    """``blocks`` under a sliding window: those that are longer than it get a mask."""
    if window is None:
        return blocks
    narrow: list[Block] = []
    for (length, mask), own in zip(blocks, positions.split([length for length, _ in blocks], dim=1), strict=True):
        if length > window:
            allowed = _causal(length, positions.device) if mask is None else mask
            narrow.append((length, allowed & _within(own, window)))
        else:
            narrow.append((length, mask))
    return narrow


class Decoder(nn.Module):
    """Embeddings in, hidden states out; ``logits`` maps those to the vocabulary."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(DecoderLayer(config, index) for index in range(config.layers))
        self.norm = RMSNorm(config.hidden_size, config.norm_eps)
        if not config.tied_embeddings:
            self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)

    def forward(
        self,
        embeddings: Tensor,
        positions: Tensor,
        *,
        mask: Tensor | None = None,
        cache: Cache | None = None,
        blocks: Sequence[Block] | None = None,
    ) -> Tensor:
        """Final hidden states [B, L, D] of ``embeddings`` [B, L, D] that stand at ``positions`` [B, L].

        mask: bool [B, 1, L, L], who sees whom, only without a cache; None is causal. With a cache the new keys
        are stored at their positions and every query sees all slots up to its own. A sliding window narrows either.
        blocks: in place of a mask, independent stretches that stand one behind the other in every row.
        """
        view = View(self.config, positions, mask, cache, embeddings.dtype, blocks)
        x = embeddings
        for layer in self.layers:
            x = layer(x, view)
        return self.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:  # [..., D] -> [..., V]
        if self.config.tied_embeddings:
            return product(hidden, self.embed_tokens.weight)  # which may be stored narrower
        return self.lm_head(hidden)
