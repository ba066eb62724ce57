"""What a benchmark asks and what came back: questions, answers, and whoever turns the ones into the others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from pumice.errors import PumiceError
from pumice.prompts.conversation import Conversation

JSON: TypeAlias = str | int | float | bool | Sequence["JSON"] | Mapping[str, "JSON"] | None


@dataclass(frozen=True)
class Question:
    """One question as the model is asked.

    id: as in the benchmark's file; several questions may share one, as in MME (two for a picture) and TextVQA.
    image_key: the picture; questions about one picture are not independent, and are resampled together. Questions
        without a picture have one of their own.
    options: of a multiple choice, in the order in which they are shown.
    category: the benchmark's own kind of question.
    id_is_number: whether the id is a number in files (the original's tools compare it with ``==``).
    """

    id: str
    conversation: Conversation
    image_key: str
    options: tuple[str, ...] = ()
    category: str = ""
    id_is_number: bool = False

    @property
    def prompt(self) -> str:
        """The words of the last turn, without a picture's placeholder: ``prompt`` in the original's answer files."""
        return self.conversation.turns[-1].text


@dataclass(frozen=True)
class Answer:
    """One line of a file of answers, whoever wrote it.

    prompt: what was asked, if the file says; with ``question_id`` it tells questions that share one apart.
    meta: everything else that the line held.
    """

    question_id: str
    text: str
    prompt: str = ""
    meta: Mapping[str, JSON] = field(default_factory=dict)


def written(value: object, indent: int | None = None) -> bytes:
    """JSON for a file, legible in any language; half a surrogate pair stays the escape that it came as."""
    return json.dumps(value, ensure_ascii=False, indent=indent).encode("utf-8", "backslashreplace")


#: What comes back for a question: the words, or why there are none.
Reply: TypeAlias = str | PumiceError
#: Answers in the order of the questions, each as soon as it is there; how many are made together is its own business.
Answerer: TypeAlias = Callable[[Sequence[Conversation]], Iterable[Reply]]
