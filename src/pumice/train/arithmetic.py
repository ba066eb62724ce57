"""How much arithmetic a training step is: counted from the model's shapes, as papers count it.

A product of matrices is two operations for each weight and position; its gradients are the same again for the weights
and for what came in, where they are needed. What is done twice to save memory, or done for padding, does not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields

from torch import nn

from pumice.data.batch import Batch
from pumice.model.llava import Llava
from pumice.model.lora import LoraLinear
from pumice.quantize.frozen import FrozenLinear
from pumice.train.parts import learns
from pumice.train.patches import PatchBatch

#: What reads the input of a layer of either tower.
_READERS = ("q_proj", "k_proj", "v_proj")


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
    """What is in ``batch``. Its padding has id 0, which no word has; of joined rows each has its own pairs."""
    if isinstance(batch, PatchBatch):
        return Size(0, 0, 0, len(batch.tiles), len(batch.tiles), 0)
    lengths = batch.lengths or tuple((batch.ids != 0).sum(1).tolist())
    tiles = sum(len(each) for each in batch.tiles)
    return Size(
        tokens=sum(lengths),
        pairs=sum(length * length for length in lengths),
        predictions=len(batch.targets),
        images=len(batch.grids),
        tiles=tiles,
        projected=tiles,
    )


def sum_of(sizes: Iterable[Size]) -> Size:
    """What is in all of them."""
    return Size(*map(sum, zip((0,) * len(fields(Size)), *map(astuple, sizes), strict=True)))


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
        asked = learns(model.connector) or learns(model.vision) or learns(model.language.embed_tokens)
        answers = asked or learns(model.language)
        mixing = 4 * language.layers * language.heads * language.head_dim
        self._language = _stack(model.language.layers, _readers(model.language.layers), asked, mixing)
        head = model.language.embed_tokens if language.tied_embeddings else model.language.lm_head
        weights = language.vocab_size * language.hidden_size
        self._head = Stack(weights, weights if learns(head) else 0, weights if answers else 0)
        self._tower = self._connector = self._patching = Stack(0, 0, 0)
        self._patches = 0
        if vision is not None and model.vision is not None and model.connector is not None:
            self._patches = vision.side**2
            patching, layers = model.vision.patch_embedding, model.vision.layers
            self._patching = _stack([patching], [patching], asked=False)
            mixing = 4 * vision.used_layers * vision.hidden_size
            self._tower = _stack(layers, _readers(layers), learns(patching), mixing)
            first = [model.connector.layers[0]] if len(model.connector.layers) else []
            self._connector = _stack([model.connector], first, learns(model.vision))

    def operations(self, size: Size) -> float:
        """Of one step over a batch of ``size``, forward and backward."""
        seen = 1 + self._patches  # the class token and the patches
        return (
            self._patching.operations(size.tiles * self._patches)
            + self._tower.operations(size.tiles * seen, size.tiles * seen * seen)
            + self._connector.operations(size.projected * self._patches)
            + self._language.operations(size.tokens, size.pairs)
            + self._head.operations(size.predictions)
        )


def weights_of(module: nn.Module) -> Iterator[tuple[str, int, bool]]:
    """Name, size and whether it learns of every weight of ``module``, those that are integers included."""
    for name, weight in module.named_parameters():
        yield name, weight.numel(), weight.requires_grad
    for name, each in module.named_modules():
        if isinstance(each, FrozenLinear):
            yield f"{name}.weight", each.in_features * each.out_features, False


def _stack(modules: Iterable[nn.Module], readers: Iterable[nn.Module], asked: bool, mixing: int = 0) -> Stack:
    """``modules``, of which ``readers`` read what comes in. asked: whether a gradient is wanted for that."""
    listed = list(modules)
    weights, learning = _matrices(listed)
    if not (asked or learning):
        return Stack(weights, 0, 0, mixing)
    return Stack(weights, learning, weights - (0 if asked else sum(map(_reading, readers))), mixing)


def _matrices(modules: Iterable[nn.Module]) -> tuple[int, int]:
    """Weights in the matrices of ``modules``, and how many of them learn."""
    weights = learning = 0
    for module in modules:
        for each in module.modules():
            if isinstance(each, FrozenLinear):
                weights += each.in_features * each.out_features
            for own in each.parameters(recurse=False):
                if own.ndim >= 2:
                    weights += own.numel()
                    learning += own.numel() * own.requires_grad
    return weights, learning


def _reading(layer: nn.Module) -> int:
    """Weights of ``layer`` that are multiplied with its input itself: not those behind an adapter's first matrix."""
    behind = layer.lora_b.numel() if isinstance(layer, LoraLinear) else 0
    return _matrices([layer])[0] - behind


def _readers(layers: nn.ModuleList) -> list[nn.Module]:
    """What multiplies the input of the first of ``layers``."""
    return [] if not len(layers) else [layers[0].get_submodule(f"self_attn.{name}") for name in _READERS]
