"""What each patch of a drawn scene shows: dense labels, from which a vision tower learns to see.

They take the place of the hundreds of millions of captions behind CLIP: the bundled model's tower starts here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pumice.world.scene import Item, Scene
from pumice.world.vocabulary import COLOURS, NAMES, WHITE, WORDS

NOTHING = 0
_COLOURS = (*COLOURS, WHITE)
#: Classes of each label, ``NOTHING`` included: name, colour, what is read (pips, word or tens), and units.
CLASSES = {
    "name": 1 + len(NAMES),
    "colour": 1 + len(_COLOURS),
    "reading": 1 + 6 + len(WORDS) + 10,
    "units": 1 + 10,
}


def patch_labels(scene: Scene, side: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Labels of the ``side`` x ``side`` patches in reading order.

    Returns classes [side * side, 4] in the order of ``CLASSES``, and boxes [side * side, 4]: how far the item's left,
    top, right and bottom edge lie from the patch's centre, as fractions of the picture; zero where nothing is.
    """
    classes = np.zeros((side, side, len(CLASSES)), dtype=np.int64)
    boxes = np.zeros((side, side, 4), dtype=np.float32)
    centres = (np.arange(side) + 0.5) / side
    for item in scene.items:
        x0, y0, x1, y1 = item.box
        inside = np.ix_((centres >= y0) & (centres <= y1), (centres >= x0) & (centres <= x1))
        classes[inside] = _item_classes(item)
        across, down = np.meshgrid(centres, centres)
        edges = np.stack((x0 - across, y0 - down, x1 - across, y1 - down), axis=-1)
        boxes[inside] = edges[inside]
    return classes.reshape(side * side, -1), boxes.reshape(side * side, 4)


def _item_classes(item: Item) -> tuple[int, int, int, int]:
    name, colour = 1 + NAMES.index(item.name), 1 + _COLOURS.index(item.colour)
    if item.kind == "die":
        assert item.value is not None
        return name, colour, item.value, NOTHING
    if item.text is not None:
        return name, colour, 7 + WORDS.index(item.text), NOTHING
    if item.value is not None:
        tens, units = divmod(item.value, 10)
        return name, colour, 7 + len(WORDS) + tens, 1 + units
    return name, colour, NOTHING, NOTHING
