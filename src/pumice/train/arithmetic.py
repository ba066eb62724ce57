"""How much arithmetic a training step is: counted from the model's shapes, as papers count it.

A product of matrices is two operations for each weight and position; its gradients are the same again for the weights
and for what came in, where they are needed. What is done twice to save memory, or done for padding, does not count.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from pumice.data.batch import Batch
from pumice.model.llava import Llava
from pumice.train.parts import learns
from pumice.train.patches import PatchBatch


@dataclass(frozen=True)
class Size:
    """What is in a batch.

    tokens: positions of the language model, pictures included, padding not. pairs: positions times positions of their
    row. predictions: supervised positions. tiles: what the vision tower sees. projected: tiles that are also read.
    """

    tokens: int
    pairs: int
    predictions: int
    images: int
    tiles: int
    projected: int


def size_of(batch: Batch | PatchBatch) -> Size:
    """What is in ``batch``. Its padding has id 0, which no word has."""
    if isinstance(batch, PatchBatch):
        return Size(0, 0, 0, len(batch.tiles), len(batch.tiles), 0)
    lengths = torch.tensor(batch.lengths) if batch.lengths else (batch.ids != 0).sum(1)  # of rows
    tiles = sum(len(each) for each in batch.tiles)
    return Size(
        tokens=int(lengths.sum()),
        pairs=int((lengths * lengths).sum()),
        predictions=len(batch.targets),
        images=len(batch.grids),
        tiles=tiles,
        projected=tiles,
    )


@dataclass(frozen=True)
class Stack:
    """Layers that a position passes. weights: in their matrices; learning: of these; returning: those that a gradient
    passes on its way back. mixing: operations of attention for each pair of positions.
    """

    weights: int
    learning: int
    returning: int
    mixing: int = 0

    def operations(self, positions: int, pairs: int = 0) -> float:
        """Forward and backward."""
        attention = self.mixing * pairs * (3 if self.returning else 1)
        return 2.0 * positions * (self.weights + self.learning + self.returning) + attention


class Work:
    """The operations of a step, for a model whose learning parts are chosen already."""

    def __init__(self, model: Llava) -> None:
        language, vision = model.config.language, model.config.vision
        answers = learns(model.language) or learns(model.connector) or learns(model.vision)
        weights, learning = _matrices(model.language.layers)
        mixing = 4 * language.layers * language.heads * language.head_dim
        self._language = Stack(weights, learning, weights if answers else 0, mixing)
        head = model.language.embed_tokens if language.tied_embeddings else model.language.lm_head
        weights = language.vocab_size * language.hidden_size
        self._head = Stack(weights, weights if learns(head) else 0, weights if answers else 0)
        self._tower = self._connector = Stack(0, 0, 0)
        self._patches = 0
        if vision is not None and model.vision is not None and model.connector is not None:
            self._patches = vision.side**2
            weights, learning = _matrices((model.vision.layers, model.vision.patch_embedding))
            through = _matrices(model.vision.layers)[0] if learns(model.vision) else 0
            self._tower = Stack(weights, learning, through, 4 * vision.used_layers * vision.hidden_size)
            weights, learning = _matrices(model.connector)
            inner = weights - _matrices(model.connector.layers[:1])[0] if learns(model.connector) else 0
            self._connector = Stack(weights, learning, weights if learns(model.vision) else inner)

    def operations(self, size: Size) -> float:
        """Of one step over a batch of ``size``, forward and backward."""
        seen = 1 + self._patches  # the class token and the patches
        return (
            self._tower.operations(size.tiles * seen, size.tiles * seen * seen)
            + self._connector.operations(size.projected * self._patches)
            + self._language.operations(size.tokens, size.pairs)
            + self._head.operations(size.predictions)
        )


def _matrices(modules: nn.Module | Iterable[nn.Module]) -> tuple[int, int]:
    """Weights in the matrices of ``modules``, and how many of them learn."""
    listed = [modules] if isinstance(modules, nn.Module) else modules
    found = [each for module in listed for each in module.parameters() if each.ndim >= 2]
    return sum(each.numel() for each in found), sum(each.numel() for each in found if each.requires_grad)
