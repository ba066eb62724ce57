"""Conversations that are longer than the model reads lose their last turns, never a part of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pumice.processor import Inputs, Picture, Processor
from pumice.prompts.conversation import Conversation, Image
from pumice.prompts.encode import IGNORE


@dataclass(frozen=True)
class Fitted:
    """What is left of a conversation, None if there is nothing to learn from it; ``cut`` of its turns did not fit."""

    inputs: Inputs | None
    cut: int


def fit(
    processor: Processor, conversation: Conversation, limit: int, pictures: Sequence[Picture] | None = None
) -> Fitted:
    """Read ``conversation`` and keep as many of its first questions, with their answers, as ``limit`` tokens hold.

    0 is no limit. Pictures count with all their tokens and go with their turn. pictures: its own, where they have been
    read already. Raises: what the processor raises.
    """
    pictures = processor.see_all(conversation) if pictures is None else pictures
    whole = processor.encode(conversation, pictures)
    if not limit or len(whole.ids) <= limit:
        return Fitted(whole, 0)

    def beginning(exchanges: int) -> Inputs:
        turns = conversation.turns[: 2 * exchanges]
        shown = sum(isinstance(part, Image) for turn in turns for part in turn.parts)
        return processor.encode(replace(conversation, turns=turns), pictures[:shown])

    fits, last = 0, len(conversation.turns) // 2  # halving, for encoding costs and conversations can be long
    while fits < last:
        middle = (fits + last + 1) // 2
        if len(beginning(middle).ids) <= limit:
            fits = middle
        else:
            last = middle - 1
    kept = beginning(fits) if fits else None
    if kept is not None and all(label == IGNORE for label in kept.labels):
        kept = None
    return Fitted(kept, len(conversation.turns) - 2 * fits)
