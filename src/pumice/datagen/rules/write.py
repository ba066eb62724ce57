"""The offline teacher: writes samples of every kind from annotations alone, without any network.

draft = write(scene, "counting", seed=0)
"""

from __future__ import annotations

import random
from collections.abc import Callable

from pumice.annotations.categories import WORLD_SOURCE
from pumice.annotations.scene import Scene
from pumice.annotations.sources.world import made_of
from pumice.datagen.rules.counting import counting
from pumice.datagen.rules.describing import conversation, detail
from pumice.datagen.rules.grounding import grounding
from pumice.datagen.rules.negatives import negatives
from pumice.datagen.rules.positions import positions
from pumice.datagen.rules.reasoning import reasoning
from pumice.datagen.rules.subject import Subject, subject
from pumice.datagen.rules.world import about_world
from pumice.datagen.samples import Draft, Exchange, Kind

_WRITERS: dict[Kind, Callable[[Subject, random.Random], list[Exchange]]] = {
    "conversation": conversation,
    "detail": detail,
    "reasoning": reasoning,
    "negatives": negatives,
    "counting": counting,
    "position": positions,
    "grounding": grounding,
}


def write(scene: Scene, kind: Kind, seed: int) -> Draft | None:
    """A draft of this kind, the same for the same arguments; None if the annotations say too little for one."""
    if scene.source == WORLD_SOURCE:
        exchanges = about_world(made_of(scene), kind, seed)
    else:
        exchanges = _WRITERS[kind](subject(scene), random.Random(f"{seed}:{scene.id}:{kind}"))
    return Draft(kind, tuple(exchanges)) if exchanges else None
