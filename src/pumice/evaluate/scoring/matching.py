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

    def notes(self, without: str = "count as wrong") -> tuple[str, ...]:
        """What a reader of the score must know. without: what becomes of questions that have no answer."""
        said = []
        if self.missing:
            said.append(f"{self.missing} of {len(self.pairs)} questions have no answer and {without}.")
        if self.extra:
            said.append(f"{self.extra} answers are to none of the questions (the first to {self.example!r}); left out.")
        if self.repeated:
            said.append(f"{self.repeated} answers are replaced by a later one to the same question.")
        return tuple(said)


def match(
    keys: Iterable[Key], answers: Sequence[Answer], key: Callable[[Answer], Key | None], benchmark: str
) -> Matched[Key]:
    """Gives every question its answer; of several the last, as tools that fill a dictionary do.

    key: the question that an answer is to; None if it cannot be told. benchmark: for the error.

    Raises: UsageError if not a single answer is to any of the questions: the files do not belong together.
    """
    order = tuple(dict.fromkeys(keys))
    known = set(order)
    found: dict[Key, Answer] = {}
    extra = repeated = 0
    example = ""
    for answer in answers:
        name = key(answer)
        if name is None or name not in known:
            example = example or answer.question_id
            extra += 1
            continue
        repeated += name in found
        found[name] = answer
    if not found:
        raise UsageError(
            f"none of the {len(answers)} answers is to a question of {benchmark}: "
            f"the first is to {answers[0].question_id if answers else ''!r}, the first question is {_name(order)!r}",
            hint="are the answers and the benchmark's folder of the same benchmark and split?",
        )
    pairs = tuple((each, found.get(each)) for each in order)
    return Matched(pairs, sum(answer is None for _, answer in pairs), extra, repeated, example)


def _name(order: Sequence[object]) -> object:
    return order[0] if order else ""
