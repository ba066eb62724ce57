"""The questions that an empty page offers: scenes of the synthetic world that training never contains."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pumice.world.draw import draw_scene
from pumice.world.scene import make_scene

_SIDE = 448
# The same scenes as in the folder `examples` of the sources.
_SCENES = {
    "dice.png": (5107, "How many dice are there, and what do they add up to?"),
    "cups.png": (5286, "Describe the picture."),
    "hats.png": (5146, "What colour is the hat on the left?"),
}


@dataclass(frozen=True)
class Example:
    """A picture's file and a question about it."""

    path: Path
    question: str


def drawn_examples(folder: Path) -> list[Example]:
    """The examples, drawn into ``folder`` if they are not there yet."""
    found = []
    for name, (index, question) in _SCENES.items():
        path = folder / name
        if not path.is_file():
            draw_scene(make_scene("held_out", index), _SIDE).save(path, optimize=True)
        found.append(Example(path, question))
    return found
