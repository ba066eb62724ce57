"""Noun phrases of captions that people wrote, beside what people find in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.datagen.phrases import noun_phrases, phrases_of

# Captions of COCO's kind, and their noun phrases, without articles and words of quantity, as spaCy's chunks would be.
EXPECTED = {
    "A black and white cat is sleeping on the bed.": ["black and white cat", "bed"],
    "Two young men in suits are talking in a small room.": ["young men", "suits", "small room"],
    "A folded newspaper and sunglasses are on a table.": ["folded newspaper", "sunglasses", "table"],
    "There are several donuts in a glass display case.": ["donuts", "glass display case"],
    "A man wearing a red shirt throws a frisbee.": ["man", "red shirt", "frisbee"],
    "A car parked by a parking meter in front of a building.": ["car", "parking meter", "front", "building"],
    "A snow covered slope with many skiers.": ["snow covered slope", "skiers"],
    "THE OLD TRAIN STATION IS VERY BUSY": ["old train station"],
    "A woman is holding an umbrella in the rain.": ["woman", "umbrella", "rain"],
    "A living room with a couch, a lamp and a large window.": ["living room", "couch", "lamp", "large window"],
    "A group of people riding on the back of an elephant.": ["group", "people", "back", "elephant"],
    "Some sheep are grazing in a green field.": ["sheep", "green field"],
    "A teddy bear sits beside an old laptop computer.": ["teddy bear", "old laptop computer"],
    "His dog lies on a couch.": ["dog", "couch"],
    "A fire hydrant next to a tall brick wall.": ["fire hydrant", "tall brick wall"],
    "A brown horse standing in front of a white fence.": ["brown horse", "front", "white fence"],
    "Three giraffes eat leaves from a tree.": ["giraffes", "leaves", "tree"],
    "A plate of food with broccoli and rice.": ["plate", "food", "broccoli", "rice"],
    "A street sign on a metal pole.": ["street sign", "metal pole"],
    "A boy with a baseball bat stands on a field.": ["boy", "baseball bat", "field"],
}


def test_they_are_those_that_people_find() -> None:
    """Over all captions together; a tagger is wrong now and then."""
    right = found = wanted = 0
    for caption, phrases in EXPECTED.items():
        ours = noun_phrases(caption)
        right += len([phrase for phrase in ours if phrase in phrases])
        found, wanted = found + len(ours), wanted + len(phrases)
    assert right / found > 0.9 and right / wanted > 0.9


def test_most_things_that_are_marked_in_a_picture_are_among_its_captions_phrases(coco: object) -> None:
    """On the 80 real pictures: a category that a caption names by its own word is the end of a phrase."""
    import json
    from pathlib import Path

    assert isinstance(coco, Path)
    named = ended = 0
    for line in (coco / "caps_boxes_coco2014_val_80.jsonl").read_text(encoding="utf-8").splitlines():
        scene = json.loads(line)
        for caption in scene["captions"]:
            words = caption.lower().rstrip(".").split()
            phrases = noun_phrases(caption)
            for category in {each["category"] for each in scene["instances"]}:
                if category in words:
                    named += 1
                    ended += any(category in phrase.split() for phrase in phrases)
    assert named > 100 and ended / named > 0.93


@given(st.text(max_size=60))
def test_any_text_has_phrases_of_its_own_words(text: str) -> None:
    for phrase in noun_phrases(text):
        assert phrase and phrase == phrase.lower() and phrase.strip() == phrase
    assert phrases_of([text]) == [tuple(sorted(set(noun_phrases(text))))]


@pytest.mark.parametrize("caption", ["A Dog and a Cat.", "a dog and a cat", "A DOG AND A CAT"])
def test_case_is_nothing(caption: str) -> None:
    assert noun_phrases(caption) == ["dog", "cat"]
