"""The offline teacher: writes samples of every kind from annotations alone, without any network.

draft = write(scene, "counting", seed=0)
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

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


def write(scene: Scene, kind: Kind, seed: int, earlier: Sequence[int] = ()) -> Draft | None:
    """A draft of this kind, the same for the same arguments; None if the annotations say too little for one.

    earlier: seeds of the drafts before it of this kind; what those have told of a photograph it does not tell again.
    """
    if scene.source == WORLD_SOURCE:
        exchanges = about_world(made_of(scene), kind, seed)
    else:
        told = {_key(each) for before in earlier for each in _written(scene, kind, before)}
        exchanges = [each for each in _written(scene, kind, seed) if _key(each) not in told]
    return Draft(kind, tuple(exchanges)) if exchanges else None


def _written(scene: Scene, kind: Kind, seed: int) -> list[Exchange]:
    return _WRITERS[kind](subject(scene), random.Random(f"{seed}:{scene.id}:{kind}"))


def _key(exchange: Exchange) -> str:
    """What is told: a long answer by itself, "Yes" or "Two" with its question."""
    return exchange.answer if " " in exchange.answer else f"{exchange.question} {exchange.answer}"
