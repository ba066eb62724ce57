"""Annotations of every kind through one door, and what is said of those that are malformed."""

from __future__ import annotations

import json
import pickle
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from pumice.annotations.scene import Region, Scene, Thing
from pumice.annotations.sources.source import Source
from pumice.annotations.sources.table import open_source
from pumice.boxes import has_area
from pumice.errors import UsageError
from pumice.world.scene import make_scene
from pumice.world.vocabulary import NAMES

IMAGES = [
    {"id": 7, "file_name": "b.jpg", "width": 100, "height": 50},
    {"id": 3, "file_name": "a.jpg", "width": 10, "height": 10},
]
BOXES = [
    {"id": 1, "image_id": 3, "category_id": 18, "bbox": [1, 2, 3, 4], "iscrowd": 0},
    {"id": 2, "image_id": 7, "category_id": 1, "bbox": [90, 0, 20, 50], "iscrowd": 1},
    {"id": 3, "image_id": 7, "category_id": 18, "bbox": [0, 0, 50, 25], "iscrowd": 0},
]
CATEGORIES = [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}]
SAID = [{"id": 50, "image_id": 7, "caption": "A dog\n among  people. "}, {"id": 51, "image_id": 3, "caption": "A dog."}]


def coco_files(folder: Path, **changed: object) -> list[Path]:
    instances = folder / "instances.json"
    captions = folder / "captions.json"
    whole: dict[str, object] = {"images": IMAGES, "annotations": BOXES, "categories": CATEGORIES, **changed}
    instances.write_text(json.dumps(whole))
    captions.write_text(json.dumps({"annotations": SAID, "images": IMAGES}))
    return [instances, captions]


def test_coco_whatever_the_order_of_lists_and_files(tmp_path: Path) -> None:
    files = coco_files(tmp_path)
    source = open_source("coco", files)
    first, second = source
    assert source.count == 2 and not source.left_out
    assert first == Scene(
        "7", "b.jpg", 100, 50, ("A dog among people.",),
        (Thing("person", (0.9, 0.0, 1.0, 1.0), None, True, "2"), Thing("dog", (0.0, 0.0, 0.5, 0.5), None, False, "3")),
        (), "coco", frozenset({"person", "dog"}), ("50",),
    )  # fmt: skip
    assert (first.count("person"), first.count("dog"), first.count("cat")) == (None, 1, None)
    assert (second.count("person"), second.annotation_ids) == (0, ("51", "1"))
    assert list(open_source("coco", files[::-1])) == [first, second] == list(source)


def test_coco_counts_what_is_of_no_use(tmp_path: Path) -> None:
    lost = [
        {"id": 4, "image_id": 99, "category_id": 1, "bbox": [0, 0, 1, 1]},
        {"id": 5, "image_id": 7, "category_id": 1, "bbox": [0, 0, 0, 1]},
        {"id": 6, "image_id": 7, "category_id": 1, "bbox": [200, 0, 5, 5]},
        {"id": 8, "image_id": 7, "category_id": 77, "bbox": [0, 0, 5, 5]},
    ]
    more = [*IMAGES, {"id": 8, "file_name": "c.jpg", "width": 1, "height": 1}, {"id": 9, "file_name": "d.jpg"}]
    more_boxes = [*BOXES, *lost, {"id": 9, "image_id": 8, "category_id": 1, "bbox": [0, 0, 1, 1]}]
    source = open_source("coco", coco_files(tmp_path, images=more, annotations=more_boxes))
    assert source.left_out == {
        "things of pictures that are not listed": 1,
        "boxes without an area in their picture": 2,
        "boxes of category 77, which is not listed": 1,
        "pictures about which nothing is said": 1,
        "pictures without a caption": 1,
    }
    assert source.count == len(list(source)) == 3
    assert all(thing.category in ("person", "dog") for scene in source for thing in scene.things)


