"""What a teacher is told of a scene: captions a line each, then boxes, as the original wrote them.

    A donut shop is full of different flavors of donuts.
    A rack with some doughnuts in a glass case.

    donut: [0.370, 0.584, 0.504, 0.709]

Conversations are written from captions alone (LLaVA, ``playground/data/prompts``).
"""

from __future__ import annotations

import random

from pumice.annotations.categories import vocabulary_for
from pumice.annotations.scene import Scene, Thing
from pumice.boxes import Box
from pumice.datagen.samples import Kind

#: Things named as absent, where negatives are wanted.
_ABSENT = 8


def context(scene: Scene, kind: Kind) -> str:
    """The words about one scene; empty if the annotations say too little for this kind of question."""
    captions = "\n".join(filter(None, (" ".join(caption.split()) for caption in scene.captions)))
    if kind == "conversation":
        return captions
    boxes = [f"{_name(thing)}: {_shown(thing.box)}" for thing in scene.things]
    if kind in ("detail", "reasoning"):
        boxes += [f"{' '.join(region.phrase.split())}: {_shown(region.box)}" for region in scene.regions]
    parts = [captions, "\n".join(boxes)]
    if kind == "negatives":
        missing = _absent(scene)
        if not missing:
            return ""
        parts.append("Not in the picture: " + ", ".join(missing))
    elif kind not in ("detail", "reasoning") and not boxes:
        return ""
    return "\n\n".join(filter(None, parts))


def _name(thing: Thing) -> str:
    named = f"{thing.colour or ''} {thing.category}"
    if thing.text is not None or thing.value is not None:
        named += f" showing {thing.value if thing.text is None else thing.text}"
    return " ".join(f"{named} (crowd)".split() if thing.crowd else named.split())


def _shown(box: Box) -> str:
    return f"[{', '.join(f'{edge:.3f}' for edge in box)}]"


def _absent(scene: Scene) -> list[str]:
    """Some of what the annotators looked for, did not find, and no caption names; the same ones every time."""
    said = vocabulary_for(scene)
    named = {name for caption in scene.captions for mention in said.mentions(caption) for name in mention.categories}
    absent = sorted(scene.closed - {thing.category for thing in scene.things} - named)
    return random.Random(f"absent:{scene.id}").sample(absent, min(_ABSENT, len(absent)))
