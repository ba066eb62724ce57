"""Counting: how many of a kind there are, from boxes that somebody drew around all of them.

Where a crowd was marked as one box nobody knows, and nothing is asked; nor about things too small to be seen.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pumice.annotations.categories import plural
from pumice.annotations.numbers import NUMBERS
from pumice.annotations.scene import Scene, Thing
from pumice.evaluate.beyond.offline import match_ids, offline_task, said_by
from pumice.evaluate.beyond.scenes import FILES, gallery
from pumice.evaluate.formula import mean
from pumice.evaluate.questions import Answer, Question
from pumice.evaluate.statistic import Metric, Row, Scored
from pumice.evaluate.task import SHORT, Profile
from pumice.prompts.conversation import Conversation, Image

PER_SCENE = 2
SMALLEST = 0.02  # of a thing's sides, as a share of the picture's: 7 of the 336 pixels that LLaVA-1.5 sees
_GROUPS = ("one", "two to four", "five and more")
_WORD = re.compile(r"\d[\d,]*(?:\.\d+)?|[^\W\d_]+")
_NONE = frozenset({"none", "zero", "nothing", "no"})


@dataclass(frozen=True)
class _Count:
    scene: Scene
    category: str
    number: int

    @property
    def asked(self) -> str:
        return f"How many {plural(self.category)} are there in the image?"

    @property
    def group(self) -> str:
        return _GROUPS[0] if self.number == 1 else _GROUPS[1] if self.number < 5 else _GROUPS[2]


def questions(folder: Path) -> Iterator[Question]:
    """At most two about a picture: the kind that there is most of, and another one."""
    shown = gallery(folder)
    for name, one in _counts(shown.scenes).items():
        asked = Conversation.ask(f"{one.asked}\n{SHORT}", (Image(shown.picture(one.scene)),))
        yield Question(name, asked, one.scene.image, category=one.group)


def score(answers: Sequence[Answer], folder: Path, profile: Profile) -> Scored:
    """Exactly right, right but for one, and the mean error of the answers that hold a number."""
    shown = gallery(folder)
    counts = _counts(shown.scenes)
    matched = match_ids(counts, answers, "the counting questions")
    rows = tuple(_row(name, counts[name], answer) for name, answer in matched.pairs)
    groups = [group for group in _GROUPS if any(row.group == group for row in rows)]
    metrics = (
        Metric("exact", 100 * mean("exact")),
        Metric("off by one at most", 100 * mean("near")),
        Metric("mean error", mean("error"), scale=10, smaller_is_better=True),
        Metric("without a number", 100 * mean("unread"), smaller_is_better=True),
        *(Metric(f"exact, {group}", 100 * mean("exact", group)) for group in groups),
    )
    return Scored("counting", profile, "exact", rows, metrics, matched.missing, matched.notes(), shown.notes)


def number_in(text: str) -> int | None:
    """The first number of an answer, in digits or words; None if it holds none, or a fraction comes first.

    >>> [number_in(text) for text in ("3", "There are two dogs.", "None", "many")]
    [3, 2, 0, None]
    """
    for word in _WORD.findall(text.lower()):
        if word[0].isdecimal():  # "²" is a digit to Unicode, but no number to Python
            return int(word.replace(",", "")[:18]) if "." not in word else None
        if word in _NONE:
            return 0
        if word in NUMBERS:
            return NUMBERS[word]
    return None


def _counts(scenes: Sequence[Scene]) -> dict[str, _Count]:
    return {
        f"{scene.id}-{category}": _Count(scene, category, number) for scene in scenes for category, number in _of(scene)
    }


def _of(scene: Scene) -> list[tuple[str, int]]:
    known = {}
    for category in sorted({thing.category for thing in scene.things}):
        number = scene.count(category)
        if number and all(_visible(thing) for thing in scene.named(category)):
            known[category] = number
    order = random.Random(f"counting:{scene.id}").sample(list(known), len(known))
    most = max(order, key=lambda category: known[category], default=None)
    others = [category for category in order if category != most]
    return [(category, known[category]) for category in ([] if most is None else [most, *others[: PER_SCENE - 1]])]


def _visible(thing: Thing) -> bool:
    left, top, right, bottom = thing.box
    return min(right - left, bottom - top) >= SMALLEST


def _row(name: str, one: _Count, answer: Answer | None) -> Row:
    said = None if answer is None else number_in(answer.text)
    values = {"exact": float(said == one.number), "unread": float(said is None)}
    values["near"] = float(said is not None and abs(said - one.number) <= 1)
    if said is not None:
        values["error"] = float(abs(said - one.number))
    return Row(
        question_id=name,
        cluster=one.scene.image,
        values=values,
        group=one.group,
        correct=said == one.number,
        asked=one.asked,
        expected=str(one.number),
        **said_by(answer, "no number" if said is None else ""),
    )


TASK = offline_task("counting", "Counting", questions, score, files=FILES)
