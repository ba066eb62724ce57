"""Scenes: pure functions of split and index, items apart, every word in use."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.errors import UsageError
from pumice.world.scene import Scene, make_scene
from pumice.world.vocabulary import COLOURS, NAMES, WHITE, WORDS

INDICES = st.integers(min_value=0, max_value=10**9)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [make_scene("train", index) for index in range(5000)]


@given(INDICES)
def test_a_scene_is_the_same_every_time(index: int) -> None:
    assert make_scene("train", index) == make_scene("train", index)


def test_no_held_out_scene_looks_like_a_training_scene(scenes: list[Scene]) -> None:
    seen = {scene.items for scene in scenes}
    held_out = {make_scene("held_out", index).items for index in range(2000)}
    assert len(held_out) == 2000
    assert not seen & held_out


@given(st.sampled_from(["train", "held_out"]), INDICES)
def test_items_stay_in_their_cells_and_never_touch(split: str, index: int) -> None:
    scene = make_scene("train" if split == "train" else "held_out", index)
    assert 1 <= len(scene.items) <= 6
    assert all(first.cell < second.cell for first, second in pairwise(scene.items))
    for item in scene.items:
        row, column = divmod(item.cell, 3)
        x0, y0, x1, y1 = item.box
        assert column / 3 < x0 < x1 < (column + 1) / 3
        assert row / 3 < y0 < y1 < (row + 1) / 3
        assert abs(item.centre[0] - (column + 0.5) / 3) <= 0.03 + 1e-9
        assert 0.19 - 1e-9 <= max(x1 - x0, y1 - y0) <= 0.31 + 1e-9
    for one, other in combinations(scene.items, 2):
        a, b = one.box, other.box
        assert a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1]


@given(INDICES)
def test_values_and_texts_belong_to_their_kinds(index: int) -> None:
    scene = make_scene("train", index)
    for item in scene.items:
        assert item.name in NAMES
        assert item.colour in COLOURS or (item.colour == WHITE and item.kind == "die")
        assert (item.text in WORDS) == (item.kind == "sign")
        if item.kind == "die":
            assert item.value in range(1, 7)
        elif item.kind == "card":
            assert item.value in range(100)
        else:
            assert item.value is None
    assert len(scene.named("sign")) <= 1
    assert len(scene.named("card")) <= 1


def test_the_first_five_thousand_scenes_use_every_word(scenes: list[Scene]) -> None:
    items = [item for scene in scenes for item in scene.items]
    assert {item.name for item in items} == set(NAMES)
    assert {item.colour for item in items} == {*COLOURS, WHITE}
    assert {item.text for item in items if item.text} == set(WORDS)
    assert {item.value for item in items if item.kind == "card"} == set(range(100))
    assert {item.cell for item in items} == set(range(9))
    assert {scene.background for scene in scenes} == set(range(8))


def test_there_is_enough_to_count(scenes: list[Scene]) -> None:
    largest = Counter(max(Counter(item.name for item in scene.items).values()) for scene in scenes)
    assert all(largest[count] > 0.05 * len(scenes) for count in (1, 2, 3, 4, 5))
    dice = Counter(len(scene.dice) for scene in scenes)
    assert all(dice[count] > 0.03 * len(scenes) for count in (1, 2, 3, 4, 5))


def test_words_are_short_upper_case_and_all_different() -> None:
    assert len(set(WORDS)) == len(WORDS) >= 40
    assert all(word.isupper() and 2 <= len(word) <= 5 for word in WORDS)


def test_nonsense_is_refused() -> None:
    with pytest.raises(UsageError, match="0 or more, found -1"):
        make_scene("train", -1)
    with pytest.raises(UsageError, match="'validation'"):
        make_scene("validation", 0)  # type: ignore[arg-type]
