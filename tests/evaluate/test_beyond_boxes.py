"""Counting, position and grounding: what is asked has one answer by the boxes, and only that scores."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cocos import Box, Pictured, random_pictures, write_coco
from pumice.annotations.numbers import NUMBERS
from pumice.evaluate.beyond import chair, counting, grounding, position
from pumice.evaluate.beyond.grounding import padded
from pumice.evaluate.questions import Answer, Question
from pumice.evaluate.statistic import Scored
from pumice.evaluate.task import Profile, Task

PICTURES = random_pictures(60, seed=4)
BY_NAME = {each.name: each for each in PICTURES}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_coco(tmp_path_factory.mktemp("coco"), PICTURES)


def answered(task: Task, folder: Path, say: Callable[[Question], str], profile: Profile = "official") -> Scored:
    return task.score([Answer(each.id, say(each)) for each in task.questions(folder)], folder, profile)


def of(picture: Pictured, name: str) -> list[Box]:
    return [box for category, box, _ in picture.things if category == name]


def category_of(question: Question) -> str:
    return question.id.split("-", 1)[1]


def test_what_is_counted_is_there_so_often(folder: Path) -> None:
    asked = list(counting.questions(folder))
    assert len(asked) > 40 and max(Counter(each.image_key for each in asked).values()) <= 2
    for each in asked:
        picture, name = BY_NAME[each.image_key], category_of(each)
        assert not any(crowd for category, _, crowd in picture.things if category == name), "nobody counts a crowd"
        assert min(min(box[2:]) for box in of(picture, name)) >= 0.02 * min(picture.size)
    scored = answered(counting.TASK, folder, lambda each: str(len(of(BY_NAME[each.image_key], category_of(each)))))
    assert (scored.value("exact"), scored.value("off by one at most"), scored.value("mean error")) == (100, 100, 0)
    more = answered(counting.TASK, folder, lambda each: f"{len(of(BY_NAME[each.image_key], category_of(each))) + 1}.")
    assert (more.value("exact"), more.value("off by one at most"), more.value("mean error")) == (0, 100, 1)
    silent = answered(counting.TASK, folder, lambda each: "A few" if "-" in each.id else "")
    assert silent.value("without a number") == 100 and silent.value("mean error") != silent.value("mean error")


@given(st.integers(0, 10**6), st.sampled_from(["{}", "There are {} dogs.", "**{}**", "I see {}, not more"]))
def test_numbers_are_read_in_digits(number: int, frame: str) -> None:
    assert counting.number_in(frame.format(number)) == number
    assert counting.number_in(frame.format(f"{number:,}")) == number


@pytest.mark.parametrize("word", ["one", "Two", "twelve", "a dozen", "both"])
def test_numbers_are_read_in_words(word: str) -> None:
    assert counting.number_in(f"There are {word} of them, of 7.") == NUMBERS[word.lower().split()[-1]]


@pytest.mark.parametrize(
    ("text", "number"),
    [("None.", 0), ("no dogs", 0), ("many", None), ("", None), ("2.5", None), ("②", None), ("² or 3", 3), ("٣", 3)],
)
def test_no_number_is_none(text: str, number: int | None) -> None:
    assert counting.number_in(text) == number


def true_relation(each: Question) -> bool:
    """By the pixels of the boxes."""
    _, picture = each.id, BY_NAME[each.image_key]
    words = each.prompt.split("\n")[0].removesuffix(" in the image?")
    verb, rest = words.split(" the ", 1)
    for relation in ("to the left of", "to the right of", "above", "below"):
        one, found, other = rest.partition(f" {relation} the ")
        if found:
            break
    assert verb == ("Are" if one == "skis" else "Is")
    ((x, y, width, height),), ((u, v, wide, high),) = of(picture, one), of(picture, other)
    return {
        "to the left of": x + width <= u,
        "to the right of": u + wide <= x,
        "above": y + height <= v,
        "below": v + high <= y,
    }[relation]


def test_relations_are_those_of_the_boxes(folder: Path) -> None:
    asked = list(position.questions(folder))
    assert len(asked) > 20
    assert [true_relation(each) for each in asked] == [each.id.endswith("true") for each in asked]
    right = answered(position.TASK, folder, lambda each: "yes" if true_relation(each) else "No.")
    assert (right.value("accuracy"), right.value("both of a pair"), right.value("yes")) == (100, 100, 50)
    always = answered(position.TASK, folder, lambda each: "Yes")
    assert (always.value("accuracy"), always.value("both of a pair"), always.value("yes")) == (50, 0, 100)
    undecided = answered(position.TASK, folder, lambda each: "Yes or no")
    assert (undecided.value("accuracy"), undecided.value("both of a pair"), undecided.value("yes")) == (0, 0, 0)


def test_words_do_not_give_the_answer_away() -> None:
    """In the world, where there are many: no relation is mostly true, nor what is named first mostly before."""
    asked = list(position.questions(Path("nowhere")))
    for relation in ("to the left of", "to the right of", " above ", " below "):
        truths = [each.id.endswith("true") for each in asked if relation in each.prompt]
        assert len(truths) > 50 and 0.35 < sum(truths) / len(truths) < 0.65


def shares(box: Box, size: tuple[int, int]) -> tuple[float, float, float, float]:
    x, y, width, height = box
    return x / size[0], y / size[1], (x + width) / size[0], (y + height) / size[1]


def own_box(each: Question, square: bool) -> str:
    picture = BY_NAME[each.image_key]
    ((x, y, width, height),) = of(picture, each.prompt.removesuffix(".").split(": the ")[1])
    size = picture.size
    if square:
        side = max(size)
        x, y, size = x + (side - size[0]) // 2, y + (side - size[1]) // 2, (side, side)
    return str([round(edge, 3) for edge in shares((x, y, width, height), size)])


def test_boxes_are_asked_for_what_is_single_and_large(folder: Path) -> None:
    asked = list(grounding.questions(folder))
    assert len(asked) > 40
    official = answered(grounding.TASK, folder, lambda each: own_box(each, square=False), "official")
    assert official.value("IoU over 0.5") == 100 and official.value("mean IoU") > 95
    llava = answered(grounding.TASK, folder, lambda each: f"It is at {own_box(each, square=True)}.", "llava")
    assert llava.value("IoU over 0.5") == 100 and llava.value("mean IoU") > 95
    mixed = answered(grounding.TASK, folder, lambda each: own_box(each, square=False), "llava")
    assert mixed.value("mean IoU") < 90, "most pictures are no squares"
    none = answered(grounding.TASK, folder, lambda each: "In the corner.")
    assert (none.value("IoU over 0.5"), none.value("mean IoU"), none.value("without a box")) == (0, 0, 100)
    pixels = answered(
        grounding.TASK, folder, lambda each: str([*of(BY_NAME[each.image_key], "dog"), 1, 1, 90, 80][-4:])
    )
    assert pixels.value("mean IoU") < 5


UNIT = st.floats(0, 1)


@given(st.integers(1, 4000), st.integers(1, 4000), UNIT, UNIT, UNIT, UNIT)
def test_padding_moves_boxes_with_their_pixels(
    width: int, height: int, x0: float, y0: float, x1: float, y1: float
) -> None:
    side = max(width, height)
    left, top, right, bottom = padded((x0, y0, x1, y1), width, height)
    assert [left * side - (side - width) / 2, right * side - (side - width) / 2] == pytest.approx(
        [x0 * width, x1 * width], abs=1e-6
    )
    assert [top * side - (side - height) / 2, bottom * side - (side - height) / 2] == pytest.approx(
        [y0 * height, y1 * height], abs=1e-6
    )


def test_regions_are_asked_about_where_there_are_some(tmp_path: Path) -> None:
    phrases = [
        {"image_id": 1, "region_id": at, "phrase": phrase, "x": 10 * at, "y": 20, "width": 80, "height": 60}
        for at, phrase in enumerate(("a small brown dog.", "the far tree"), 1)
    ]
    (tmp_path / "image_data.json").write_text(json.dumps([{"image_id": 1, "width": 200, "height": 100}]))
    (tmp_path / "region_descriptions.json").write_text(json.dumps([{"id": 1, "regions": phrases}]), encoding="utf-8")
    asked = list(grounding.questions(tmp_path))
    assert {each.image_key for each in asked} == {"1.jpg"}
    assert sorted(each.prompt.split(": ")[1] for each in asked) == ["a small brown dog.", "the far tree."]


def test_pictures_that_are_not_there_are_left_out_and_counted(tmp_path: Path) -> None:
    folder = write_coco(tmp_path / "coco", PICTURES)
    for each in PICTURES[:50]:
        (folder / "val2017" / each.name).unlink()
    scored = answered(chair.TASK, folder, lambda each: "A dog.")
    assert len(scored.rows) == 10
    assert any(note.startswith("50 of 60 annotated pictures are not in") for note in scored.about)
    bare = write_coco(tmp_path / "bare", PICTURES, files=False)
    assert len(chair.TASK.score([Answer("1", "A dog.")], bare, "official").rows) == 60, "scoring needs no pictures"


def test_without_annotations_the_world_is_asked_about_and_said(tmp_path: Path) -> None:
    for task in (counting.TASK, position.TASK, grounding.TASK, chair.TASK):
        scored = answered(task, tmp_path / "none", lambda each: "no idea")
        assert any("Pumice's own world" in note for note in scored.about), task.name
        assert len(scored.rows) >= 200
