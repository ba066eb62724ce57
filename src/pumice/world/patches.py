"""What each patch of a drawn scene shows: dense labels, from which a vision tower learns to see.

They take the place of the hundreds of millions of captions behind CLIP: the bundled model's tower starts here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pumice.world.scene import GRID, Item, Scene
from pumice.world.vocabulary import COLOURS, NAMES, WHITE, WORDS

NOTHING = 0
_COLOURS = (*COLOURS, WHITE)
_EDGE, _MIDDLE = 1, 2
#: Classes of each label, ``NOTHING`` included: name, colour, what is read (pips, word or tens), units, the item's
#: cell, and whether the patch is the one in the item's middle. The last is what can be counted: one for each item.
CLASSES = {
    "name": 1 + len(NAMES),
    "colour": 1 + len(_COLOURS),
    "reading": 1 + 6 + len(WORDS) + 10,
    "units": 1 + 10,
    "cell": 1 + GRID * GRID,
    "middle": 1 + 2,
}


def patch_labels(scene: Scene, side: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Labels of the ``side`` x ``side`` patches in reading order.

    Returns classes [side * side, 6] in the order of ``CLASSES``, and boxes [side * side, 4]: the edges of the item,
    left, top, right and bottom, as fractions of the picture; zero where nothing is. Edges are absolute because that
    is how questions ask for them: a language model finds a place far sooner where the features say it.
    """
    classes = np.zeros((side, side, len(CLASSES)), dtype=np.int64)
    boxes = np.zeros((side, side, 4), dtype=np.float32)
    centres = (np.arange(side) + 0.5) / side
    for item in scene.items:
        x0, y0, x1, y1 = item.box
        across, down = (int(at * side) for at in item.centre)
        # A thin thing may pass between the centres of two rows of patches: its own middle always counts.
        columns = (centres >= x0) & (centres <= x1) | (np.arange(side) == across)
        rows = (centres >= y0) & (centres <= y1) | (np.arange(side) == down)
        classes[np.ix_(rows, columns)] = (*_item_classes(item), 1 + item.cell, _EDGE)
        classes[down, across, -1] = _MIDDLE
        boxes[np.ix_(rows, columns)] = item.box
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
