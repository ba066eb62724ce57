"""What can be said of a photograph without being wrong: counts, absences, places and captions that hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import permutations

from pumice.annotations.categories import vocabulary_for
from pumice.annotations.scene import Scene, Thing
from pumice.boxes import Box
from pumice.datagen.rules.agreement import disputed
from pumice.datagen.rules.captions import told_captions
from pumice.datagen.rules.naming import UNCOUNTED, a, counted, several

SCENES_KEPT = 64
MANY = 9  # more than this annotators do not count reliably
SEEN = 0.004  # share of the picture's area from which a thing is easily seen
LARGE = 0.6  # a thing that spans more of a side has no place along it
THIRD = 1 / 3
EDGE = 0.02  # a centre this close to the border between two places is in neither

#: What one might call by the other's name; such an absence is not asserted.
_ALIKE: tuple[frozenset[str], ...] = tuple(
    frozenset(group.split("/"))
    for group in (
        "car/truck/bus", "bicycle/motorcycle", "chair/couch/bench/bed", "cup/wine glass/bowl/bottle/vase",
        "handbag/backpack/suitcase", "tv/laptop", "sheep/cow/horse/dog", "fork/knife/spoon", "remote/cell phone",
        "oven/microwave/toaster/refrigerator", "skis/snowboard/surfboard/skateboard", "potted plant/vase",
        "cake/donut/sandwich/pizza/hot dog", "apple/orange", "teddy bear/dog/bear", "dining table/bench/bed",
        "keyboard/laptop/mouse", "frisbee/sports ball/kite", "cat/dog", "boat/surfboard", "train/bus",
        "sink/toilet/bowl", "broccoli/carrot", "airplane/kite/bird", "book/laptop",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Placed:
    """A thing that is the only one of its category, with the words for its place."""

    thing: Thing
    where: str


class Subject:
    """One scene, seen by somebody who only says what is certain. Build it with ``subject``."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.vocabulary = vocabulary_for(scene)
        self._disputed = disputed(scene)
        self.counts: dict[str, int] = {}
        for category, found in sorted(Counter(thing.category for thing in scene.things).items()):
            known = scene.count(category) is not None and category not in self._disputed
            if category not in UNCOUNTED and known and found <= MANY:
                self.counts[category] = found

    @cached_property
    def named(self) -> list[str]:
        """Every category in sight, the largest thing's first.

        None of which captions say that there are several, and boxes that there is one: neither word would do.
        """
        order = sorted(self.scene.things, key=lambda thing: -area(thing.box))
        found = dict.fromkeys(thing.category for thing in order)
        return [name for name in found if name not in self._disputed or len(self.scene.named(name)) > 1]

    def some(self, name: str) -> str:
        """ "a dog", "three cups", "broccoli"; the bare plural of what cannot be counted."""
        count = self.counts.get(name)
        if count == 1 or name in UNCOUNTED:
            return a(name)
        return several(name) if count is None else counted(name, count)

    def kind(self, name: str) -> str:
        """The same without a number: "a dog", "cups"."""
        return self.some(name) if self.is_one(name) else several(name)

    def is_one(self, name: str) -> bool:
        """Whether a sentence about it has the singular."""
        return self.counts.get(name) == 1 or name in UNCOUNTED

    @cached_property
    def single(self) -> list[Thing]:
        """Things that are the only ones of their category and large enough to be seen."""
        return [
            thing for thing in self.scene.things if self.counts.get(thing.category) == 1 and area(thing.box) >= SEEN
        ]

    @cached_property
    def placed(self) -> list[Placed]:
        """Those of ``single`` whose place nobody would dispute."""
        found = [(thing, place(thing.box)) for thing in self.single]
        return [Placed(thing, where) for thing, where in found if where]

    @cached_property
    def absent(self) -> list[str]:
        """Categories surely not in sight: not annotated, in no caption, and like nothing that is there."""
        seen = {thing.category for thing in self.scene.things} | self._captioned
        doubtful = {name for group in _ALIKE if group & seen for name in group}
        return sorted(self.scene.closed - seen - doubtful)

    @cached_property
    def captions(self) -> list[str]:
        """What people wrote, as sentences; without what the boxes contradict."""
        return told_captions(self.scene)

    @cached_property
    def _captioned(self) -> set[str]:
        told = [*self.scene.captions, *(region.phrase for region in self.scene.regions)]
        return {name for text in told for mention in self.vocabulary.mentions(text) for name in mention.categories}


@lru_cache(maxsize=SCENES_KEPT)
def subject(scene: Scene) -> Subject:
    """The scene's; all kinds of samples are written about it, one after another."""
    return Subject(scene)


def area(box: Box) -> float:
    """Share of the picture."""
    return (box[2] - box[0]) * (box[3] - box[1])


def centre(box: Box) -> tuple[float, float]:
    """(x, y), shares of the sides."""
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


_PLACES = {
    (-1, -1): "at the top left", (0, -1): "at the top", (1, -1): "at the top right",
    (-1, 0): "on the left", (0, 0): "in the middle", (1, 0): "on the right",
    (-1, 1): "at the bottom left", (0, 1): "at the bottom", (1, 1): "at the bottom right",
}  # fmt: skip


def place(box: Box) -> str:
    """Words for one of nine fields; empty for what is too large for one, or stands on the border of two."""
    sides: list[int] = []
    for low, high in ((box[0], box[2]), (box[1], box[3])):
        middle = (low + high) / 2
        if high - low > LARGE or min(abs(middle - THIRD), abs(middle - 2 * THIRD)) < EDGE:
            return ""
        sides.append(-1 if middle < THIRD else 1 if middle > 2 * THIRD else 0)
    return _PLACES[sides[0], sides[1]]


def pairs(things: Sequence[Thing]) -> list[tuple[Thing, Thing]]:
    """Every two of them, in both orders."""
    return list(permutations(things, 2))
