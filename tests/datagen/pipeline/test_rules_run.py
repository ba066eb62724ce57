"""Runs of the offline teacher: real annotations in, records out that training takes, the same wherever made."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from filelock import FileLock
from PIL import Image

from datagen.pipeline.runs import ALL, EQUAL, annotations, complete, contents, lines, ran, records, rules, stopping
from pumice.data.records import read_records
from pumice.datagen.folder import IMAGES, PROVENANCE, REJECTIONS, REPORT
from pumice.datagen.generation import Generation, generate
from pumice.datagen.plan import Plan, read_rates
from pumice.datagen.samples import KINDS
from pumice.datagen.supply import Supply
from pumice.errors import UsageError


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return annotations(tmp_path_factory.mktemp("table") / "table.jsonl", 40)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, table: Path) -> Path:
    """A folder with everything about the table."""
    folder = tmp_path_factory.mktemp("made") / "out"
    ran(rules(folder, table))
    return folder


def test_the_real_items_go_through_all_kinds(coco: Path, tmp_path: Path) -> None:
    ended = ran(rules(tmp_path / "out", coco / "caps_boxes_coco2014_val_80.jsonl"))
    complete(tmp_path / "out", 80 * len(KINDS))
    assert set(ended.tally.given_up) <= {"nothing-to-say", "near-duplicate"}, "the rules write nothing that is refused"
    assert all(ended.tally.kinds[kind]["samples"] > 40 for kind in KINDS)
    for origin in lines(tmp_path / "out", PROVENANCE):
        assert not [check for check in origin["checks"] if check["verdict"] == "contradicted"]
    read = read_records(tmp_path / "out" / "records.json", tmp_path)
    assert len(read) == ended.tally.samples and len({each.id for each in read}) == len(read)


def test_the_slice_of_coco_goes_through_with_the_pictures_that_are_there(coco: Path, tmp_path: Path) -> None:
    files = (coco / "captions_val2017.json", coco / "instances_val2017.json")
    supply = Supply("coco", files)
    ended = ran(Generation(tmp_path / "out", supply, Plan(read_rates(ALL)), images=coco / "val2017"))
    there = {each["image"] for each in records(tmp_path / "out")}
    assert there == {path.name for path in (coco / "val2017").iterdir() if path.name in there} and there
    assert ended.tally.missing == supply.total - len(there) > 0
    missing = [each for each in lines(tmp_path / "out", REJECTIONS) if each["reason"] == "missing-picture"]
    assert len(missing) == ended.tally.missing
    assert all(origin["annotation_ids"] for origin in lines(tmp_path / "out", PROVENANCE))
    assert (tmp_path / "out" / REPORT).read_text(encoding="utf-8").count("data:image/jpeg") >= len(KINDS)


def test_the_world_brings_its_pictures(tmp_path: Path) -> None:
    ran(Generation(tmp_path / "out", Supply("world", first=7, count=6), Plan(read_rates("conversation,counting"))))
    names = {each["image"] for each in records(tmp_path / "out")}
    assert names and names <= {path.name for path in (tmp_path / "out" / IMAGES).iterdir()}
    for name in names:
        with Image.open(tmp_path / "out" / IMAGES / name) as picture:
            picture.load()
    read = read_records(tmp_path / "out" / "records.json", tmp_path / "out" / IMAGES)
    assert len(read) == len(records(tmp_path / "out"))


def test_two_processes_make_what_one_makes(table: Path, made: Path, tmp_path: Path) -> None:
    ran(rules(tmp_path / "out", table, where=2))
    assert contents(tmp_path / "out") == contents(made)


@pytest.mark.slow
def test_ray_makes_what_one_process_makes(table: Path, made: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    ran(rules(tmp_path / "out", table, where="ray"))
    assert contents(tmp_path / "out") == contents(made)


@pytest.mark.parametrize("times", [0, 1, 25, 39])
def test_a_run_that_was_stopped_goes_on_to_the_same_end(table: Path, made: Path, tmp_path: Path, times: int) -> None:
    generation = rules(tmp_path / "out", table)
    with stopping(times) as stop:
        assert not generate(generation, stop=stop).finished
    records(tmp_path / "out")
    assert ran(generation).tally.scenes == 40
    assert contents(tmp_path / "out") == contents(made)


def test_a_second_run_does_nothing(made: Path, table: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in made.iterdir()}
    ended = generate(rules(made, table), watch=lambda tally: pytest.fail("it did something"))
    assert ended.idle and ended.finished and ended.tally.samples == len(records(made))
    after = {path: path.stat().st_mtime_ns for path in made.iterdir()}
    assert after == {**before, made / ".lock": after[made / ".lock"]}


def test_how_it_is_made_is_no_argument(made: Path, table: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere.jsonl"
    moved.write_bytes(table.read_bytes())
    assert generate(rules(made, moved, where=2)).idle


@pytest.mark.parametrize("change", [{"seed": 1}, {"verify": "off"}, {"kinds": "detail"}, {"distinct": False}])
def test_other_arguments_are_refused_by_name(made: Path, table: Path, change: dict[str, object]) -> None:
    before = contents(made)
    with pytest.raises(UsageError, match=str(next(iter(change)))):
        generate(rules(made, table, **change))  # type: ignore[arg-type]
    assert contents(made) == before


def test_other_annotations_are_refused(made: Path, table: Path, tmp_path: Path) -> None:
    changed = tmp_path / "table.jsonl"
    changed.write_text(table.read_text(encoding="utf-8").replace("A bench", "A seat", 1), encoding="utf-8")
    with pytest.raises(UsageError, match=r"source\.files"):
        generate(rules(made, changed))


def test_a_folder_of_something_else_is_left_alone(table: Path, tmp_path: Path) -> None:
    (tmp_path / "holiday.txt").write_text("sun")
    with pytest.raises(UsageError, match="not empty"):
        generate(rules(tmp_path, table))
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.txt"]


def test_two_runs_keep_out_of_each_others_way(table: Path, tmp_path: Path) -> None:
    generation = rules(tmp_path / "out", table)
    (tmp_path / "out").mkdir()
    with FileLock(tmp_path / "out" / ".lock"), pytest.raises(UsageError, match="another process"):
        generate(generation)
    assert ran(generation).finished


def test_a_file_that_somebody_shortened_is_not_gone_on_with(table: Path, tmp_path: Path) -> None:
    generation = rules(tmp_path / "out", table)
    with stopping(30) as stop:
        generate(generation, stop=stop)
    (tmp_path / "out" / PROVENANCE).write_bytes(b"")
    with pytest.raises(UsageError, match="was changed"):
        generate(generation)


def test_scenes_first_to_first_and_count_are_a_part_of_all(made: Path, table: Path, tmp_path: Path) -> None:
    generation = rules(tmp_path / "out", table, distinct=False)
    part = replace(generation, supply=Supply("caps-boxes", (table,), first=10, count=5))
    assert ran(part).tally.scenes == 5
    scenes = {f"{number:06d}" for number in range(10, 15)}
    every = {each["id"]: each for each in records(made) if each["id"].partition("-")[0] in scenes}
    assert {each["id"]: each for each in records(tmp_path / "out")}.items() >= every.items()
    with pytest.raises(UsageError, match="there are 40 scenes"):
        _ = Supply("caps-boxes", (table,), first=40).total


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [str(value) for name, value in attrs if name in ("src", "href", "srcset")]


def test_the_report_says_everything_and_loads_nothing(tmp_path: Path) -> None:
    table = tmp_path / "table.jsonl"
    boxes = [{"category": "dog", "bbox": [0.1, 0.1, 0.5, 0.5]}]
    scene = {"id": "1", "image": "1.png", "captions": ["A <script>alert(1)</script> dog."], "instances": boxes}
    other = {**scene, "id": "<b>2", "image": "2.png"}
    table.write_text(f"{json.dumps(scene)}\n{json.dumps(other)}\n", encoding="utf-8")
    ended = ran(rules(tmp_path / "out", table))
    text = (tmp_path / "out" / REPORT).read_text(encoding="utf-8")
    page = _Page()
    page.feed(text)
    assert not {"script", "b", "svg"} & {*page.tags}
    assert page.links and all(link.startswith("data:image/") for link in page.links)
    for kind in ended.tally.kinds:
        assert kind in text
    for reason in ended.tally.refused:
        assert reason in text
    assert [name for name in EQUAL if not (tmp_path / "out" / name).is_file()] == []
