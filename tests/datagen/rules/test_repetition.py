"""The offline teacher repeats nothing, in a conversation or in further samples, and asks what has a point."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from pumice.annotations.categories import COCO_CATEGORIES
from pumice.annotations.scene import Scene, Thing
from pumice.annotations.sources.table import open_source
from pumice.datagen.plan import Order
from pumice.datagen.rules.counting import fewer_or_more
from pumice.datagen.rules.describing import THINGS
from pumice.datagen.rules.subject import subject
from pumice.datagen.rules.write import write
from pumice.datagen.run import at_once
from pumice.datagen.samples import Draft
from pumice.datagen.teacher import RulesTeacher
from pumice.datagen.verification.verify import verify

LISTS = {re.sub(r"\{\w+\}", "", each).strip(" ?.") for each in THINGS}


@pytest.fixture(scope="module")
def photographs(coco: Path) -> list[Scene]:
    return list(open_source("coco", [coco / "captions_val2017.json", coco / "instances_val2017.json"]))


def test_a_conversation_lists_once_and_counts_once(photographs: list[Scene]) -> None:
    turns = 0
    for scene in photographs:
        for seed in range(4):
            draft = write(scene, "conversation", seed)
            asked = [each.question for each in draft.exchanges] if draft is not None else []
            assert sum(any(question.startswith(each) for each in LISTS) for question in asked) < 2, asked
            counted = [re.findall(r"ow many ([a-z ]+?) (?:are|can|do|the)", question) for question in asked]
            names = [name for found in counted for name in found]
            assert len(names) == len(set(names)), asked
            turns += len(asked)
    assert turns > 3 * 4 * 0.9 * len(photographs), "they are no shorter for it"


def test_further_samples_tell_other_things(photographs: list[Scene]) -> None:
    teacher, further = RulesTeacher(0), 0
    for scene in photographs:
        told: set[str] = set()
        for number in range(3):
            draft = at_once(teacher.write(scene, Order(scene.id, "conversation", number), 0)).draft
            answers = (
                {each.answer for each in draft.exchanges if " " in each.answer} if isinstance(draft, Draft) else set()
            )
            assert told.isdisjoint(answers), (scene.id, told & answers)
            told |= answers
            further += bool(number and answers)
    assert further > len(photographs)


def test_more_or_fewer_is_asked_of_unequal_numbers() -> None:
    def about(cups: int) -> Scene:
        names = ["clock", *["cup"] * cups]
        things = tuple(Thing(name, (0.1 * at, 0.1, 0.1 * at + 0.09, 0.3)) for at, name in enumerate(names))
        return Scene(str(cups), "s.jpg", None, None, (), things, closed=frozenset(COCO_CATEGORIES))

    assert fewer_or_more(random.Random(0), subject(about(1))) is None
    more = fewer_or_more(random.Random(0), subject(about(3)))
    assert more is not None and "more cups, by two" in more.answer


def test_details_place_what_they_have_named(photographs: list[Scene]) -> None:
    """What has a place or a relation stands in the list before it."""
    for scene in photographs:
        draft = write(scene, "detail", 0)
        if draft is None:
            continue
        listed = subject(scene).named[:5]
        claims = [each for each in verify(scene, draft.exchanges) if each.kind == "place"]
        for claim in claims:
            named = {name for name in subject(scene).named if re.search(rf"\bthe {name}\b", claim.text, re.IGNORECASE)}
            assert claim.text in scene.captions or named <= set(listed) or not named, (scene.id, claim.text)


def test_nobody_asks_how_many_broccoli(photographs: list[Scene]) -> None:
    drafts = [write(scene, "counting", seed) for scene in photographs for seed in range(6)]
    asked = " ".join(each.question for draft in drafts if draft is not None for each in draft.exchanges)
    assert not re.search(r"broccoli|skis|scissors", asked)
