"""Grounding, as with RefCOCO: a phrase is given, a box is wanted, and an overlap (IoU) of more than one half is right.

LLaVA was trained with boxes upon the picture as it sees it, padded to a square (profile "llava"); most other models
speak of the picture's own sides ("official"). For square pictures the two are the same. Only shares of the sides, 0..1,
are boxes here; answers in pixels overlap with nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pumice.annotations.scene import Scene, Thing
from pumice.boxes import Box, has_area, iou, written_boxes
from pumice.evaluate.beyond.offline import match_ids, offline_task, said_by
from pumice.evaluate.beyond.scenes import FILES, REGIONS, gallery
from pumice.evaluate.formula import mean
from pumice.evaluate.questions import Answer, Question
from pumice.evaluate.statistic import Metric, Row, Scored
from pumice.evaluate.task import Profile
from pumice.prompts.conversation import Conversation, Image
from pumice.world.benchmark import IOU
from pumice.world.vocabulary import article

PER_SCENE = 3
SMALLEST = 0.01  # of a box's area, as a share of the picture's
#: As in the original's training data.
PROMPT = "Please provide the bounding box coordinate of the region this sentence describes: {phrase}."


@dataclass(frozen=True)
class _Wanted:
    scene: Scene
    phrase: str
    box: Box


def questions(folder: Path) -> Iterator[Question]:
    """At most three phrases a picture: those of its regions, else the things that are the only ones of their kind."""
    shown = gallery(folder, regions=True)
    for name, one in _wanted(shown.scenes).items():
        asked = Conversation.ask(PROMPT.format(phrase=one.phrase), (Image(shown.picture(one.scene)),))
        yield Question(name, asked, one.scene.image)


def score(answers: Sequence[Answer], folder: Path, profile: Profile) -> Scored:
    """The share of boxes with an overlap of more than one half, and the mean overlap; no box overlaps with nothing."""
    shown = gallery(folder, regions=True)
    wanted = _wanted(shown.scenes)
    matched = match_ids(wanted, answers, "the phrases")
    rows = tuple(_row(name, wanted[name], answer, profile) for name, answer in matched.pairs)
    metrics = (
        Metric("IoU over 0.5", 100 * mean("right")),
        Metric("mean IoU", 100 * mean("overlap")),
        Metric("without a box", 100 * mean("unread"), smaller_is_better=True),
    )
    about = shown.notes
    unsized = sum(one.scene.width is None for one in wanted.values())
    if profile == "llava" and unsized:
        about += (f"The sizes of the pictures of {unsized} phrases are unknown; they are taken for squares.",)
    return Scored("grounding", profile, "IoU over 0.5", rows, metrics, matched.missing, matched.notes(), about)


def padded(box: Box, width: int, height: int) -> Box:
    """The same box upon the picture in the middle of a square, as shares of the square's sides.

    >>> padded((0.0, 0.0, 1.0, 1.0), 200, 100)
    (0.0, 0.25, 1.0, 0.75)
    """
    side = max(width, height)
    left, top = (side - width) / 2, (side - height) / 2
    x0, y0, x1, y1 = box
    return (
        (x0 * width + left) / side,
        (y0 * height + top) / side,
        (x1 * width + left) / side,
        (y1 * height + top) / side,
    )


def _wanted(scenes: Sequence[Scene]) -> dict[str, _Wanted]:
    found = {}
    for scene in scenes:
        each = _phrases(scene)
        chosen = random.Random(f"grounding:{scene.id}").sample(each, min(PER_SCENE, len(each)))
        found.update({f"{scene.id}-{number}": _Wanted(scene, *one) for number, one in enumerate(chosen)})
    return found


def _phrases(scene: Scene) -> list[tuple[str, Box]]:
    regions = [(region.phrase.strip().rstrip("."), region.box) for region in scene.regions]
    named = regions or [(phrase, thing.box) for thing in scene.things if (phrase := _phrase(scene, thing))]
    return [(phrase, box) for phrase, box in named if _area(box) >= SMALLEST]


def _phrase(scene: Scene, thing: Thing) -> str:
    """Words for this thing alone: with its colour where that is known, else its kind; "" if others share them."""
    same = scene.named(thing.category)
    if thing.colour is not None:
        alone = sum(each.colour == thing.colour for each in same) == 1
        return article(f"{thing.colour} {thing.category}") if alone else ""
    return f"the {thing.category}" if scene.count(thing.category) == 1 else ""


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _row(name: str, one: _Wanted, answer: Answer | None, profile: Profile) -> Row:
    truth, said = one.box, None if answer is None else next(written_boxes(answer.text), None)
    if profile == "llava" and one.scene.width is not None and one.scene.height is not None:
        truth = padded(truth, one.scene.width, one.scene.height)
    overlap = iou(truth, said) if said is not None and has_area(said) else 0.0
    right = overlap > IOU + 1e-9  # boxes of two decimals often overlap by exactly one half
    return Row(
        question_id=name,
        cluster=one.scene.image,
        values={"right": float(right), "overlap": overlap, "unread": float(said is None)},
        correct=right,
        asked=one.phrase,
        expected=f"[{', '.join(f'{edge:.2f}' for edge in truth)}]",
        **said_by(answer, "no box" if said is None else f"IoU {overlap:.2f}"),
    )


TASK = replace(
    offline_task("grounding", "Grounding", questions, score, files=(REGIONS, *FILES)),
    profiles=("official", "llava"),
    default_profile="llava",
)