def test_lvis_looks_for_some_categories_in_each_picture(tmp_path: Path) -> None:
    images = [
        {"id": 7, "coco_url": "http://images.example/val2017/7.jpg", "width": 9, "height": 9,
         "neg_category_ids": [1], "not_exhaustive_category_ids": [18]},
    ]  # fmt: skip
    path = tmp_path / "lvis.json"
    boxes = [{"id": 1, "image_id": 7, "category_id": 18, "bbox": [0, 0, 3, 3]}]
    categories = [{"id": 1, "name": "baseball_bat"}, CATEGORIES[1]]
    path.write_text(json.dumps({"images": images, "annotations": boxes, "categories": categories}))
    (scene,) = open_source("coco", [path])
    assert scene.image == "val2017/7.jpg"
    assert scene.closed == {"baseball bat"}
    assert (scene.count("baseball bat"), scene.count("dog")) == (0, None)


def test_only_what_a_file_lists_was_looked_at_for_its_categories(tmp_path: Path) -> None:
    """Captions of many pictures beside boxes of a few: of the others nobody knows what is absent."""
    files = coco_files(tmp_path, images=IMAGES[:1], annotations=BOXES[1:])
    for order in (files, files[::-1]):
        scenes = {scene.id: scene for scene in open_source("coco", order)}
        assert scenes["7"].closed == {"person", "dog"} and scenes["7"].count("dog") == 1
        assert scenes["3"].closed == frozenset() and scenes["3"].count("dog") is None


def test_boxes_and_captions_that_come_twice_count_once(tmp_path: Path) -> None:
    files = coco_files(tmp_path)
    keypoints = tmp_path / "person_keypoints.json"
    people = [{**box, "keypoints": [0] * 51} for box in BOXES if box["category_id"] == 1]
    keypoints.write_text(json.dumps({"images": IMAGES, "annotations": people, "categories": CATEGORIES[:1]}))
    source = open_source("coco", [*files, keypoints, files[1]])
    assert list(source) == list(open_source("coco", files))
    assert source.left_out == {"captions that came twice": 2, "things that came twice": 1}
    same = [BOXES[0], {**BOXES[0], "bbox": [5, 5, 1, 1]}]  # one id, but not one thing
    (scene,) = (each for each in open_source("coco", coco_files(tmp_path, annotations=same)) if each.id == "3")
    assert scene.count("dog") == 2


def test_lvis_with_the_captions_of_coco(tmp_path: Path) -> None:
    """LVIS names a picture with its folder, COCO's captions without."""
    files = coco_files(tmp_path, images=[{**each, "file_name": f"train/{each['file_name']}"} for each in IMAGES])
    for order in (files, files[::-1]):
        assert [scene.image for scene in open_source("coco", order)] == ["train/b.jpg", "train/a.jpg"]


def test_halves_of_characters_are_replaced(tmp_path: Path) -> None:
    """They are valid JSON ("\\ud83d"), but neither a database nor a file takes them."""
    half = "\ud83d"
    path = tmp_path / "captions.json"
    picture, said = {**IMAGES[0], "file_name": f"{half}.jpg"}, {**SAID[0], "caption": f"A dog {half}"}
    path.write_text(json.dumps({"images": [picture], "annotations": [said]}))
    table = tmp_path / "table.jsonl"
    table.write_text(json.dumps({"id": "1", "image": f"{half}.jpg", "captions": [f"A dog {half}"], "instances": []}))
    for kind, file in (("coco", path), ("caps-boxes", table)):
        (scene,) = open_source(kind, [file])  # type: ignore[arg-type]
        assert (scene.image, scene.captions) == ("?.jpg", ("A dog ?",))


