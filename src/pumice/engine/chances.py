"""How likely the tokens of an answer were, for callers who ask."""

from __future__ import annotations

from torch import Tensor

from pumice.engine.answer import Chance, TokenChances
from pumice.prompts.tokens import Tokenizer


def chances(logits: Tensor, token: int, top: int, tokenizer: Tokenizer) -> TokenChances:
    """Of ``token`` and of the ``top`` likeliest ones, by the model's own ``logits`` [V]: before temperature, top-p,
    top-k or a schema choose among them."""
    logs = logits.float().log_softmax(-1)

    def chance(index: int) -> Chance:
        return Chance(tokenizer.token_bytes(index), float(logs[index]))

    likeliest = logs.topk(min(top, len(logs))).indices.tolist() if top else []
    return TokenChances(chance(token), tuple(chance(index) for index in likeliest))
