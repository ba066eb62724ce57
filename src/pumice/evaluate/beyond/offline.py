"""How tasks are put together whose questions and answers are made here: nothing to download, one way to score.

TASK = offline_task("counting", "Counting", questions, score, files=FILES)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pumice.evaluate.predictions import read_answers
from pumice.evaluate.questions import Answer, Question
from pumice.evaluate.scoring.matching import Matched, match
from pumice.evaluate.statistic import Scored
from pumice.evaluate.task import File, Profile, Task


def offline_task(
    name: str,
    title: str,
    questions: Callable[[Path], Iterable[Question]],
    score: Callable[[Sequence[Answer], Path, Profile], Scored],
    *,
    files: tuple[File, ...] = (),
) -> Task:
    """A task with rules of our own alone, whose answers any file may hold. files: that it can make use of."""
    return Task(
        name=name,
        title=title,
        folder=name,
        files=files,
        questions=questions,
        answers=read_answers,
        score=score,
        profiles=("official",),
        default_profile="official",
    )


def match_ids(names: Iterable[str], answers: Sequence[Answer], what: str) -> Matched[str]:
    """Every question with its answer, by the id. what: is asked about, for the error. Raises as ``match``."""
    return match(names, answers, lambda answer: answer.question_id, what)


def said_by(answer: Answer | None, unread: str = "") -> dict[str, str]:
    """What a row tells people of an answer. unread: why the scorer could make nothing of it."""
    return {"answer": "", "note": "no answer"} if answer is None else {"answer": answer.text, "note": unread}