def _annotation(**fields: object) -> dict[str, object]:
    return {"annotations": [{"id": 1, "image_id": 7, "category_id": 1, "bbox": [0, 0, 1, 1], **fields}]}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (_annotation(bbox=[0, 0, 1]), r"annotations\[0\]: expected four numbers for 'bbox', found \[0, 0, 1\]"),
        (_annotation(bbox=[0, 0, 1, "1"]), r"expected four numbers for 'bbox'"),
        (_annotation(bbox=[10**400, 0, 1, 1]), r"expected four numbers for 'bbox', found \[1000"),
        ({"images": [{"id": 7, "file_name": "x.jpg", "width": 2**70}]}, r"expected pixels for 'width', found 118059"),
        (_annotation(bbox=None), r"expected four numbers for 'bbox', found null"),
        (_annotation(image_id=None), r"expected a number or a text for 'image_id', found null"),
        (_annotation(category_id=[]), r"expected a number or a text for 'category_id'"),
        (_annotation(caption=5), r"expected a text for 'caption', found 5"),
        ({"annotations": [5]}, r"annotations\[0\]: expected an object with fields, found 5"),
        ({"annotations": [{"image_id": 7, "segments_info": []}]}, r"expected a caption or a bbox, found image_id, seg"),
        ({"images": [{"id": 7, "width": 5, "height": 5}]}, r"images\[0\]: expected a text for 'file_name'"),
        ({"images": [{"id": 7, "file_name": "../../x.jpg"}]}, r"below the folder of pictures, found '\.\./"),
        ({"images": [{"id": 7, "file_name": "/x.jpg"}]}, r"below the folder of pictures"),
        ({"images": [{"id": 7, "file_name": "C:\\x.jpg"}]}, r"below the folder of pictures"),
        ({"images": [{"id": 7, "file_name": "x.jpg", "width": -5}]}, r"expected pixels for 'width', found -5"),
        ({"images": [{"id": 7, "file_name": "x.jpg"}]}, r"picture 7 is 'b\.jpg' here, and 'x\.jpg' before"),
        ({"images": [{**IMAGES[0], "width": None}]}, None),
        ({"categories": [*CATEGORIES, {"id": 1, "name": "cat"}]}, r"category 1 is 'cat' here, and 'person' before"),
        ({"categories": [{"id": 1}]}, r"categories\[0\]: expected a text for 'name'"),
    ],
)  # fmt: skip
def test_malformed_coco_is_refused_with_its_place(
    tmp_path: Path, changed: dict[str, object], message: str | None
) -> None:
    files = coco_files(tmp_path, **changed)
    if message is None:
        assert open_source("coco", files).count == 2  # the other file says how wide it is
        files = files[:1]
        message = "picture 7 has boxes, but neither width nor height"
    with pytest.raises(UsageError, match=message):
        open_source("coco", files)


