"""Questions: every answer is worked out again here, from the scene and the words of the question alone."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from pumice.world.questions import ask_about, caption, describe
from pumice.world.scene import Item, Scene, make_scene
from pumice.world.vocabulary import AFFORDANCES, COLOURS, NAMES, PLACES, SHORT_PLACES
from pumice.world.wording import QA, SHORT_ANSWER

INDICES = st.integers(min_value=0, max_value=10**9)
PLURALS = {f"{name}s": name for name in NAMES} | {"dice": "die", "fish": "fish", "things": "thing"}
ALL_COLOURS = "|".join((*COLOURS, "white"))


def _asked(index: int, kind: str) -> tuple[Scene, list[QA]]:
    scene = make_scene("train", index)
    return scene, [qa for qa in ask_about(scene, random.Random(index)) if qa.kind == kind]


def _plain(question: str) -> str:
    """The question without the request for a short answer and without "in the picture"."""
    words = question.removesuffix(SHORT_ANSWER).replace("center", "centre")
    return re.sub(r" (in|of) the (picture|image)", "", words)


def _matching(scene: Scene, words: str) -> list[Item]:
    """Items meant by "cup", "red cup", "red thing", "thing" or "cup at the top left"."""
    place = next((place for place in PLACES if words.endswith(f" {place}")), None)
    if place:
        words = words.removesuffix(f" {place}")
    *colour, name = words.split(" ")
    name = PLURALS.get(name, name)
    return [
        item
        for item in scene.items
        if name in ("thing", item.name)
        and (not colour or item.colour == colour[0])
        and (place is None or PLACES[item.cell] == place)
    ]


def _only(scene: Scene, words: str) -> Item:
    (item,) = _matching(scene, words)
    return item


@given(INDICES)
@settings(max_examples=200)
def test_counts(index: int) -> None:
    scene, asked = _asked(index, "count")
    assert len(asked) >= 2
    for qa in asked:
        words = re.search(r"(?:How many|number of|Count the) (.+?)( are there| can you see)?[?.]$", _plain(qa.question))
        assert words is not None, qa
        count = len(_matching(scene, words[1]))
        if qa.question.endswith(SHORT_ANSWER):
            assert qa.answer == str(count)
        elif count == 1:
            singular = " ".join(PLURALS.get(word, word) for word in words[1].split())
            assert qa.answer == f"There is 1 {singular}."
        else:
            assert qa.answer == f"There are {count} {words[1]}."


@given(INDICES)
@settings(max_examples=200)
def test_dice_sums(index: int) -> None:
    scene, asked = _asked(index, "dice_sum")
    values = [int(item.value or 0) for item in scene.items if item.name == "die"]
    for qa in asked:
        numbers = [int(number) for number in re.findall(r"\d+", qa.answer)]
        if not values:
            assert qa.answer == "There are no dice."
        elif len(values) == 1:
            assert qa.answer == f"There is 1 die. It shows {values[0]}."
        elif "how many" in qa.question.lower() or "count" in qa.question.lower():
            assert numbers == [len(values), *values, sum(values)]
            assert qa.answer.startswith(f"There are {len(values)} dice. They show ")
        else:
            assert numbers == [*values, sum(values)]
            assert qa.answer.startswith("They show ")


@given(INDICES)
@settings(max_examples=200)
def test_objects_colours_and_positions(index: int) -> None:
    scene, asked = _asked(index, "objects")
    for qa in asked:
        place = next((place for place in PLACES if re.search(rf"{place}\?$", _plain(qa.question))), None)
        if place is None:
            assert qa.answer.lower().count(" and ") == (len(scene.items) > 1)
            assert [name for name in re.findall(r"\w+", qa.answer.lower()) if name in NAMES] == [
                item.name for item in scene.items
            ]
            continue
        here = [item for item in scene.items if PLACES[item.cell] == place]
        if not here:
            assert qa.answer in ("nothing", f"There is nothing {place}.")
        elif qa.question.endswith(SHORT_ANSWER):
            assert qa.answer == here[0].name
        else:
            assert qa.answer.lower().removesuffix(".").endswith(f"{here[0].name}")
            assert here[0].kind == "card" or here[0].colour in qa.answer.lower()
    for qa in _asked(index, "colour")[1]:
        words = re.search(r"the (?:colou?r of the )?(.+?)( have)?\?$", _plain(qa.question))
        assert words is not None, qa
        item = _only(scene, words[1])
        assert item.kind != "card"
        assert qa.answer in (item.colour, f"The {words[1]} is {item.colour}.")
    for qa in _asked(index, "position")[1]:
        words = re.search(rf"the ((?:(?:{ALL_COLOURS}) )?(?:{'|'.join(NAMES)}))\?$", _plain(qa.question))
        assert words is not None, qa
        item = _only(scene, words[1])
        assert qa.answer in (SHORT_PLACES[item.cell], f"The {words[1]} is {PLACES[item.cell]}.")


def _truth(scene: Scene, question: str) -> bool:
    """Whether the statement that a yes/no question asks about is true of the scene."""
    plain = _plain(question).removesuffix("?")
    thing = rf"the ((?:(?:{ALL_COLOURS}) )?(?:{'|'.join(NAMES)}))"
    if found := re.search(rf"{thing} (?:is )?(to the left of|to the right of|above|below) {thing}$", plain):
        (x, y), (u, v) = _only(scene, found[1]).centre, _only(scene, found[3]).centre
        return {"to the left of": x < u, "to the right of": x > u, "above": y < v, "below": y > v}[found[2]]
    if found := re.search(r"(?:sign say|sign say) (\w+)$|^Is (\w+) written on the sign$", plain):
        return scene.named("sign")[0].text == (found[1] or found[2])
    if found := re.search(r"(?:a|any) die (?:showing|show|that shows) (\d)$", plain):
        return any(die.value == int(found[1]) for die in scene.dice)
    if found := re.search(rf"{thing} (?:showing|show)(?: a)? (\d)$", plain):
        return _only(scene, found[1]).value == int(found[2])
    if found := re.search(r"^(?:Are there|Do you see exactly) (\d) (\w+)$", plain):
        return len(_matching(scene, found[2])) == int(found[1])
    if found := re.search(rf"{thing} (?:is )?({'|'.join(PLACES)})$", plain):
        return PLACES[_only(scene, found[1]).cell] == found[2]
    if found := re.search(rf"{thing} ({ALL_COLOURS})$", plain):
        return _only(scene, found[1]).colour == found[2]
    found = re.search(r"(?:Is there|you see|picture show) an? (.+)$", plain) or re.search(r"^Does an? (.+)$", plain)
    assert found is not None, question
    return bool(_matching(scene, found[1]))


@given(INDICES)
@settings(max_examples=300)
def test_yes_and_no_are_true(index: int) -> None:
    scene, asked = _asked(index, "yes_no")
    assert asked
    for qa in asked:
        expected = "Yes" if _truth(scene, qa.question) else "No"
        assert re.match(r"\w+", qa.answer)[0] == expected, (qa, caption(scene))  # type: ignore[index]
        assert (qa.answer == expected) == qa.question.endswith(SHORT_ANSWER)


@given(INDICES)
@settings(max_examples=200)
def test_readings_and_boxes(index: int) -> None:
    scene, asked = _asked(index, "reading")
    for qa in asked:
        name = next(name for name in ("sign", "card", "die") if f"{name}" in qa.question)
        words = re.search(rf"(?:the )((?:(?:{ALL_COLOURS}) )?{name})", qa.question)
        assert words is not None
        item = _only(scene, words[1])
        assert re.findall(r"[A-Z]{2,}|\d+", qa.answer) == [str(item.text or item.value)]
    for qa in _asked(index, "box")[1]:
        words = re.search(rf"\b((?:(?:{ALL_COLOURS}) )?(?:{'|'.join(NAMES)}))\b", _plain(qa.question))
        assert words is not None, qa
        box = [float(number) for number in re.findall(r"\d\.\d\d", qa.answer)]
        assert qa.answer == "[" + ", ".join(f"{edge:.2f}" for edge in box) + "]"
        assert all(abs(a - b) <= 0.0051 for a, b in zip(box, _only(scene, words[1]).box, strict=True))


@given(INDICES)
@settings(max_examples=200)
def test_reasoning(index: int) -> None:
    scene, asked = _asked(index, "reasoning")
    assert asked
    values = [int(die.value or 0) for die in scene.dice]
    uses = {use.can: use for use in AFFORDANCES}
    for qa in asked:
        plain, numbers = _plain(qa.question), [int(number) for number in re.findall(r"\d+", qa.answer)]
        if found := re.search(r"die showing (\d)", plain):
            total = sum(values) + int(found[1])
            assert numbers == [*values, int(found[1]), total]
        elif "highest" in plain:
            assert numbers == [max(values)]
        elif found := re.search(r"more (?:of, |common, )?(.+?) (?:or|or more) (?:more )?(.+?)\?", plain):
            first, second = (len(_matching(scene, words)) for words in found.groups())
            assert numbers[0] == max(first, second)
            assert qa.answer.startswith("There are as many" if first == second else "There are more")
            if first != second:
                assert qa.answer.startswith(f"There are more {found[1] if first > second else found[2]}:")
                assert numbers == [max(first, second), min(first, second)]
        elif "card" in plain:
            (added,) = (int(number) for number in re.findall(r"\d+", plain))
            number = scene.named("card")[0].value or 0
            assert numbers == [number, added, number + added]
        elif "one" in plain.split():
            assert numbers[0] == len(_matching(scene, qa.answer.split()[3].rstrip(",")))
            assert numbers[1] == numbers[0] - 1
        else:
            can = next(can for can in uses if f"could {can}?" in plain or f"you {can}?" in plain)
            present = bool(scene.named(uses[can].name))
            assert qa.answer.startswith("No,") != present
            assert not {item.name for item in scene.items} & uses[can].doubtful


@given(INDICES)
@settings(max_examples=100)
def test_captions_and_descriptions_name_everything_in_order(index: int) -> None:
    scene = make_scene("held_out", index)
    for text in (caption(scene), describe(scene, random.Random(index))):
        assert [word for word in re.findall(r"\w+", text) if word in NAMES] == [item.name for item in scene.items]
        for item in scene.items:
            assert item.text is None or item.text in text
            assert item.value is None or str(item.value) in text
        assert " a apple" not in text and " a orange" not in text
        assert "\n" not in text
    assert caption(scene).count(".") == 1
    assert 2 <= describe(scene, random.Random(index)).count(".") <= 4


@given(INDICES)
@settings(max_examples=200)
def test_many_questions_none_twice_none_clumsy(index: int) -> None:
    scene = make_scene("train", index)
    asked = ask_about(scene, random.Random(index))
    assert asked == ask_about(scene, random.Random(index))
    assert len(asked) >= 11
    assert len({qa.question for qa in asked}) == len(asked)
    for qa in asked:
        assert qa.question.removesuffix(SHORT_ANSWER)[-1] in "?."
        assert "{" not in qa.question + qa.answer
        assert "  " not in qa.question + qa.answer
        assert not re.search(r"\b[Aa] [aeiou]|\b[Aa]n [^aeiou]", qa.question + qa.answer), qa
        assert not re.search(r"\b1 dice|\bdies\b|\bfishs\b", qa.question + qa.answer), qa


def test_the_exact_questions_of_the_demonstration_are_asked() -> None:
    asked = {qa.question for index in range(300) for qa in ask_about(make_scene("train", index), random.Random(index))}
    for question in (
        "How many dice are there, and what do they add up to?",
        "What do the dice add up to?",
        "What does the sign say?",
        "What number is on the card?",
        "Describe the picture in detail.",
    ):
        assert question in asked


def test_answers_are_balanced() -> None:
    counts: Counter[int] = Counter()
    words: dict[str, Counter[str]] = defaultdict(Counter)
    short: Counter[bool] = Counter()
    for index in range(2500):
        for qa in ask_about(make_scene("train", index), random.Random(index)):
            if qa.kind == "count":
                counts[int(re.findall(r"\d+", qa.answer)[0])] += 1
            if qa.kind in ("yes_no", "reasoning") and re.match(r"Yes|No\b", qa.answer):
                words[qa.kind][qa.answer[:2]] += 1
            if qa.kind in ("count", "colour", "position", "yes_no", "reading"):
                short[qa.question.endswith(SHORT_ANSWER)] += 1
    assert 0.48 < words["yes_no"]["Ye"] / words["yes_no"].total() < 0.52
    assert 0.4 < words["reasoning"]["Ye"] / words["reasoning"].total() < 0.6
    assert all(counts[count] > 0.07 * counts.total() for count in range(6)), counts
    assert 0.27 < short[True] / short.total() < 0.33
