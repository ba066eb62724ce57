"""What a teacher is told: as the original formats it, and nothing that it must not say."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pumice.annotations.scene import Region, Scene, Thing
from pumice.annotations.sources.table import open_source
from pumice.boxes import written_boxes
from pumice.datagen.context import context
from pumice.datagen.samples import KINDS, Kind

DOG = Thing("dog", (0.1, 0.2, 0.30049, 1.0))
SCENE = Scene(
    "1", "1.jpg", 640, 480, ("A dog\non grass.", "Dogs play."), (DOG, Thing("person", (0, 0, 1, 1), crowd=True))
)
BOXES = "dog: [0.100, 0.200, 0.300, 1.000]\nperson (crowd): [0.000, 0.000, 1.000, 1.000]"


def test_conversations_are_written_from_captions_alone() -> None:
    assert context(SCENE, "conversation") == "A dog on grass.\nDogs play."


def test_the_other_kinds_see_boxes_below_the_captions() -> None:
    kinds: tuple[Kind, ...] = ("detail", "reasoning", "counting", "position")
    for kind in kinds:
        assert context(SCENE, kind) == f"A dog on grass.\nDogs play.\n\n{BOXES}"


def test_regions_and_colours_are_told() -> None:
    things = (Thing("die", (0, 0, 1, 1), "red", value=3), Thing("sign", (0, 0, 1, 1), text="BAR"))
    scene = Scene("1", "1.jpg", 9, 9, (), things, (Region("a  red\ncar", (0, 0, 0.5, 1)),))
    told = "red die showing 3: [0.000, 0.000, 1.000, 1.000]\nsign showing BAR: [0.000, 0.000, 1.000, 1.000]"
    assert context(scene, "detail") == f"{told}\na red car: [0.000, 0.000, 0.500, 1.000]"
    assert context(scene, "position") == told


def test_too_little_is_nothing() -> None:
    bare = Scene("1", "1.jpg", 9, 9, (), ())
    assert all(context(bare, kind) == "" for kind in KINDS)
    captioned = Scene("1", "1.jpg", 9, 9, ("A dog.",), ())
    assert context(captioned, "detail") == "A dog."
    assert context(captioned, "counting") == context(captioned, "position") == context(captioned, "negatives") == ""


def test_nothing_is_called_absent_that_is_there_or_was_said(coco: Path) -> None:
    files = [coco / "captions_val2017.json", coco / "instances_val2017.json"]
    for scene in open_source("coco", files):
        told = context(scene, "negatives")
        names = told.rpartition("Not in the picture: ")[2].split(", ")
        assert len(set(names)) == 8 and set(names) <= scene.closed
        assert not set(names) & {thing.category for thing in scene.things}
        words = " ".join(scene.captions).lower()
        assert not [name for name in names if re.search(rf"\b{name}s?\b", words)]
        assert told == context(scene, "negatives")


def test_every_box_of_real_scenes_is_told_in_the_originals_form(coco: Path) -> None:
    for scene in open_source("caps-boxes", [coco / "caps_boxes_coco2014_val_80.jsonl"]):
        told = context(scene, "detail")
        # The file has three decimals, too: nothing is lost.
        assert list(written_boxes(told)) == [thing.box for thing in scene.things]
        assert told.split("\n")[: len(scene.captions)] == list(scene.captions)


_BOX = st.tuples(*[st.floats(0, 1)] * 4)


@given(st.lists(st.text()), st.lists(st.builds(Thing, st.text(min_size=1), _BOX)), st.sampled_from(KINDS))
def test_any_scene_has_a_context(captions: list[str], things: list[Thing], kind: Kind) -> None:
    scene = Scene("1", "1.jpg", None, None, tuple(captions), tuple(things), closed=frozenset({"cat", "dog"}))
    told = context(scene, kind)
    assert told == told.strip()
    assert len(told.splitlines()) <= len(captions) + len(things) + 3
