"""Runs that show what a figure owes to the pictures: without any, and with those of other questions.

What a model scores blind it knows from the words alone; what it loses with shuffled pictures, it has seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, TypeAlias, get_args

from pumice.errors import UsageError
from pumice.evaluate.questions import Question
from pumice.prompts.conversation import Conversation, Image, Turn

Control: TypeAlias = Literal["blind", "shuffled"]
CONTROLS: tuple[Control, ...] = get_args(Control)


def require_control(name: str) -> Control:
    """A control by its name. Raises UsageError."""
    for each in CONTROLS:
        if each == name:
            return each
    raise UsageError(f"there is no control {name!r}", hint=f"there are {' and '.join(CONTROLS)}")


def controlled(questions: Sequence[Question], control: Control) -> list[Question]:
    """The same questions, ids and clusters, with their pictures taken away or exchanged.

    The exchange is a circle through all pictures, in an order that only their keys decide: no picture stays, and
    another run of the same benchmark gets the same ones. Raises UsageError: one picture cannot be exchanged.
    """
    if control == "blind":
        return [_with(question, ()) for question in questions]
    pictures: dict[str, tuple[Image, ...]] = {}
    for question in questions:
        if images := tuple(question.conversation.images()):
            pictures.setdefault(question.image_key, images)
    circle = sorted(pictures, key=position)
    if len(circle) < 2:
        raise UsageError("shuffling takes two pictures or more", hint="leave --control shuffled out")
    following = dict(zip(circle, [*circle[1:], circle[0]], strict=True))
    return [
        _with(question, pictures[following[question.image_key]]) if question.image_key in following else question
        for question in questions
    ]


def position(key: str) -> str:
    """Where a picture stands in an order that is as good as any, and always the same."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _with(question: Question, images: tuple[Image, ...]) -> Question:
    """The question with other pictures: the first takes the first one's place, and so on; what is over is left out."""
    coming = iter(images)
    turns: list[Turn] = []
    for turn in question.conversation.turns:
        parts = [next(coming, None) if isinstance(part, Image) else part for part in turn.parts]
        turns.append(Turn(turn.role, tuple(part for part in parts if part is not None)))
    return replace(question, conversation=Conversation(tuple(turns), question.conversation.system))
