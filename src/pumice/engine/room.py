"""Whether a conversation fits the model's context, and how much room an answer has then."""

from __future__ import annotations

from pumice.errors import TooLongError
from pumice.processor import Inputs
from pumice.prompts.conversation import Asked
from pumice.prompts.tokens import Tokenizer

#: Characters for each token of the context that are looked at before a long text is read whole.
_LOOKED_AT = 32
_HINT = "ask with fewer pictures or turns, or a shorter text"


def refuse_too_long(conversation: Asked, tokenizer: Tokenizer, limit: int) -> None:
    """Raises TooLongError for a text whose beginning alone fills ``limit`` tokens: the rest would take minutes.

    Where the beginning ends, tokens may differ from those of the whole; a tenth is left for that.
    """
    begin = _LOOKED_AT * limit
    for text in conversation.texts():
        if len(text) > begin and len(tokenizer.encode(text[:begin], starts=True)) > 1.1 * limit:
            raise TooLongError(
                f"a text of {len(text)} characters is too long: its first {begin} have more tokens than the "
                f"{limit - 1} that the model takes",
                hint=_HINT,
            )


def room_after(inputs: Inputs, limit: int) -> int:
    """Tokens that an answer may have. Raises TooLongError if there is no room for one."""
    if len(inputs.ids) >= limit:
        raise TooLongError(
            f"the conversation has {len(inputs.ids)} tokens ({inputs.image_tokens} of them pictures), "
            f"the model takes {limit - 1}",
            hint=_HINT,
        )
    return limit - len(inputs.ids)
