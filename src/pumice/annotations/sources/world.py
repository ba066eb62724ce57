"""The synthetic world as a source: every scene is known in full, and its picture is drawn when it is wanted."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from functools import partial

from pumice.annotations.categories import WORLD_SOURCE
from pumice.annotations.scene import Scene, Thing
from pumice.annotations.sources.source import Source
from pumice.boxes import written_boxes
from pumice.errors import UsageError
from pumice.world import captions, scene, vocabulary

SIDE = 336  # pixels of a drawn picture: the side of LLaVA-1.5's vision tower
_CAPTIONS = 5  # as many as COCO's pictures have


def open_world(numbers: range, split: scene.Split = "train") -> Source:
    """The scenes of these numbers.

    Raises: UsageError for negative numbers or none.
    """
    if not numbers or min(numbers) < 0:
        raise UsageError(f"the world's scenes have numbers from 0, found {numbers.start} to {numbers.stop}")
    return Source("world", len(numbers), partial(_scenes, numbers, split), draw=picture)


def _scenes(numbers: range, split: scene.Split) -> Iterator[Scene]:
    return (annotated(scene.make_scene(split, number)) for number in numbers)


def annotated(made: scene.Scene) -> Scene:
    """What is known about a scene of the world."""
    name = f"{made.split}_{made.index:07d}"
    rng = random.Random(f"annotations:{made.split}:{made.index}")
    present = {item.name for item in made.items}
    doubtful = {name for name, like in vocabulary.LOOKALIKES.items() if like & present}
    return Scene(
        id=name,
        image=f"{name}.png",
        width=SIDE,
        height=SIDE,
        captions=tuple(_captions(made, rng)),
        things=tuple(_thing(item) for item in made.items),
        source=WORLD_SOURCE,
        closed=frozenset(vocabulary.NAMES) - doubtful,
    )


def _captions(made: scene.Scene, rng: random.Random) -> list[str]:
    """As people caption: without numbers of boxes, which the world writes for its own model."""
    return [text for text in captions.captions(made, rng, _CAPTIONS + 1) if not any(written_boxes(text))][:_CAPTIONS]


def _thing(item: scene.Item) -> Thing:
    # A card is white; its colour is that of its number.
    colour = None if item.kind == vocabulary.CARD else item.colour
    return Thing(item.name, item.box, colour, value=item.value, text=item.text)


def picture(annotated_scene: Scene) -> bytes:
    """The picture of a scene of this source, as PNG. Raises as ``made_of``."""
    from pumice.world.draw import draw_scene

    held = io.BytesIO()
    draw_scene(made_of(annotated_scene), SIDE).save(held, "PNG", compress_level=1)
    return held.getvalue()


def made_of(annotated_scene: Scene) -> scene.Scene:
    """The world's own value behind a scene of this source.

    Raises: UsageError if the scene is not of the world.
    """
    split, _, number = annotated_scene.id.rpartition("_")
    if annotated_scene.source != WORLD_SOURCE or split not in ("train", "held_out") or not number.isdecimal():
        raise UsageError(f"{annotated_scene.id!r} is no scene of the world")
    return scene.make_scene("train" if split == "train" else "held_out", int(number))