def test_files_that_are_something_else(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    results.write_text('[{"image_id": 7, "caption": "A dog."}]')
    with pytest.raises(UsageError, match="is a list, expected COCO's annotations"):
        open_source("coco", [results])
    results.write_text('{"images": [], "annotations": []}')
    with pytest.raises(UsageError, match="no picture is described"):
        open_source("coco", [results])
    results.write_text("once upon a time")
    with pytest.raises(UsageError, match="expected JSON"):
        open_source("coco", [results])
    with pytest.raises(UsageError, match="need a file"):
        open_source("coco", [])


def line(**changed: object) -> str:
    dog = {"category": "dog", "bbox": [0, 0.1, 0.5, 1.001]}
    fields = {"id": "1", "image": "1.jpg", "captions": ["A dog. "], "instances": [dog]}
    return json.dumps({**fields, **changed})


def test_caps_boxes(tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl"
    empty = {"category": "cat", "bbox": [0.5, 0.5, 0.5, 0.6]}
    path.write_text(line() + "\n\n" + json.dumps({"id": 2, "captions": []}) + "\n" + line(id="3", instances=[empty]))
    source = open_source("caps-boxes", [path])
    first, second, third = source
    assert first.things == (Thing("dog", (0.0, 0.1, 0.5, 1.0)),)
    assert first.captions == ("A dog.",) and first.count("dog") == 1 and first.count("zebra") == 0
    assert second.image == "2.jpg" and second.count("zebra") is None
    assert third.count("cat") == 0
    assert source.left_out == {"lines without instances": 1, "boxes without an area in their picture": 1}
    path.write_text(line(instances=[{"category": "screw", "bbox": [0, 0, 1, 1], "colour": "grey"}]))
    (own,) = open_source("caps-boxes", [path])
    assert own.closed == {"screw"} and own.things[0].colour == "grey"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (line() + "\n{", r"table\.jsonl:2: this line is not JSON"),
        (line() + "\n[]", r"table\.jsonl:2: expected an object with captions"),
        (line(captions="A dog."), r"table\.jsonl:1: expected a list of captions"),
        (line(captions=[1]), "expected texts for captions"),
        (line(instances=[1]), r"instances\[0\]: expected a category and a bbox"),
        (line(instances=[{"category": "dog", "bbox": [0, 0, 120, 40]}]), r"as shares of the sides, 0 to 1, found \[0"),
        (line(instances=[{"category": 5, "bbox": [0, 0, 1, 1]}]), "expected a text for 'category'"),
        (line(id=None), "expected a number or a text for 'id'"),
        (line(image="../1.jpg"), "below the folder of pictures"),
        (line() + "\n" + line(), r"table\.jsonl:2: the id '1' is that of .*table\.jsonl:1 already"),
        ("\n", "no picture is described"),
    ],
)  # fmt: skip
def test_malformed_caps_boxes_are_refused_with_their_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "table.jsonl"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        open_source("caps-boxes", [path])


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_a_table_of_captions(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "captions.csv"
    rows = [[f'"id{delimiter} own"', "File_Name", "Caption"], ["1", "b.jpg", "A dog."], ["2", "a.jpg", "A cat."],
            ["3", "b.jpg", '"A ""big"" dog."'], ["4", "c.jpg", ""], ["5"]]  # fmt: skip
    path.write_text("\ufeff" + "\r\n".join(delimiter.join(row) for row in rows) + "\r\n\r\n", encoding="utf-8")
    source = open_source("captions", [path])
    assert [(scene.id, scene.captions) for scene in source] == [
        ("b.jpg", ("A dog.", 'A "big" dog.')),
        ("a.jpg", ("A cat.",)),
    ]
    assert source.left_out == {"rows without a picture or a caption": 2}
    assert all(not scene.things and not scene.closed for scene in source)


def test_a_folder_of_captions(tmp_path: Path) -> None:
    for name, text in (("b/2.jpg", None), ("b/2.txt", "A dog.\n\nA big dog.\n"), ("a.PNG", None),
                       ("a.PNG.txt", "A cat."), ("c.webp", None), ("d.txt", "Nobody."), ("notes.md", "x")):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text or "")
    source = open_source("captions", [tmp_path])
    assert [(scene.image, scene.captions) for scene in source] == [
        ("a.PNG", ("A cat.",)),
        ("b/2.jpg", ("A dog.", "A big dog.")),
    ]
    assert source.left_out == {"pictures without a caption": 1, "texts without a picture": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1.jpg,A dog.", "expected a first line that names a column of pictures and one of captions"),
        (b"image,caption\n1.jpg,A d\xf6g.", "is not UTF-8"),
        (b'image,caption\n1.jpg,"A dog', r"captions\.csv:2: this is no table: .* end of data"),
        (b"image,caption\n../1.jpg,A dog.", r"captions\.csv:2: expected a picture's name below"),
        (b"image,caption\n", "no picture has a caption"),
        (b"", "expected a first line"),
    ],
)
def test_malformed_tables_are_refused_with_their_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "captions.csv"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        open_source("captions", [path])


