"""What people wrote about one picture: captions, things with boxes, phrases about regions.

Every source gives the same value, so that whoever writes, checks or scores text about a picture need not know
where its annotations came from.
"""

from __future__ import annotations

from dataclasses import dataclass

from pumice.boxes import Box


@dataclass(frozen=True)
class Thing:
    """One thing that was marked in a picture.

    category: as the source names it ("dining table"). box: left, top, right, bottom as shares of the sides, 0..1.
    crowd: the box holds several, nobody counted how many. id: the source's own. value, text: what can be read on it
    (the world's dice and cards, its signs).
    """

    category: str
    box: Box
    colour: str | None = None
    crowd: bool = False
    id: str | None = None
    value: int | None = None
    text: str | None = None


@dataclass(frozen=True)
class Region:
    """A phrase about a part of a picture; the box as in ``Thing``."""

    phrase: str
    box: Box


@dataclass(frozen=True)
class Scene:
    """One picture as it was annotated.

    id: unique within its source. image: the picture's file name, relative to the folder of pictures. width, height:
    pixels, None if the source does not say. caption_ids: of the captions, one each, or empty. closed: the categories
    whose things were all marked, so that one without a thing is known to be absent. source: the kind of source.
    """

    id: str
    image: str
    width: int | None
    height: int | None
    captions: tuple[str, ...]
    things: tuple[Thing, ...]
    regions: tuple[Region, ...] = ()
    source: str = ""
    closed: frozenset[str] = frozenset()
    caption_ids: tuple[str, ...] = ()

    def named(self, category: str) -> tuple[Thing, ...]:
        """All things of the category, in the source's order."""
        return tuple(thing for thing in self.things if thing.category == category)

    def count(self, category: str) -> int | None:
        """How many there are; None if nobody knows: a crowd is among them, or not all of the kind were marked."""
        found = self.named(category)
        if category not in self.closed or any(thing.crowd for thing in found):
            return None
        return len(found)

    @property
    def annotation_ids(self) -> tuple[str, ...]:
        """The source's numbers of everything said about the picture: of captions, then of things."""
        return (*self.caption_ids, *(thing.id for thing in self.things if thing.id is not None))
