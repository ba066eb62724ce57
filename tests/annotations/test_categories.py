"""Words for what stands in a picture: found, counted, and not taken for what they are not."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.annotations.categories import COCO_CATEGORIES, Mention, coco, plural, vocabulary_for, world
from pumice.annotations.scene import Scene, Thing
from pumice.annotations.sources.table import open_source
from pumice.annotations.words import COCO, SUPER
from pumice.world.vocabulary import NAMES

# What is said, and the categories that are meant.
SAID = {
    "A laptop computer, a mobile phone and a computer mouse": "laptop, cell phone, mouse",
    "People sit on a sofa watching television": "person, couch, tv",
    "Two skiers and a snowboarder rest": "person, person",
    "A mother and her children ride bikes": "person, person, bicycle",
    "policemen on motorbikes, women in taxis": "person, motorcycle, person, car",
    "The player's racket and the umpire's mitt": "person, tennis racket, person, baseball glove",
    "doughnuts, hot dogs and hotdogs": "donut, hot dog, hot dog",
    "A dog eats a hot dog.": "dog, hot dog",
    "A teddy bear, a stuffed bear and a polar bear": "teddy bear, teddy bear, bear",
    "A baby elephant and an adult giraffe": "elephant, giraffe",
    "A toy car, a stuffed rabbit, a paper airplane": "teddy bear",
    "A statue of a horse and a drawing of two cats": "",
    "A ceramic bird beside a wooden chair": "chair",
    "An orange cat with an orange and white tail": "cat",
    "A person in an orange shirt peels an orange.": "person, orange",
    "Oranges, bananas and an orange on a tray": "orange, banana, orange",
    "The walls are orange. The sofa is orange and soft.": "couch",
    "He can bear the cold and will train to bat.": "",
    "It trains balance, he boats on the lake, a tree that bears fruit; trains and bears": "fruit, train, bear",
    "A farmers market, children's books, women's shoes, a driver's license, the boy's dog": "book, person, dog",
    "The players' bench, the men's hats; an Apple laptop": "person, bench, person, laptop",
    "They can book a room and will sink it.": "",
    "A man riding a wave; a dog walking; a woman watching a bird": "person, dog, person, bird",
    "A man and a woman stand. A dog and a cat run.": "person, person, dog, cat",
    "The man stands, the dog jumps, the clock shows ten.": "person, dog, clock",
    "The train stops where the bus parks.": "train, bus",
    "A bear beside the train that I book": "bear, train",
    "The train station and the bus stop are empty.": "",
    "A horse-drawn carriage on the train tracks": "",
    "A dog's bowl, a cat food bowl and a bird house": "dog, bowl, bowl",
    "car keys, a boat dock, pizza boxes and an apple tree": "",
    "A bus driver and a taxi driver talk.": "person, person",
    "A mouse pad, a toilet paper roll and a cake stand": "",
    "Where does the laptop stand? Can a red car stop here?": "laptop, car",
    "Does the picture show a laptop stand? Does the cake stand look new?": "",
    "A parking lot with a parking meter": "parking meter",
    "the dining room has a dining table": "dining table",
    "A fire hydrant near a fire truck": "fire hydrant, truck",
    "A stop sign, a traffic light and a street sign": "stop sign, traffic light",
    "A baseball bat, a baseball glove and a baseball player": "baseball bat, baseball glove, person",
    "A baseball game; a tennis match; a football field": "",
    "A cup of coffee, a glass of wine, wine glasses and eyeglasses": "cup, wine glass, wine glass",
    "A glass table by a glass door": "dining table",
    "She wears glasses and a tie-dyed shirt.": "",
    "A bed of lettuce and a flower bed": "",
    "A dog sleeps on a dog bed.": "dog",
    "An aircraft carrier with aircraft on it": "airplane",
    "An MP3 player and a record player": "",
    "A remote area with a remote control": "remote",
    "The cat and mouse-like toy; a double-decker bus": "cat, teddy bear, bus",
    "A hot-dog stand and a stop-sign": "stop sign",
    "A human hand; human behaviour; three humans": "person",
    "Female athletes and a male giraffe": "person, giraffe",
    "a pair of scissors and a pair of skis": "scissors, skis",
    "MEN AND WOMEN; Geese, mice, knives, sheep": "person, person, bird, mouse, knife, sheep",
    "A kitchen knife, a kitchen sink and a microwave oven": "knife, sink, microwave",
    "A clock tower with a clock": "clock, clock",
    "Vehicles, animals and fruit": "vehicle, animal, fruit",
}
LOOSE_TOO = {"dining table", "teddy bear"}

COUNTED = {
    "Two dogs": (2, "exact"),
    "2 dogs": (2, "exact"),
    "There are exactly three dogs": (3, "exact"),
    "twelve dogs": (12, "exact"),
    "a dog": None,
    "dogs": None,
    "There is one dog": (1, "exact"),
    "One dog sleeps": (1, "least"),
    "only one dog": (1, "exact"),
    "a single dog": (1, "exact"),
    "no dogs": (0, "exact"),
    "zero dogs": (0, "exact"),
    "two brown dogs": (2, "least"),
    "two large, brown dogs": None,
    "the two dogs": (2, "least"),
    "both dogs": (2, "least"),
    "two other dogs": None,
    "two of the dogs": None,
    "another dog": None,
    "several dogs": (2, "least"),
    "a few dogs": (2, "least"),
    "at least four dogs": (4, "least"),
    "more than four dogs": (5, "least"),
    "over 10 dogs": (11, "least"),
    "about ten dogs": (10, "about"),
    "two or three dogs": (3, "about"),
    "next to two dogs": (2, "exact"),
    "fewer than five dogs": (5, "about"),
    "up to five dogs": (5, "about"),
    "a pair of dogs": (2, "exact"),
    "a couple of dogs": (2, "least"),
    "a pack of dogs": (2, "least"),
    "a group of dogs": (2, "least"),
    "a dozen dogs": (12, "exact"),
    "half a dozen dogs": (6, "exact"),
    "two dozen dogs": (24, "exact"),
    "dozens of dogs": (12, "least"),
    "two hundred dogs": (200, "exact"),
    "twenty dogs": (20, "exact"),
    "12345678901234567890 dogs": (123456789, "exact"),
    "two sleeping dogs": (2, "least"),
    "A two-storey house with dogs": None,
    "ten speed bikes and dogs": None,
}


def categories(mentions: list[Mention]) -> str:
    return ", ".join(mention.category for mention in mentions if not mention.loose or mention.category in LOOSE_TOO)


@pytest.mark.parametrize("text", SAID)
def test_things_are_told_from_what_only_sounds_like_them(text: str) -> None:
    assert categories(coco().mentions(text)) == SAID[text]


@pytest.mark.parametrize("text", COUNTED)
def test_numbers_are_read_with_what_bounds_them(text: str) -> None:
    mention = next(each for each in coco().mentions(text) if each.category == "dog")
    expected = COUNTED[text]
    assert (mention.number, mention.bound) == (expected or (None, "exact"))


def test_a_number_belongs_to_its_own_noun() -> None:
    found = coco().mentions("Two men with three dogs and a cat, next to 4 parked cars")
    assert [(each.category, each.number) for each in found] == [("person", 2), ("dog", 3), ("cat", None), ("car", 4)]
    scissors, shoes = coco().mentions("a pair of scissors and a pair of cats")
    assert scissors.number is None and shoes.number == 2


def test_grades_of_certainty() -> None:
    man, person, desk, seat, bike, van = coco().mentions("a man, a person, a desk, a seat, a bike, a van")
    assert man.narrow and not person.narrow
    assert desk.loose and desk.categories == ("dining table",)
    assert seat.loose and set(seat.categories) == {"bench", "chair", "couch"}
    # A bike is one of two things, and surely one of them.
    assert set(bike.categories) == {"bicycle", "motorcycle"} and not bike.loose
    assert set(van.categories) >= {"car", "truck"}


def test_the_table_holds_cocos_categories_each_word_found_in_both_numbers() -> None:
    assert len(COCO_CATEGORIES) == 80
    rows = {word: members.split(", ") for word, members in SUPER.items()}
    for category, row in COCO.items():
        for word in (category, *row.replace("~", ",").replace("<", ",").split(",")):
            if word.strip():
                rows.setdefault(word.strip(), []).append(category)
    unheard = []
    for word, meant in rows.items():
        for text in (f"We see the {plural(word)}.", f"Here is the {word}."):
            mentions = coco().mentions(text)
            if len(mentions) != 1 or not set(mentions[0].categories) & {*meant}:
                unheard.append(text)
    assert not unheard
    for category in COCO:
        assert [each.category for each in coco().mentions(f"a {category}, {plural(category)}")] == [category] * 2


@pytest.mark.parametrize(
    ("one", "several"),
    [("knife", "knives"), ("person", "people"), ("bus", "buses"), ("sandwich", "sandwiches"), ("sheep", "sheep"),
     ("mouse", "mice"), ("teddy bear", "teddy bears"), ("cup of tea", "cups of tea"), ("puppy", "puppies"),
     ("fireman", "firemen"), ("human", "humans"), ("toothbrush", "toothbrushes"), ("skis", "skis"),
     ("baseball glove", "baseball gloves"), ("wine glass", "wine glasses"), ("die", "dice")],
)  # fmt: skip
def test_plurals(one: str, several: str) -> None:
    assert plural(one) == several


def test_the_world_has_its_own_words() -> None:
    for name in NAMES:
        (mention,) = world().mentions(f"There are 3 {plural(name)}.")
        assert (mention.category, mention.number, mention.narrow, mention.loose) == (name, 3, False, False)
    scene = Scene("1", "1.png", 8, 8, (), (), source="world")
    assert vocabulary_for(scene) is world()


def test_a_scenes_own_categories_are_words_too() -> None:
    scene = Scene("1", "1.jpg", 8, 8, (), (Thing("wind turbine", (0, 0, 1, 1)),), closed=frozenset({"silo"}))
    found = vocabulary_for(scene).mentions("Two wind turbines, a silo and a dog")
    assert [each.category for each in found] == ["wind turbine", "silo", "dog"]
    assert vocabulary_for(Scene("2", "2.jpg", 8, 8, (), ())) is coco()
    assert not coco().mentions("a silo")


@given(
    st.text()
    | st.lists(st.sampled_from([*COCO, "two", "of", "a", "-", "'s", ".", "orange", "glass", "toy"])).map(" ".join)
)
def test_mentions_lie_in_the_text_in_order_and_never_overlap(text: str) -> None:
    end = 0
    for mention in coco().mentions(text):
        assert end <= mention.start < mention.end <= len(text)
        end = mention.end
        assert mention.categories and set(mention.categories) <= coco().categories
        (again,) = coco().mentions(f"the {text[mention.start : mention.end]}.")
        assert again.categories == mention.categories


def test_what_people_say_about_coco_agrees_with_what_they_marked(coco: Path) -> None:
    """Captions are true: a thing that they name and that nobody marked is a false alarm, or an annotator's slip."""
    sources = (
        open_source("caps-boxes", [coco / "caps_boxes_coco2014_val_80.jsonl"]),
        open_source("coco", [coco / "captions_val2017.json", coco / "instances_val2017.json"]),
    )
    said = wrong = 0
    for scene in (scene for source in sources for scene in source):
        there = Counter(thing.category for thing in scene.things)
        for caption in scene.captions:
            for mention in vocabulary_for(scene).mentions(caption):
                said += 1
                wrong += not mention.loose and not any(there[each] for each in mention.categories)
    assert said > 1200
    assert wrong / said < 0.02


def test_what_gpt4_says_about_coco_agrees_with_what_was_marked(coco: Path) -> None:
    lines = (coco / "coco2014_val_gpt4_qa_30x3.jsonl").read_text(encoding="utf-8").splitlines()
    scenes = {scene.id: scene for scene in open_source("caps-boxes", [coco / "caps_boxes_coco2014_val_80.jsonl"])}
    said = absent = 0
    for answer in map(json.loads, lines):
        scene = scenes[answer["id"]]
        for mention in vocabulary_for(scene).mentions(answer["output"]):
            said += 1
            absent += not mention.loose and not any(scene.named(each) for each in mention.categories)
    assert said > 450
    assert absent / said < 0.04  # mostly people and things that are spoken of as possible
