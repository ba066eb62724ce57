"""Pumice's own world: eight kinds of questions about held-out scenes, scored exactly. Needs no files.

The questions and the rule are those of ``world.benchmark``, of which ``docs/accuracy.md`` reports the bundled model's
figures; any other model may be asked, too, though its wording has to be the world's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pumice.evaluate.beyond.drawn import held_out_key, held_out_picture
from pumice.evaluate.beyond.offline import match_ids, offline_task, said_by
from pumice.evaluate.formula import mean
from pumice.evaluate.questions import Answer, Question
from pumice.evaluate.statistic import Metric, Row, Scored
from pumice.evaluate.task import Profile
from pumice.prompts.conversation import Conversation, Image
from pumice.world.benchmark import KINDS, HeldOut, held_out_questions, is_correct

PER_KIND = 100


def questions(folder: Path) -> Iterator[Question]:
    """The same ones each time; no folder is looked into."""
    for name, one in _named().items():
        asked = Conversation.ask(one.question, (Image(held_out_picture(one.index)),))
        yield Question(name, asked, held_out_key(one.index), category=one.kind)


def score(answers: Sequence[Answer], folder: Path, profile: Profile) -> Scored:
    """Exact match, apart from space around; for a box an overlap (IoU) of more than one half."""
    named = _named()
    matched = match_ids(named, answers, "Pumice's world")
    rows = tuple(_row(name, named[name], answer) for name, answer in matched.pairs)
    metrics = [Metric("accuracy", 100 * mean("right"))]
    metrics += [Metric(kind, 100 * mean("right", kind)) for kind in KINDS]
    return Scored("world", profile, "accuracy", rows, tuple(metrics), matched.missing, matched.notes())


def _named() -> dict[str, HeldOut]:
    return {f"{number}": one for number, one in enumerate(held_out_questions(PER_KIND))}


def _row(name: str, one: HeldOut, answer: Answer | None) -> Row:
    right = answer is not None and is_correct(one.kind, one.answer, answer.text)
    return Row(
        question_id=name,
        cluster=held_out_key(one.index),
        values={"right": float(right)},
        group=one.kind,
        correct=right,
        asked=one.question,
        expected=one.answer,
        **said_by(answer),
    )


TASK = offline_task("world", "Pumice's world", questions, score)
