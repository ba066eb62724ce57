"""Dense labels agree with the scene that they describe."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pumice.world.patches import CLASSES, patch_labels
from pumice.world.scene import GRID, make_crowd, make_scene
from pumice.world.vocabulary import NAMES

SIDE = 8
CELL, MIDDLE = list(CLASSES).index("cell"), list(CLASSES).index("middle")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_a_patch_is_labelled_by_the_item_around_its_centre(index: int) -> None:
    scene = make_scene("train", index)
    classes, boxes = patch_labels(scene, SIDE)
    for at, (label, edges) in enumerate(zip(classes, boxes, strict=True)):
        row, column = divmod(at, SIDE)
        x, y = (column + 0.5) / SIDE, (row + 0.5) / SIDE
        here = [item for item in scene.items if item.box[0] <= x <= item.box[2] and item.box[1] <= y <= item.box[3]]
        assert len(here) <= 1
        if here:
            assert NAMES[label[0] - 1] == here[0].name
            assert label[CELL] == 1 + here[0].cell
            np.testing.assert_allclose(edges, here[0].box, atol=1e-6)
        elif label.any():  # beside the middle line of something too thin for the centres of patches
            thin = scene.items[[1 + item.cell for item in scene.items].index(label[CELL])]
            across, down = (int(middle * SIDE) for middle in thin.centre)
            assert column == across or row == down
        else:
            assert not edges.any()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_every_item_has_one_middle(index: int) -> None:
    """What is counted: nothing is too thin to be seen, nothing is seen twice."""
    scene = make_scene("train", index)
    classes, _ = patch_labels(scene, SIDE)
    middles = classes[classes[:, MIDDLE] == 2]
    assert sorted(label[CELL] - 1 for label in middles) == sorted(item.cell for item in scene.items)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_labels_stay_below_their_number_of_classes(index: int) -> None:
    classes, _ = patch_labels(make_crowd(index), SIDE)
    assert (classes >= 0).all()
    assert (classes < np.array(list(CLASSES.values()))).all()


def test_what_is_read_is_told_apart() -> None:
    """Every value of a die, every word and every number has labels of its own."""
    seen: dict[tuple[object, ...], set[tuple[int, ...]]] = {}
    for index in range(1500):
        scene = make_crowd(index)
        classes, _ = patch_labels(scene, 24)
        for item in scene.items:
            x, y = item.centre
            label = tuple(classes[int(y * 24) * 24 + int(x * 24)])
            if item.kind in ("die", "sign", "card"):
                seen.setdefault((item.kind, item.value, item.text), set()).add((label[2], label[3]))
    labels = [next(iter(found)) for found in seen.values()]
    assert all(len(found) == 1 for found in seen.values())
    assert len(set(labels)) == len(labels) == 6 + 45 + 100


@pytest.mark.parametrize("index", [0, 1, 99])
def test_a_crowd_fills_every_cell_and_repeats_itself(index: int) -> None:
    scene = make_crowd(index)
    assert [item.cell for item in scene.items] == list(range(GRID * GRID))
    assert scene == make_crowd(index)
