"""A folder as COCO's, made up: boxes, captions, and plain pictures of the right sizes."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

NAMES = ("person", "dog", "cat", "skis", "dining table", "sports ball")
Box = tuple[int, int, int, int]  # left, top, width, height in pixels, as COCO has it


@dataclass
class Pictured:
    """One picture: its size, things as (category, box, crowd), captions."""

    number: int
    size: tuple[int, int]
    things: list[tuple[str, Box, bool]] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.number:012d}.jpg"


def random_pictures(count: int, seed: int) -> list[Pictured]:
    """Up to seven things each, some of them crowds, some tiny."""
    rng = random.Random(seed)
    pictures = []
    for number in range(1, count + 1):
        width, height = rng.choice([(320, 200), (200, 320), (240, 240)])
        made = Pictured(number, (width, height), captions=["Nothing to see."])
        for _ in range(rng.randrange(8)):
            side = rng.choice((2, 30, 60, 90))
            box = (rng.randrange(width - side), rng.randrange(height - side), side, side)
            made.things.append((rng.choice(NAMES), box, rng.random() < 0.08))
        pictures.append(made)
    return pictures


def write_coco(folder: Path, pictures: Sequence[Pictured], *, files: bool = True) -> Path:
    """``annotations/*_val2017.json`` and, unless ``files`` is False, ``val2017/*.jpg``."""
    (folder / "annotations").mkdir(parents=True)
    listed = [
        {"id": each.number, "file_name": each.name, "width": each.size[0], "height": each.size[1]} for each in pictures
    ]
    things = [(each.number, *thing) for each in pictures for thing in each.things]
    boxes = [
        {"id": at, "image_id": number, "category_id": NAMES.index(name) + 1, "bbox": list(box), "iscrowd": int(crowd)}
        for at, (number, name, box, crowd) in enumerate(things, 1)
    ]
    said = [(each.number, caption) for each in pictures for caption in each.captions]
    captions = [{"id": at, "image_id": number, "caption": caption} for at, (number, caption) in enumerate(said, 1)]
    categories = [{"id": at, "name": name} for at, name in enumerate(NAMES, 1)]
    _write(folder / "annotations" / "instances_val2017.json", images=listed, annotations=boxes, categories=categories)
    _write(folder / "annotations" / "captions_val2017.json", images=listed, annotations=captions)
    if files:
        (folder / "val2017").mkdir()
        for each in pictures:
            Image.new("RGB", each.size, "white").save(folder / "val2017" / each.name)
    return folder


def _write(path: Path, **lists: object) -> None:
    path.write_text(json.dumps(lists), encoding="utf-8")
