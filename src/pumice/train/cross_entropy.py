"""The cost of words, without ever holding the logits of all of them: a vocabulary is far wider than a model.

Each stretch of predictions is scored, and its gradients are made at once while its logits are still at hand. So the
logits are computed once, as in one piece, and the memory is that of one stretch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from pumice.model.language import Decoder

#: Logits that are held at a time: 64 MiB of float32.
LOGITS = 2**24


def summed_loss(decoder: Decoder, hidden: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy of ``targets`` [n] after ``hidden`` [n, D], added up in float32; and how many were likeliest."""
    head = decoder.embed_tokens if decoder.config.tied_embeddings else decoder.lm_head
    if type(head) not in (nn.Linear, nn.Embedding):  # something else stands there, and knows how it is applied
        logits = decoder.logits(hidden).float()
        return F.cross_entropy(logits, targets, reduction="sum"), (logits.argmax(-1) == targets).sum()
    kind = hidden.device.type
    narrow = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    dtype = torch.get_autocast_dtype(kind) if narrow else hidden.dtype
    learning = torch.is_grad_enabled()
    found: tuple[Tensor, Tensor] = _Summed.apply(hidden, head.weight, targets, dtype, learning)  # type: ignore[no-untyped-call]
    return found


class _Summed(torch.autograd.Function):
    """hidden [n, D], weight [V, D], targets [n] -> the sum, and the number of right predictions."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, dtype: torch.dtype, learning: bool
    ) -> tuple[Tensor, Tensor]:
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        right = torch.zeros((), dtype=torch.int64, device=hidden.device)
        to_hidden = torch.empty_like(hidden) if learning and ctx.needs_input_grad[0] else None
        to_weight = torch.zeros_like(weight) if learning and ctx.needs_input_grad[1] else None
        stretch = max(1, LOGITS // len(weight))
        narrow = weight.to(dtype)
        for begin in range(0, len(targets), stretch):
            own = slice(begin, begin + stretch)
            wanted, x = targets[own, None], hidden[own].to(dtype)
            scores = (x @ narrow.T).float().log_softmax(-1)  # [c, V]
            right += (scores.argmax(-1, keepdim=True) == wanted).sum()
            total -= scores.gather(1, wanted).sum()
            if not learning:
                continue
            errors = scores.exp_().scatter_add_(1, wanted, scores.new_full(wanted.shape, -1.0)).to(dtype)
            if to_hidden is not None:
                to_hidden[own] = errors @ narrow
            if to_weight is not None:
                _add_product(to_weight, errors, x)
        ctx.gradients = (to_hidden, to_weight)
        ctx.mark_non_differentiable(right)
        return total, right

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        to_hidden, to_weight = ctx.gradients
        ctx.gradients = None  # they are scaled where they are: a second backward pass must not find them
        return *(each if each is None else each.mul_(upstream) for each in (to_hidden, to_weight)), None, None, None


def _add_product(total: Tensor, errors: Tensor, x: Tensor) -> None:
    """Add ``errors`` [c, V] transposed times ``x`` [c, D] to ``total`` [V, D]."""
    if total.dtype == x.dtype:
        total.addmm_(errors.T, x)
    else:
        total += errors.T @ x
