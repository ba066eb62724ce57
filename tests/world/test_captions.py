"""Every caption is true of its scene."""

from __future__ import annotations

import random
import re
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from pumice.world.captions import captions
from pumice.world.referents import label
from pumice.world.scene import Item, Scene, make_scene
from pumice.world.vocabulary import CARD, PLACES
from pumice.world.wording import box_text, caption, plural_of

ALL = 20
_PLACE = "|".join(sorted(PLACES, key=len, reverse=True))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_captions_are_true(index: int) -> None:
    scene = make_scene("train", index)
    first, *others = captions(scene, random.Random(index), ALL)
    assert first == caption(scene)
    assert len({first, *others}) >= 4
    for text in others:
        assert _is_true(text, scene), text


def test_as_many_as_wanted_and_the_same_each_time() -> None:
    scene = make_scene("train", 3)
    assert captions(scene, random.Random(1), 1) == [caption(scene)]
    assert len(captions(scene, random.Random(1), 4)) == 4
    assert captions(scene, random.Random(1), 4) == captions(scene, random.Random(1), 4)
    assert captions(scene, random.Random(1), 4) != captions(scene, random.Random(2), 4)


def _is_true(text: str, scene: Scene) -> bool:
    if " in all" in text or re.fullmatch(r"There (is|are) \d+ [a-z ]+\.", text):
        return _counts_hold(text, scene)
    if "[" in text:
        return _boxes_hold(text, scene)
    facts = re.split(r"(?<=[a-z0-9A-Z])(?:\. |, | and )(?!which|\d)", text.rstrip("."))
    return all(_fact_holds(fact[0].lower() + fact[1:], scene) for fact in facts)


def _counts_hold(text: str, scene: Scene) -> bool:
    """Names or colours: every group is counted, with its number, and the total is theirs."""
    said = re.findall(r"(\d+) ([a-z ]+?)(?=,| and|\.| in all)", text)
    ways = ([item.name for item in scene.items], [f"{item.colour} thing" for item in scene.items if item.kind != CARD])
    for words in ways:
        groups = Counter(words)
        true = {(str(count), word if count == 1 else plural_of(word)) for word, count in groups.items()}
        total = {(str(len(words)), "things")} if len(groups) > 1 else set()
        if set(said) == true | total:
            return True
    return False


def _boxes_hold(text: str, scene: Scene) -> bool:
    known = {(label(item), box_text(item.box)) for item in scene.items}
    return all(pair in known for pair in re.findall(r"[Aa]n? ([a-z ]+) (\[[^]]*\])", text))


def _fact_holds(fact: str, scene: Scene) -> bool:
    if fact.startswith("the dice show"):
        numbers = [int(number) for number in re.findall(r"\d+", fact)]
        values = [die.value or 0 for die in scene.dice]
        return numbers == [*values, sum(values)]
    return any(_says(fact, item) for item in scene.items)


def _says(fact: str, item: Item) -> bool:
    if item.name not in fact:
        return False
    read = re.search(r"(?:showing|shows|number|says) ([A-Z]+|\d+)", fact)
    if read and read[1] not in (str(item.value), item.text):
        return False
    place = re.search(_PLACE, fact)
    if place and place[0] != PLACES[item.cell]:
        return False
    colour = re.search(r"\bis ([a-z]+)$", fact)
    if colour and not place and colour[1] != item.colour:
        return False
    return bool(read or place or colour)
