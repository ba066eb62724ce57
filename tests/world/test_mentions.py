"""What a text about a scene speaks of."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pumice.world.captions import captions
from pumice.world.mentions import Mention, mentions
from pumice.world.questions import ask_about
from pumice.world.scene import Item, Scene, make_scene

TOP_LEFT, TOP, CENTRE, BOTTOM_RIGHT = 0, 1, 4, 8


def thing(name: str, colour: str, cell: int, **more: str | int) -> Item:
    kind = name if name in ("die", "sign", "card") else "object"
    return Item(kind, name, colour, (0.0, 0.0, 0.1, 0.1), cell, **more)  # type: ignore[arg-type]


SCENE = Scene(
    (
        thing("cup", "red", TOP_LEFT),
        thing("cup", "blue", TOP),
        thing("card", "red", CENTRE, value=7),
        thing("die", "white", BOTTOM_RIGHT, value=3),
    ),
    0,
    "train",
    0,
)


@pytest.mark.parametrize(
    ("text", "words", "cells"),
    [
        ("Is there a red cup?", "red cup", {TOP_LEFT}),
        ("How many cups are there?", "cups", {TOP_LEFT, TOP}),
        ("How many dice do you see?", "dice", {BOTTOM_RIGHT}),
        ("How many things are there?", "things", {TOP_LEFT, TOP, CENTRE, BOTTOM_RIGHT}),
        ("Are there red things?", "red things", {TOP_LEFT}),  # the number on a card is not its colour
        ("Is there a green thing?", "green thing", set()),
        ("Is there a green cup?", "green cup", {TOP_LEFT, TOP}),  # its answer is in the others
        ("Is there a star?", "star", set()),
        ("What does the card say?", "card", {CENTRE}),
        ("What is in the center?", "in the center", {CENTRE}),
        ("At the top left there is what?", "At the top left", {TOP_LEFT}),
        ("What is at the bottom?", "at the bottom", set()),
    ],
)
def test_one_mention(text: str, words: str, cells: set[int]) -> None:
    assert mentions(SCENE, text) == [Mention(text.index(words) + len(words), frozenset(cells))]


def test_several_in_order() -> None:
    found = mentions(SCENE, "The blue cup is at the top. The sign says KEYS, to the left of the die.")
    assert [sorted(mention.cells) for mention in found] == [[TOP], [TOP], [], [BOTTOM_RIGHT]]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 5_000))
def test_texts_of_a_scene_speak_of_its_things(index: int) -> None:
    scene = make_scene("train", index)
    taken = {item.cell for item in scene.items}
    for text in captions(scene, random.Random(index), 20):
        assert all(mention.cells and mention.cells <= taken for mention in mentions(scene, text)), text
    for qa in ask_about(scene, random.Random(index)):
        assert qa.kind in ("reasoning", "dice_sum") or mentions(scene, qa.question + " " + qa.answer), qa
