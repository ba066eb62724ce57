"""The offline teacher: writes samples of every kind from annotations alone, without any network."""

from __future__ import annotations

import random
from collections import Counter

from pumice.annotations.categories import plural
from pumice.annotations.scene import Scene
from pumice.datagen.samples import Draft, Exchange, Kind


def write(scene: Scene, kind: Kind, seed: int) -> Draft | None:
    """A draft of this kind, the same for the same arguments; None if the scene says too little for one."""
    rng = random.Random(f"{seed}:{scene.id}:{kind}")
    counts = Counter(thing.category for thing in scene.things if scene.count(thing.category))
    if not counts:
        return None
    name, count = rng.choice(sorted(counts.items()))
    answer = f"There is one {name}." if count == 1 else f"There are {count} {plural(name)}."
    return Draft(kind, (Exchange(f"How many {plural(name)} are there?", answer),))
