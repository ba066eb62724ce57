"""Attention that is told where to look: where a text speaks of a thing, one head is to look at its patches.

A model that begins with random weights hardly learns to find a thing by its name: it must look before looking pays,
and looking must pay before it is learned (measured in ``docs/log.md``). Scenes know what every word speaks of, so
this is taught like any label: supervised attention (Liu, Mao, Sha and Yuille 2017), here within the decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from pumice.data.batch import GroundedWords
from pumice.data.packing import HEAD, NOWHERE, Grounding, Row
from pumice.model.language import Attention, Decoder, View
from pumice.model.layers import rotate
from pumice.prompts.encode import IMAGE_ID
from pumice.prompts.tokens import Tokenizer
from pumice.world.mentions import mentions
from pumice.world.patches import CLASSES, patch_labels
from pumice.world.scene import GRID, Scene

TAUGHT = 0  # which of a layer's heads is taught; they all begin alike
NOTHING = 0  # the region of the first token: where to look when what is spoken of is not in the picture
_CELL = list(CLASSES).index("cell")
_LEAST = 1e-9  # keeps the logarithm finite where a head does not look at all


def ground(row: Row, scene: Scene, tokenizer: Tokenizer) -> Row:
    """``row`` with what its words speak of; its one picture of ``scene`` stands before them in one tile."""
    pictured = [at for at, each in enumerate(row.ids) if each == IMAGE_ID]
    classes, _ = patch_labels(scene, row.grids[0].side)
    # Patches that show nothing belong to no region; those of an item to the item's cell, counted from 1.
    cells = {at: int(cell) for at, cell in zip(pictured, classes[:, _CELL], strict=True) if cell}
    regions = tuple(NOTHING if at == 0 else cells.get(at, NOWHERE) for at in range(len(row.ids)))
    shown = {NOTHING, *regions}
    spoken: list[tuple[int, tuple[int, ...]]] = []
    for group in range(HEAD, max(row.groups) + 1):
        text = [at for at, each in enumerate(row.groups) if each == group and row.ids[at] != IMAGE_ID]
        for at, meant in _spoken(row, text, scene, tokenizer):
            visible = tuple(region for region in meant if region in shown)  # two things can share a coarse patch
            if visible:
                spoken.append((at, visible))
    return replace(row, grounding=Grounding(regions, 1 + GRID * GRID, tuple(spoken)))


def _spoken(row: Row, text: list[int], scene: Scene, tokenizer: Tokenizer) -> list[tuple[int, tuple[int, ...]]]:
    """From the token that ends a mention to the one before the end of the next, or of the answer."""
    surfaces = [b"" if row.ids[at] == tokenizer.eos_id else tokenizer.token_bytes(row.ids[at]) for at in text]
    waiting = mentions(scene, b"".join(surfaces).decode("utf-8", errors="replace"))
    found: list[tuple[int, tuple[int, ...]]] = []
    read, meant = 0, None
    for at, surface in zip(text, surfaces, strict=True):
        read += len(surface.decode("utf-8", errors="replace"))
        while waiting and waiting[0].end <= read:
            meant = tuple(sorted(1 + cell for cell in waiting.pop(0).cells)) or (NOTHING,)
        if row.ids[at] == tokenizer.eos_id:
            meant = None
        if meant is not None:
            found.append((at, meant))
    return found


class GroundedHeads:
    """Watches the attention of some layers of a decoder while it runs, and says how far it is from where to look."""

    def __init__(self, decoder: Decoder, layers: Sequence[int]) -> None:
        self._seen: dict[int, tuple[Tensor, View]] = {}
        self._heads = {index: _attention(decoder, index) for index in layers}
        for index, attention in self._heads.items():
            attention.register_forward_pre_hook(self._watch(index))

    def _watch(self, index: int) -> Callable[[nn.Module, tuple[Tensor, View]], None]:
        def keep(_: nn.Module, inputs: tuple[Tensor, View]) -> None:
            self._seen[index] = inputs

        return keep

    def loss(self, words: GroundedWords) -> Tensor:
        """Cross-entropy between equal shares for all that is spoken of and the weight each region gets.

        Added up over the words, and the mean over the taught layers.
        """
        among = nn.functional.one_hot(words.regions - NOWHERE, words.shares.shape[1] + 1)[..., 1:].float()  # [B, L, R]
        losses = []
        for index, attention in self._heads.items():
            weights = _weights(attention, *self._seen.pop(index))  # [B, L, L]
            looked = (weights @ among).flatten(0, 1)[words.sources]  # [m, R]
            losses.append(-(words.shares * (looked + _LEAST).log()).sum())
        return torch.stack(losses).mean()


def _attention(decoder: Decoder, index: int) -> Attention:
    found = decoder.layers[index].self_attn
    assert isinstance(found, Attention)
    return found


def _taught(x: Tensor, projection: nn.Linear, rows: slice) -> Tensor:
    """One head's part of a projection: [B, L, D] -> [B, L, E]."""
    bias = None if projection.bias is None else projection.bias[rows]
    return nn.functional.linear(x, projection.weight[rows], bias)


def _weights(attention: Attention, x: Tensor, view: View) -> Tensor:
    """What the taught head gives each position: x [B, L, D] -> [B, L, L]."""
    size = attention.split[1]
    rows = slice(TAUGHT * size, (TAUGHT + 1) * size)
    query, key = (_taught(x, p, rows)[:, None] for p in (attention.q_proj, attention.k_proj))
    query, key = rotate(query, view.cos, view.sin), rotate(key, view.cos, view.sin)
    scores = (query @ key.transpose(-1, -2)) / size**0.5  # [B, 1, L, L]
    weights: Tensor = scores.masked_fill(~view.whole_mask(), float("-inf")).softmax(-1)[:, 0]
    return weights
