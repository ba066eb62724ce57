"""The offline teacher: what it writes is true by a look of our own at the annotations, varied, and always the same."""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pumice.annotations.categories import COCO_CATEGORIES, vocabulary_for
from pumice.annotations.scene import Scene, Thing
from pumice.annotations.sources.table import open_source
from pumice.annotations.sources.world import annotated
from pumice.boxes import iou, written_boxes
from pumice.datagen.gates.gates import check
from pumice.datagen.rules.write import write
from pumice.datagen.samples import KINDS, Draft, Kind
from pumice.datagen.verification.claims import refused
from pumice.datagen.verification.verify import verify
from pumice.world.questions import ask_about
from pumice.world.scene import make_scene

NUMBERS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]


@pytest.fixture(scope="module")
def photographs(coco: Path) -> list[Scene]:
    """The original's 80, and the slice of COCO."""
    return [
        *open_source("caps-boxes", [coco / "caps_boxes_coco2014_val_80.jsonl"]),
        *open_source("coco", [coco / "captions_val2017.json", coco / "instances_val2017.json"]),
    ]


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    """Anything that an annotator might leave behind, crowds and specks included."""
    edge, size = st.floats(0, 0.9), st.floats(0.001, 0.9)
    things = []
    for name in draw(st.lists(st.sampled_from(COCO_CATEGORIES), max_size=7, unique=True)):
        for _ in range(draw(st.integers(1, 12))):
            left, top = draw(edge), draw(edge)
            box = (left, top, min(1.0, left + draw(size)), min(1.0, top + draw(size)))
            things.append(Thing(name, box, crowd=draw(st.integers(0, 20)) == 0))
    captions = draw(st.lists(st.text(max_size=40), max_size=3))
    closed = frozenset(draw(st.sampled_from([COCO_CATEGORIES, (), tuple({each.category for each in things})])))
    return Scene(draw(st.uuids()).hex, "s.jpg", None, None, tuple(captions), tuple(things), closed=closed)


def drafts(scene: Scene, kind: Kind, seeds: int = 3) -> list[Draft]:
    return [draft for seed in range(seeds) if (draft := write(scene, kind, seed)) is not None]


@settings(max_examples=150)
@given(scenes(), st.sampled_from(KINDS), st.integers(0, 2**31))
def test_any_scene(scene: Scene, kind: Kind, seed: int) -> None:
    """Written or not, never an error; the same for the same arguments; and verification agrees."""
    draft = write(scene, kind, seed)
    assert draft == write(scene, kind, seed)
    if draft is not None:
        assert draft.kind == kind and draft.exchanges
        assert all(each.question.strip() and each.answer.strip() for each in draft.exchanges)
        assert len({each.question for each in draft.exchanges}) == len(draft.exchanges), "nothing is asked twice"
        assert "{" not in "".join(each.question + each.answer for each in draft.exchanges)
        rejection = refused(verify(scene, draft.exchanges))
        assert rejection is None, rejection


@pytest.mark.parametrize("kind", KINDS)
def test_photographs(photographs: list[Scene], kind: Kind) -> None:
    """Most scenes allow every kind; all that is written passes the gates and verification."""
    found = [(scene, draft) for scene in photographs for draft in drafts(scene, kind)]
    assert len(found) > 0.5 * 3 * len(photographs)
    for scene, draft in found:
        rejection = refused(verify(scene, draft.exchanges)) or check(draft)
        assert rejection is None, (scene.id, rejection)


def test_words_vary(photographs: list[Scene]) -> None:
    """Of three hundred samples of a kind, no question's wording makes more than a tenth."""
    for kind in KINDS:
        asked = Counter(
            re.sub(r"\b(picture|image|photo|scene)\b", "picture", each.question.split("\n")[0])
            for scene in photographs
            for draft in drafts(scene, kind, 2)
            for each in draft.exchanges
        )
        assert asked.most_common(1)[0][1] < 0.12 * asked.total(), (kind, asked.most_common(3))


def test_numbers_are_those_of_the_boxes(photographs: list[Scene]) -> None:
    seen = 0
    for scene in photographs:
        for draft in drafts(scene, "counting"):
            for each in draft.exchanges:
                named = vocabulary_for(scene).mentions(each.question)
                said = re.findall(r"\b(\d+|" + "|".join(NUMBERS) + r")\b", each.answer.lower())
                if len(named) == 1 and len(said) == 1:
                    number = int(said[0]) if said[0].isdigit() else NUMBERS.index(said[0])
                    assert number == scene.count(named[0].category), (scene.id, each)
                    seen += 1
    assert seen > 200


def test_yes_and_no_are_as_common_and_right(photographs: list[Scene]) -> None:
    answers: Counter[bool] = Counter()
    for scene in photographs:
        present = {thing.category for thing in scene.things}
        for draft in drafts(scene, "negatives"):
            for each in draft.exchanges:
                named = vocabulary_for(scene).mentions(each.question)
                yes = each.answer.startswith("Yes")
                if len(named) == 1 and named[0].number in (None, 0):
                    assert yes == (named[0].category in present), (scene.id, each)
                    answers[yes] += 1
    assert answers.total() > 500
    assert abs(answers[True] - answers[False]) < 0.1 * answers.total()


def test_left_is_the_viewers(photographs: list[Scene]) -> None:
    """Mirrored boxes: every "left" of the one is a "right" of the other."""
    swaps = 0
    for scene in photographs:
        things = [
            replace(each, box=(1 - each.box[2], each.box[1], 1 - each.box[0], each.box[3])) for each in scene.things
        ]
        mirrored = replace(scene, things=tuple(things), captions=())
        for draft in drafts(replace(scene, captions=()), "position"):
            told = " ".join(each.answer for each in draft.exchanges)
            if re.search(r"\b(left|right)\b", told):
                assert refused(verify(mirrored, draft.exchanges)) is not None, (scene.id, told)
                swaps += 1
    assert swaps > 100


def test_boxes_are_the_things(photographs: list[Scene]) -> None:
    seen = 0
    for scene in photographs:
        for draft in drafts(scene, "grounding"):
            for each in draft.exchanges:
                name = vocabulary_for(scene).mentions(each.question)[0].category
                boxes = list(written_boxes(each.answer))
                assert len(boxes) == len(scene.named(name)), (scene.id, each)
                assert all(max(iou(box, thing.box) for thing in scene.named(name)) > 0.75 for box in boxes)
                seen += len(boxes)
    assert seen > 300


def test_the_world_is_asked_in_its_own_words() -> None:
    """All kinds together are the questions of the built-in records, each once."""
    for number in range(40):
        made = make_scene("train", number)
        told = [
            (each.question, each.answer)
            for kind in KINDS
            for draft in drafts(annotated(made), kind, 1)
            for each in draft.exchanges
        ]
        own = ask_about(made, random.Random(f"0:train:{number}"))
        assert Counter(told) == Counter((qa.question, qa.answer) for qa in own)
        for kind in KINDS:
            for draft in drafts(annotated(made), kind, 1):
                assert refused(verify(annotated(made), draft.exchanges)) is None


def test_without_boxes_captions_are_all_there_is() -> None:
    scene = Scene("s", "s.jpg", None, None, ("Two dogs play on the beach.", "Dogs in the sand run after a ball."), ())
    written = {kind: write(scene, kind, 1) for kind in KINDS}
    assert [kind for kind, draft in written.items() if draft is not None] == ["conversation", "detail"]
    draft = written["detail"]
    assert draft is not None and "Two dogs play on the beach." in draft.exchanges[0].answer
    assert all(write(replace(scene, captions=()), kind, 1) is None for kind in KINDS)