def test_visual_genome(tmp_path: Path) -> None:
    sizes, phrases, things = (
        tmp_path / name for name in ("image_data.json", "region_descriptions.json", "attributes.json")
    )
    sizes.write_text(
        json.dumps([{"image_id": 1, "width": 100, "height": 50, "url": "https://vg.example/VG_100K_2/1.jpg"}])
    )
    region = {"region_id": 9, "image_id": 1, "phrase": "a  red car", "x": 0, "y": 0, "width": 50, "height": 25}
    phrases.write_text(json.dumps([{"id": 1, "regions": [region]}, {"id": 2, "regions": []}]))
    car = {"object_id": 5, "names": ["Car", "auto"], "attributes": ["parked", "Red"], "x": 0, "y": 0, "w": 50, "h": 25}
    things.write_text(json.dumps([{"image_id": 1, "attributes": [car, {**car, "attributes": ["red", "white"]}]}]))
    for files in ([phrases, things, sizes], [sizes, phrases, things]):
        source = open_source("regions", files)
        (scene,) = source
        assert scene.image == "VG_100K_2/1.jpg" and scene.regions == (Region("a red car", (0.0, 0.0, 0.5, 0.5)),)
        assert [(thing.category, thing.colour, thing.id) for thing in scene.things] == [
            ("car", "red", "5"),
            ("car", None, "5"),
        ]
        assert scene.count("car") is None and source.left_out == {"pictures about which nothing is said": 1}
    with pytest.raises(UsageError, match="picture 1 has boxes, but neither width nor height"):
        open_source("regions", [phrases])
    twice = tmp_path / "objects.json"
    twice.write_text(json.dumps([{"image_id": 1, "objects": [{**car, "names": ["car"]}]}]))
    with pytest.raises(UsageError, match="hold the same things"):
        open_source("regions", [sizes, twice, things])
    twice.write_text(json.dumps([{"image_id": 1, "objects": [{**car, "names": []}]}]))
    with pytest.raises(UsageError, match=r"objects\.json: \[0\]: expected a name for each object"):
        open_source("regions", [sizes, twice])


def test_the_world_is_known_in_full(tmp_path: Path) -> None:
    source = open_source("world", numbers=range(40), split="held_out")
    scenes = list(source)
    assert source.count == 40 and scenes == list(source)
    assert source.draw is not None and pickle.loads(pickle.dumps(source.draw)) is source.draw
    for number, scene in enumerate(scenes):
        made = make_scene("held_out", number)
        assert [(thing.category, thing.box, thing.value, thing.text) for thing in scene.things] == [
            (item.name, item.box, item.value, item.text) for item in made.items
        ]
        for name in NAMES:
            assert scene.count(name) in (None, len(made.named(name)))
    path = tmp_path / scenes[0].image
    path.write_bytes(source.draw(scenes[0]))
    with Image.open(path) as picture:
        assert picture.size == (scenes[0].width, scenes[0].height)
    with pytest.raises(UsageError, match="have numbers from 0"):
        open_source("world")
    with pytest.raises(UsageError, match="is no scene of the world"):
        source.draw(Scene("x", "x.png", 1, 1, (), ()))


def _coco(folder: Path) -> Source:
    return open_source("coco", [folder / "captions_val2017.json", folder / "instances_val2017.json"])


def _caps_boxes(folder: Path) -> Source:
    return open_source("caps-boxes", [folder / "caps_boxes_coco2014_val_80.jsonl"])


@pytest.mark.parametrize(("opened", "count"), [(_coco, 79), (_caps_boxes, 80)])
def test_real_annotations(coco: Path, opened: Callable[[Path], Source], count: int) -> None:
    source = opened(coco)
    scenes = list(source)
    assert source.count == len(scenes) == len({scene.id for scene in scenes}) == count
    assert not source.left_out and list(source) == scenes
    assert all(len(scene.captions) >= 5 and len(scene.closed) == 80 for scene in scenes)
    assert all(has_area(thing.box) and thing.category in scene.closed for scene in scenes for thing in scene.things)


def test_a_large_shuffled_set_is_sorted_by_picture(tmp_path: Path) -> None:
    rng = random.Random(1)
    images = [{"id": number, "file_name": f"{number}.jpg", "width": 10, "height": 10} for number in range(3000)]
    boxes = [{"id": n, "image_id": n % 3000, "category_id": 1, "bbox": [0, 0, 1 + n // 3000, 1]} for n in range(12_000)]
    rng.shuffle(boxes)
    source = open_source("coco", coco_files(tmp_path, images=images, annotations=boxes)[:1])
    scenes = list(source)
    assert [scene.id for scene in scenes] == [str(number) for number in range(3000)]
    for number, scene in enumerate(scenes):
        assert sorted(int(thing.id or -1) for thing in scene.things) == [number + 3000 * turn for turn in range(4)]
