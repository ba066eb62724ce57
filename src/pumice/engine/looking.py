"""What an answer looked at: how much attention its words paid to every patch of a picture.

Attention is a hint, not a reason: it says where information could flow from, not what was made of it (Jain and
Wallace 2019). Many heads rest on places that mean nothing; those that choose a place count more here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pumice.errors import UsageError
from pumice.images.config import Preprocessing
from pumice.images.grid import Grid
from pumice.model.language import Attention, Decoder, View
from pumice.model.layers import rotate
from pumice.model.llava import Llava
from pumice.processor import Inputs, Tiles
from pumice.prompts.encode import IGNORE, IMAGE_ID


@dataclass(frozen=True)
class Look:
    """One picture. tiles: as the model saw it [t, 3, S, S], made as ``how`` says. base: attention to the patches of the
    base view [side, side]; mosaic: to those of the mosaic [rows, columns], None without one. Of all pictures they sum
    to 1.
    """

    tiles: Tiles
    how: Preprocessing
    grid: Grid
    base: NDArray[np.float32]
    mosaic: NDArray[np.float32] | None


@torch.inference_mode()
def look(model: Llava, inputs: Inputs, how: Preprocessing) -> list[Look]:
    """Where the words of the last answer of ``inputs`` looked; one per picture, read again without a cache.

    Raises: UsageError if there is no picture or no answer.
    """
    asking = _speaking(inputs)
    shown = torch.tensor([at for at, each in enumerate(inputs.ids) if each == IMAGE_ID], device=model.device)
    if not len(shown):
        raise UsageError("without a picture there is nothing to look at", hint="add one with -i")
    tiles = [torch.from_numpy(each).to(model.device) for each in inputs.tiles]
    features = torch.cat([model.features([each], [grid]) for each, grid in zip(tiles, inputs.grids, strict=True)])
    ids = torch.tensor([inputs.ids], device=model.device)
    total = torch.zeros(len(shown), dtype=torch.float64)

    def weigh(weights: Tensor) -> None:  # [H, m, L]
        paid = weights[..., shown].mean(1).double().cpu()  # [H, n]
        nonlocal total
        total = total + (_focus(paid)[:, None] * paid).sum(0)

    with _watched(model.language, asking, weigh):
        model(ids, features)
    heat = (total / total.sum().clamp(min=1e-30)).float().numpy()
    return list(_laid_out(heat, inputs, how))


def _speaking(inputs: Inputs) -> list[int]:
    """Positions whose next token is one of the last answer's words, its end not counted."""
    learned = [at for at, label in enumerate(inputs.labels) if label != IGNORE]
    first = len(learned) - 1
    while first > 0 and learned[first - 1] == learned[first] - 1:
        first -= 1
    words = learned[first:-1]
    if not words:
        raise UsageError("an empty answer looks at nothing")
    return [at - 1 for at in words]


def _focus(paid: Tensor) -> Tensor:
    """How far each head's attention [H, n] is from even: 1 if it is all in one place, 0 if it is everywhere."""
    mass = paid.sum(-1, keepdim=True).clamp(min=1e-30)
    shares = paid / mass
    entropy = -(shares * shares.clamp(min=1e-30).log()).sum(-1)
    return 1 - entropy / max(math.log(paid.shape[-1]), 1e-9)


@contextmanager
def _watched(decoder: Decoder, asking: list[int], see: Callable[[Tensor], None]) -> Iterator[None]:
    """Within, ``see`` gets the attention [H, m, L] of the positions ``asking`` in every layer that runs."""

    def hook(attention: nn.Module, arguments: tuple[Any, ...]) -> None:
        assert isinstance(attention, Attention)
        x, view = arguments
        see(_weights(attention, x, view, asking))

    layers = [each for each in decoder.modules() if isinstance(each, Attention)]
    handles = [each.register_forward_pre_hook(hook) for each in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _weights(attention: Attention, x: Tensor, view: View, asking: list[int]) -> Tensor:
    """Of one row ``x`` [1, L, D], for the positions ``asking`` alone: the whole square would not fit a long one."""
    query = attention.q_proj(x[:, asking]).unflatten(-1, attention.split).transpose(1, 2)  # [1, H, m, E]
    key = attention.k_proj(x).unflatten(-1, attention.split).transpose(1, 2)  # [1, H', L, E]
    query = rotate(query, view.cos[:, :, asking], view.sin[:, :, asking])[0]
    key = rotate(key, view.cos, view.sin)[0].repeat_interleave(query.shape[0] // key.shape[1], dim=0)
    scores = query.float() @ key.float().transpose(-1, -2) / math.sqrt(attention.split[1])  # [H, m, L]
    return scores.masked_fill(~view.whole_mask()[0, 0, asking], -torch.inf).softmax(-1)


def _laid_out(heat: NDArray[np.float32], inputs: Inputs, how: Preprocessing) -> Iterator[Look]:
    """Each picture's tokens back where they are in it; class features and line ends are no place."""
    at = 0
    for tiles, grid in zip(inputs.tiles, inputs.grids, strict=True):
        own = heat[at : at + grid.tokens]
        at += grid.tokens
        base = own[: grid.tokens_per_tile][int(grid.keeps_cls) :].reshape(grid.side, grid.side)
        yield Look(tiles, how, grid, base, _mosaic(own, grid))


def _mosaic(own: NDArray[np.float32], grid: Grid) -> NDArray[np.float32] | None:
    """[rows * side, columns * side], 0 where the mosaic shows no picture."""
    if grid.tiles == 1:
        return None
    rest, side = own[grid.tokens_per_tile :], grid.side
    if grid.merge == "flat":
        patches = rest.reshape(grid.rows, grid.columns, grid.tokens_per_tile)[..., int(grid.keeps_cls) :]
        return patches.reshape(grid.rows, grid.columns, side, side).swapaxes(1, 2).reshape(grid.rows * side, -1)
    height, width = grid.shown
    lines = rest.reshape(height, -1)[:, :width]
    rows, columns = grid.bottom - grid.top, grid.right - grid.left
    spread = lines[np.arange(rows) * height // rows][:, np.arange(columns) * width // columns]
    whole = np.zeros((grid.rows * side, grid.columns * side), np.float32)
    whole[grid.top : grid.bottom, grid.left : grid.right] = spread * (lines.sum() / max(spread.sum(), 1e-30))
    return whole
