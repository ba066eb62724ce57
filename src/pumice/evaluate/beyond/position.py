"""Position: whether one thing is left of, right of, above or below another, from their boxes.

Both things are the only ones of their kind, and nothing of the one's extent reaches over the other's along the axis, so
that there is one right answer. Every pair is asked about twice, with the true relation and with its opposite: whoever
always says yes gets half of the questions and none of the pairs.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pumice.annotations.scene import Scene, Thing
from pumice.evaluate.beyond.offline import match_ids, offline_task, said_by
from pumice.evaluate.beyond.scenes import FILES, gallery
from pumice.evaluate.formula import mean
from pumice.evaluate.questions import Answer, Question
from pumice.evaluate.scoring.yes_no import pope_label
from pumice.evaluate.statistic import Metric, Row, Scored
from pumice.evaluate.task import SHORT, Profile
from pumice.prompts.conversation import Conversation, Image

PER_SCENE = 2
SMALLEST = 0.05  # of a thing's sides, as a share of the picture's
_PLURALS = frozenset({"skis", "scissors"})
#: What is true if the thing that is named first comes first along the axis, and its opposite.
_RELATIONS = (("to the left of", "to the right of"), ("above", "below"))
_GROUPS = ("left or right", "above or below")


@dataclass(frozen=True)
class _Asked:
    """One question. ``pair`` is shared with the one that asks for the opposite."""

    scene: Scene
    pair: str
    one: str
    other: str
    axis: int
    relation: str
    true: bool

    @property
    def asked(self) -> str:
        verb = "Are" if self.one in _PLURALS else "Is"
        return f"{verb} the {self.one} {self.relation} the {self.other} in the image?"


def questions(folder: Path) -> Iterator[Question]:
    """At most two pairs of a picture, two questions each."""
    shown = gallery(folder)
    for name, one in _all(shown.scenes).items():
        asked = Conversation.ask(f"{one.asked}\n{SHORT}", (Image(shown.picture(one.scene)),))
        yield Question(name, asked, one.scene.image, category=_GROUPS[one.axis])


def score(answers: Sequence[Answer], folder: Path, profile: Profile) -> Scored:
    """Questions and pairs that were answered right; an answer with both words or none of them is wrong."""
    shown = gallery(folder)
    asked = _all(shown.scenes)
    matched = match_ids(asked, answers, "the questions of position")
    said = {name: _label(answer) for name, answer in matched.pairs}
    rows = tuple(_row(name, asked[name], answer, said) for name, answer in matched.pairs)
    groups = [group for group in _GROUPS if any(row.group == group for row in rows)]
    metrics = (
        Metric("accuracy", 100 * mean("right")),
        Metric("both of a pair", 100 * mean("both")),
        Metric("yes", 100 * mean("yes")),
        *(Metric(group, 100 * mean("right", group)) for group in groups),
    )
    return Scored("position", profile, "accuracy", rows, metrics, matched.missing, matched.notes(), shown.notes)


def _all(scenes: Sequence[Scene]) -> dict[str, _Asked]:
    found = {}
    for scene in scenes:
        for number, (one, other, axis, first) in enumerate(_pairs(scene)):
            pair = f"{scene.id}-{number}"
            for before, relation in zip((True, False), _RELATIONS[axis], strict=True):
                true = before == first
                found[f"{pair}-{'true' if true else 'false'}"] = _Asked(scene, pair, one, other, axis, relation, true)
    return found


def _pairs(scene: Scene) -> list[tuple[str, str, int, bool]]:
    """Pairs with the axis (0 = x, 1 = y), and whether the one that is named first comes first along it: half do."""
    single = [thing for thing in scene.things if scene.count(thing.category) == 1 and _visible(thing)]
    fit = [
        (one.category, other.category, axis)
        for one in single
        for other in single
        for axis in (0, 1)
        if one.box[axis + 2] <= other.box[axis]
    ]
    rng = random.Random(f"position:{scene.id}")
    chosen: list[tuple[str, str, int, bool]] = []
    for one, other, axis in rng.sample(fit, len(fit)):
        if len(chosen) < PER_SCENE and {one, other} not in [set(each[:2]) for each in chosen]:
            chosen.append((one, other, axis, True) if rng.random() < 0.5 else (other, one, axis, False))
    return chosen


def _visible(thing: Thing) -> bool:
    left, top, right, bottom = thing.box
    return min(right - left, bottom - top) >= SMALLEST


def _label(answer: Answer | None) -> str:
    """The one of both words that occurs."""
    return "other" if answer is None else pope_label(answer.text, "vlmevalkit")


def _row(name: str, one: _Asked, answer: Answer | None, said: dict[str, str]) -> Row:
    right = said[name] == ("yes" if one.true else "no")
    values = {"right": float(right), "yes": float(said[name] == "yes")}
    if one.true:
        values["both"] = float(right and said[f"{one.pair}-false"] == "no")
    return Row(
        question_id=name,
        cluster=one.scene.image,
        values=values,
        group=_GROUPS[one.axis],
        correct=right,
        asked=one.asked,
        expected="yes" if one.true else "no",
        **said_by(answer, "neither yes nor no" if said[name] == "other" else ""),
    )


TASK = offline_task("position", "Position", questions, score, files=FILES)
