"""LLaVA: a vision tower, a projector and a language model (Liu et al. 2023).

Placeholders are already expanded when ids arrive here: every negative id is one image position, and features fill
these positions in order. Shapes: B batch, L positions, T tiles, N tokens of a tile, D hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pumice.images.grid import Grid
from pumice.model.cache import Cache
from pumice.model.config import LlavaConfig
from pumice.model.connector import Connector
from pumice.model.language import Decoder
from pumice.model.layers import Block
from pumice.model.vision import VisionTower


class Llava(nn.Module):
    """The three parts, composed. Without a vision config it is the language model alone."""

    def __init__(self, config: LlavaConfig) -> None:
        super().__init__()
        self.config = config
        self.language = Decoder(config.language)
        self.vision: VisionTower | None = None
        self.connector: Connector | None = None
        self.image_newline: nn.Parameter | None = None
        size = config.language.hidden_size
        if config.vision is not None and config.connector is not None:
            self.vision = VisionTower(config.vision)
            self.connector = Connector(config.connector, config.vision.hidden_size, size)
        if config.has_newline:
            self.image_newline = nn.Parameter(nn.init.normal_(torch.empty(size), std=size**-0.5))

    @property
    def device(self) -> torch.device:
        return self.language.embed_tokens.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.language.norm.weight.dtype

    def encode_images(self, tiles: Tensor) -> Tensor:
        """Projected features of ``tiles`` [T, 3, S, S] -> [T, N, D]."""
        assert self.vision is not None and self.connector is not None, "a text-only model was given pictures"
        features: Tensor = self.connector(self.vision(tiles))
        return features

    def features(self, tiles: Sequence[Tensor], grids: Sequence[Grid]) -> Tensor:
        """Token rows of several pictures, each of ``tiles`` [t, 3, S, S], one after the other -> [sum of tokens, D]."""
        encoded = self.encode_images(torch.cat(list(tiles))).split([grid.tiles for grid in grids])
        return torch.cat([self.arrange(each, grid) for each, grid in zip(encoded, grids, strict=True)])

    def arrange(self, features: Tensor, grid: Grid) -> Tensor:
        """Lay the tiles' ``features`` [t, N, D] out as one row of tokens [grid.tokens, D] (LLaVA-1.6, OneVision)."""
        if grid.merge == "flat":
            return features.flatten(0, 1)
        if grid.tiles == 1:
            return torch.cat((features[0], self._newline(features)))
        base, mosaic = features[0], features[1:]
        mosaic = mosaic.unflatten(0, (grid.rows, grid.columns)).unflatten(2, (grid.side, grid.side))
        mosaic = mosaic.permute(0, 2, 1, 3, 4).flatten(2, 3).flatten(0, 1)  # [rows*side, columns*side, D]
        if grid.merge == "spatial_unpad":
            mosaic = mosaic[grid.top : grid.bottom, grid.left : grid.right]
            if mosaic.shape[:2] != grid.shown:
                channels_first = mosaic.permute(2, 0, 1)[None]
                mosaic = F.interpolate(channels_first, grid.shown, mode="bilinear")[0].permute(1, 2, 0)
            mosaic = torch.cat((mosaic, self._newline(mosaic).expand(len(mosaic), 1, -1)), dim=1)
        return torch.cat((base, mosaic.flatten(0, 1)))

    def _newline(self, features: Tensor) -> Tensor:
        """The learned end of a row [1, D], of the type of ``features``."""
        assert self.image_newline is not None, "spatial_unpad needs image_newline"
        return self.image_newline.to(features.dtype)[None]

    def embed(self, ids: Tensor, features: Tensor | None) -> Tensor:
        """Embeddings [B, L, D] of ``ids`` [B, L], with ``features`` [n, D] at the n negative ids in row-major order."""
        embeddings: Tensor = self.language.embed_tokens(ids.clamp(min=0)).to(self.dtype)
        if features is None:
            return embeddings
        holes = ids < 0
        # A GPU is not asked: the answer would have to wait for all that it was given to do before.
        fits = ids.device.type != "cpu" or bool(holes.sum() == len(features))
        assert fits, f"{int(holes.sum())} image positions, {len(features)} features"
        return embeddings.masked_scatter(holes[..., None], features.to(embeddings.dtype))

    def forward(
        self,
        ids: Tensor,
        features: Tensor | None = None,
        *,
        positions: Tensor | None = None,
        mask: Tensor | None = None,
        cache: Cache | None = None,
        blocks: Sequence[Block] | None = None,
    ) -> Tensor:
        """Final hidden states [B, L, D] of ``ids`` [B, L]; see ``Decoder.forward`` for what else may be given."""
        if positions is None:
            positions = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
        hidden: Tensor = self.language(self.embed(ids, features), positions, mask=mask, cache=cache, blocks=blocks)
        return hidden

    def logits_for(self, ids: Tensor, features: Tensor | None = None) -> Tensor:
        """Logits [B, L, V] at every position of ``ids`` [B, L], without a cache."""
        return self.language.logits(self(ids, features))
