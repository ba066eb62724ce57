"""The loss by stretches is the loss in one piece."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import tiny
from pumice.model.language import Decoder
from pumice.train import cross_entropy
from pumice.train.cross_entropy import summed_loss


def given(tied: bool) -> tuple[Decoder, torch.Tensor, torch.Tensor]:
    decoder = tiny.model(speak=tiny.language(tied_embeddings=tied)).language
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(23, 32, generator=generator).requires_grad_()
    return decoder, hidden, torch.randint(tiny.VOCABULARY, (23,), generator=generator)


def head(decoder: Decoder) -> torch.Tensor:
    return decoder.embed_tokens.weight if decoder.config.tied_embeddings else decoder.lm_head.weight


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("stretch", [1, 5, 23, 1000])
def test_value_and_gradients(monkeypatch: pytest.MonkeyPatch, tied: bool, stretch: int) -> None:
    monkeypatch.setattr(cross_entropy, "LOGITS", stretch * tiny.VOCABULARY)
    decoder, hidden, targets = given(tied)
    logits = decoder.logits(hidden)
    wanted = F.cross_entropy(logits, targets)
    expected = torch.autograd.grad(wanted, [hidden, head(decoder)])
    total, right = summed_loss(decoder, hidden, targets)
    assert right == int((logits.argmax(-1) == targets).sum())
    torch.testing.assert_close(total / 23, wanted, rtol=1e-6, atol=1e-6)
    found = torch.autograd.grad(total / 23, [hidden, head(decoder)])
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_a_frozen_head_gets_no_gradient() -> None:
    decoder, hidden, targets = given(False)
    decoder.requires_grad_(False)
    total, _ = summed_loss(decoder, hidden, targets)
    total.backward()  # type: ignore[no-untyped-call]
    assert decoder.lm_head.weight.grad is None and hidden.grad is not None


def test_without_a_graph() -> None:
    decoder, hidden, targets = given(False)
    with torch.no_grad():
        total, right = summed_loss(decoder, hidden, targets)
    assert not total.requires_grad and 0 <= right <= 23
    torch.testing.assert_close(total, summed_loss(decoder, hidden, targets)[0].detach())


def test_a_second_backward_pass_is_refused() -> None:
    """It would find gradients that were used up."""
    decoder, hidden, targets = given(False)
    total, _ = summed_loss(decoder, hidden, targets)
    total.backward(retain_graph=True)  # type: ignore[no-untyped-call]
    with pytest.raises((RuntimeError, TypeError)):
        total.backward()  # type: ignore[no-untyped-call]


def test_another_kind_of_head() -> None:
    """What stands in its place is asked for logits."""
    decoder, hidden, targets = given(False)
    plain, right = summed_loss(decoder, hidden, targets)

    class Around(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            made: torch.Tensor = self.inner(x)
            return made

    decoder.lm_head = Around(decoder.lm_head)  # type: ignore[assignment]
    total, again = summed_loss(decoder, hidden, targets)
    torch.testing.assert_close(total, plain)
    assert right == again


def test_in_half_precision() -> None:
    """Logits in bfloat16, the rest in float32; gradients of float32 weights are float32."""
    decoder, hidden, targets = given(False)
    wanted, _ = summed_loss(decoder, hidden, targets)
    with torch.autocast("cpu", torch.bfloat16):
        total, _ = summed_loss(decoder, hidden, targets)
    assert total.dtype == torch.float32 and total != wanted
    torch.testing.assert_close(total, wanted, rtol=2e-2, atol=0)
    exact, rough = (torch.autograd.grad(each, head(decoder), retain_graph=False)[0] for each in (wanted, total))
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, exact, rtol=0, atol=0.02 * float(exact.abs().max()))
