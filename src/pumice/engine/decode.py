"""Token ids in, logits out: prefill and decode steps over a KV cache. Knows no text.

Shapes: B rows, L positions, V vocabulary, D hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pumice.engine.native_decoder import NativeDecoder
from pumice.model.cache import JoinedCache, KVCache
from pumice.model.llava import Llava

#: New slots are added in blocks, so that a growing answer seldom moves its cache.
BLOCK = 256
#: Positions of a prompt that the native library reads at a time: their hidden states stay in a processor's cache.
PIECE = 512
#: With 16-bit weights it reads only a short rest, so many positions at most and at a time: a follow-up is not worth
#: widening all weights for.
FEW, TOGETHER = 48, 8


class Runner:
    """Runs a model over KV caches: its definition in PyTorch, or on a CPU the native library's version of that."""

    def __init__(self, model: Llava, *, kv_8bit: bool = False) -> None:
        """kv_8bit: caches hold int8 instead of the model's type, or on a CPU bfloat16."""
        self.model = model
        self.native = NativeDecoder.of(model)
        self._kv_8bit = kv_8bit
        #: Whether tokens are guessed and several checked in one step; only where that gives the logits of single steps.
        self.speculates = self.native is not None

    def new_cache(self, positions: int) -> KVCache:
        """An empty cache of one row with room for at least ``positions``."""
        dtype = self.model.dtype if self.native is None else self.native.cache_dtype
        dtype = torch.int8 if self._kv_8bit else dtype
        return KVCache.empty(self.model.config.language, 1, _rounded(positions), self.model.device, dtype)

    @torch.inference_mode()
    def prefill(self, ids: Sequence[int], start: int, features: Tensor | None, cache: KVCache) -> Tensor:
        """Logits [V] after ``ids``, of which the first ``start`` are in the one-row ``cache`` already.

        features: [n, D] for the n image positions among the rest.
        """
        model = self.model
        make_room(cache, len(ids) + 1)
        rest = torch.tensor([ids[start:]], device=model.device)  # [1, L]
        positions = torch.arange(start, len(ids), device=model.device)[None]
        if self.native is None:
            hidden = model(rest, features, positions=positions, cache=cache)
            return model.language.logits(hidden[0, -1])
        embeddings = model.embed(rest, features)
        if not self.native.reads and rest.shape[1] > FEW:
            # The last position is the library's: to widen the head for it alone would cost the most memory of all.
            model.language(embeddings[:, :-1], positions[:, :-1], cache=cache)
            embeddings, positions = embeddings[:, -1:], positions[:, -1:]
        count = -(-embeddings.shape[1] // (PIECE if self.native.reads else TOGETHER))
        for rows, places in zip(embeddings[0].tensor_split(count), positions[0].tensor_split(count), strict=True):
            logits = self.native.read(rows, places, cache)
        return logits[-1]

    @torch.inference_mode()
    def step(self, tokens: Sequence[int], positions: Sequence[int], caches: Sequence[KVCache]) -> Tensor:
        """Logits [B, V] after one more token in every row: token b stands at position b of cache b, which has one row.

        If ``speculates``, rows may share a cache, with positions one after the other.
        """
        model = self.model
        for position, cache in zip(positions, caches, strict=True):
            make_room(cache, position + 1)
        ids = torch.tensor(tokens, device=model.device)[:, None]
        places = torch.tensor(positions, device=model.device)[:, None]
        if self.native is not None:
            return self.native.step(model.embed(ids, None)[:, 0], places[:, 0], caches)
        hidden = model(ids, positions=places, cache=caches[0] if len(caches) == 1 else JoinedCache(caches))
        return model.language.logits(hidden[:, -1])


def make_room(cache: KVCache, positions: int) -> None:
    """Grow ``cache`` to at least ``positions``."""
    if positions > cache.capacity:
        cache.grow(_rounded(positions))


def _rounded(positions: int) -> int:
    return -(-positions // BLOCK) * BLOCK
