"""Scenes of the synthetic world: its own questions with their answers, each under the kind of sample it belongs to.

The same words as in the built-in records, so that a model learns from either.
"""

from __future__ import annotations

import random
from functools import lru_cache

from pumice.datagen.samples import Exchange, Kind
from pumice.world.questions import QA, ask_about
from pumice.world.scene import Scene
from pumice.world.wording import QuestionKind

SCENES_KEPT = 64

_KINDS: dict[QuestionKind, Kind] = {
    "objects": "conversation",
    "colour": "conversation",
    "reading": "conversation",
    "detail": "detail",
    "reasoning": "reasoning",
    "yes_no": "negatives",
    "count": "counting",
    "dice_sum": "counting",
    "position": "position",
    "box": "grounding",
}


def about_world(scene: Scene, kind: Kind, seed: int) -> list[Exchange]:
    """All questions of this kind. With one seed, all kinds together ask every question about the scene once."""
    return [Exchange(qa.question, qa.answer) for qa in _asked(scene, seed) if _KINDS[qa.kind] == kind]


@lru_cache(maxsize=SCENES_KEPT)
def _asked(scene: Scene, seed: int) -> list[QA]:
    return ask_about(scene, random.Random(f"{seed}:{scene.split}:{scene.index}"))
