"""Which answer belongs to which question, and what is left over on either side: counted, and said.

matched = match(["1", "2"], answers, lambda answer: answer.question_id, "GQA")
for key, answer in matched.pairs: ...     # None where there is no answer
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pumice.errors import UsageError
from pumice.evaluate.questions import Answer

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Matched(Generic[Key]):
    """Questions with their answers.

    pairs: in the order of the questions. missing: questions without an answer. extra: answers to no question here.
    repeated: answers that a later one to the same question replaced.
    """

    pairs: tuple[tuple[Key, Answer | None], ...]
    missing: int
    extra: int
    repeated: int
    example: str = ""

    def notes(self, without: str = "count as wrong", again: str = "are not counted") -> tuple[str, ...]:
        """What a reader of the score must know.

        without: what becomes of questions that have no answer. again: of answers that a later one repeats.
        """
        said = []
        if self.missing:
            said.append(f"{self.missing} of {len(self.pairs)} questions have no answer and {without}.")
        if self.extra:
            said.append(f"{self.extra} answers are to none of the questions (the first to {self.example!r}); left out.")
        if self.repeated:
            said.append(f"{self.repeated} answers are followed by another to the same question, and {again}.")
        return tuple(said)


def match(
    keys: Iterable[Key], answers: Sequence[Answer], key: Callable[[Answer], Key | None], benchmark: str
) -> Matched[Key]:
    """Gives every question its answer; of several the last, as tools that fill a dictionary do.

    key: the question that an answer is to; None if it cannot be told. benchmark: for the error.

    Raises: UsageError if not a single answer is to any of the questions: the files do not belong together.
    """
    return pair(keys, [(key(answer), answer) for answer in answers], benchmark)


def pair(keys: Iterable[Key], keyed: Sequence[tuple[Key | None, Answer]], benchmark: str) -> Matched[Key]:
    """As ``match``, where the answers' questions are known already."""
    order = tuple(dict.fromkeys(keys))
    known = set(order)
    found: dict[Key, Answer] = {}
    strangers = [answer for name, answer in keyed if name is None or name not in known]
    repeated = 0
    for name, answer in keyed:
        if name is not None and name in known:
            repeated += name in found
            found[name] = answer
    if not found:
        raise UsageError(
            f"none of the {len(keyed)} answers is to a question of {benchmark}: the first is to "
            f"{_first(answer.question_id for _, answer in keyed)}, the first question is {_first(order)}",
            hint="are the answers and the benchmark's folder of the same benchmark and split?",
        )
    pairs = tuple((each, found.get(each)) for each in order)
    missing = sum(answer is None for _, answer in pairs)
    return Matched(pairs, missing, len(strangers), repeated, strangers[0].question_id if strangers else "")


def _first(names: Iterable[object]) -> str:
    return next((repr(name) for name in names), "none")
