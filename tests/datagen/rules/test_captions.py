"""What the offline teacher makes of captions: it repeats no coarse ones, and never tells two numbers of one thing."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from pumice.annotations.categories import COCO_CATEGORIES, vocabulary_for
from pumice.annotations.categories import coco as coco_words
from pumice.annotations.scene import Scene, Thing
from pumice.annotations.sources.table import open_source
from pumice.datagen.rules.agreement import agree, disputed
from pumice.datagen.rules.captions import told_captions
from pumice.datagen.rules.write import write
from pumice.datagen.samples import KINDS


def scene_of(boxes: dict[str, int], *captions: str) -> Scene:
    """So many things of each category, side by side."""
    things = tuple(
        Thing(name, (0.09 * at, 0.2 * row, 0.09 * at + 0.08, 0.2 * row + 0.18))
        for row, (name, count) in enumerate(boxes.items())
        for at in range(count)
    )
    return Scene("s", "s.jpg", None, None, captions, things, closed=frozenset(COCO_CATEGORIES))


def everything(scene: Scene, seeds: int = 12) -> str:
    drafts = [draft for kind in KINDS for seed in range(seeds) if (draft := write(scene, kind, seed)) is not None]
    return " ".join(f"{each.question} {each.answer}" for draft in drafts for each in draft.exchanges)


@pytest.mark.parametrize(
    ("boxes", "caption", "found"),
    [
        ({"dog": 1}, "Two dogs play on the beach.", {"dog"}),
        ({"dog": 1}, "Dogs play on the beach.", {"dog"}),
        ({"dog": 2}, "Dogs play on the beach.", set()),
        ({"person": 1}, "A couple skiers going down the hill.", {"person"}),
        ({"boat": 8}, "A black and white image of two boats on the water.", {"boat"}),
        ({"boat": 8}, "A man stands on a boat.", set()),
        ({"banana": 2}, "A green stand holding several bananas.", {"banana"}),
        ({"sandwich": 1}, "Two plates, one with a sandwich, the other with just a sandwich.", {"sandwich"}),
        ({"tv": 2, "laptop": 3}, "A desk with five computers in a row on it.", {"tv", "laptop"}),
        ({"person": 3}, "Two women stand there.", set()),
        ({"person": 1}, "A boy and a girl stand there.", {"person"}),
        ({"person": 1}, "Someone stands there.", set()),
        ({"zebra": 2}, "A zebra follows another zebra.", set()),
        ({"oven": 1}, "A kitchen with a stove and an oven.", set()),
        ({"pizza": 3}, "Two smaller pizzas sit beside a large pizza.", set()),
        ({"cow": 9}, "About ten cows on a field.", set()),
        ({"cow": 4}, "About ten cows on a field.", {"cow"}),
    ],
)
def test_numbers_that_captions_dispute(boxes: dict[str, int], caption: str, found: set[str]) -> None:
    assert disputed(scene_of(boxes, caption)) == found


def test_of_what_is_disputed_no_number_is_told() -> None:
    alone = scene_of({"cat": 1, "frisbee": 1, "chair": 4}, "Two cats play with a frisbee outside.")
    assert not re.search(r"\b(one|a|the) cat\b", everything(alone))
    assert re.search(r"\b(the|a|one) cat\b", everything(replace(alone, captions=()))), "nobody disputes it there"
    several = everything(scene_of({"boat": 8, "person": 2}, "An image of two boats on the water there."))
    assert not re.search(r"\beight\b|(?<![.\d])8\b", several) and "boats" in several
    assert "two people" in several, "of people there is no doubt"


def test_captions_side_by_side_agree() -> None:
    words = coco_words()
    assert not agree("Two dogs play.", "Three dogs run.", words)
    assert not agree("A dog plays.", "Several dogs run.", words)
    assert agree("Two dogs play.", "Dogs run on a beach.", words)
    assert agree("A man stands there.", "Two women sit.", words), "a man is no woman"
    scene = Scene("s", "s.jpg", None, None, ("Two dogs play on the beach.", "Three dogs run on the beach."), ())
    drafts = [write(scene, "detail", seed) for seed in range(6)]
    assert drafts == [None] * 6, "one caption alone is no description"


def test_captions_fit_to_be_repeated() -> None:
    scene = scene_of(
        {"kite": 1, "person": 1},
        "THERE IS AN IMAGE OF A LIVING ROOM WITH A TV",
        "some douchey kid in vest who flies a kite",
        "a kid flies a kite near a TV",
        "a kid is walking a horse there",
    )
    assert told_captions(scene) == ["A kid flies a kite near a TV."], "capitals, insults, and what no box shows"


def test_photographs_are_told_of_without_contradiction(coco: Path) -> None:
    """Of no category are there two numbers in one sample; captions beside boxes included."""
    photographs = [
        *open_source("caps-boxes", [coco / "caps_boxes_coco2014_val_80.jsonl"]),
        *open_source("coco", [coco / "captions_val2017.json", coco / "instances_val2017.json"]),
    ]
    for scene in photographs:
        for draft in (write(scene, "detail", 0), write(scene, "conversation", 0)):
            for each in draft.exchanges if draft is not None else ():
                parts = re.split(r"(?<=[.!?]) ", each.answer)
                for one, other in combinations(parts, 2):
                    assert agree(one, other, vocabulary_for(scene)), (scene.id, one, other)
