"""From logits to one token id."""

from __future__ import annotations

import secrets

import torch
from torch import Tensor

from pumice.options import SamplingOptions


class Sampler:
    """Chooses the tokens of one answer; its randomness is its own, so that a batch cannot change it.

    seed: the one asked for, or a fresh one; None when greedy.
    """

    def __init__(self, options: SamplingOptions) -> None:
        self.options = options
        self.seed: int | None = None
        self._generator: torch.Generator | None = None
        if options.temperature > 0:
            self.seed = options.seed if options.seed is not None else secrets.randbits(32)
            self._generator = torch.Generator().manual_seed(self.seed)

    def choose(self, logits: Tensor) -> int:
        """The next id, given ``logits`` [V]."""
        if self._generator is None:
            return int(logits.argmax())
        weights = distribution(logits.float().cpu(), self.options)
        return int(torch.multinomial(weights, 1, generator=self._generator))


def distribution(logits: Tensor, options: SamplingOptions) -> Tensor:
    """Probabilities [V] after temperature, top-k and top-p, in this order; the most likely token always stays."""
    # Below the largest, in double precision: however small the temperature is, nothing overflows.
    logits = ((logits.double() - logits.max()) / options.temperature).float()
    if 0 < options.top_k < len(logits):
        worst_kept = logits.topk(options.top_k).values[-1]
        logits = logits.masked_fill(logits < worst_kept, -torch.inf)
    weights = logits.softmax(-1)
    if options.top_p < 1:
        sorted_weights, order = weights.sort(descending=True, stable=True)
        before = sorted_weights.cumsum(-1) - sorted_weights  # mass of all more likely tokens
        dropped = order[before >= options.top_p]
        dropped = dropped[dropped != order[0]]
        weights = weights.index_fill(0, dropped, 0.0)
        weights = weights / weights.sum()
    return weights
