"""LLaVA's table of captions and boxes: one JSON object a line.

    {"id": "296284", "image": "296284.jpg", "captions": ["A donut shop ..."],
     "instances": [{"category": "donut", "bbox": [0.37, 0.584, 0.504, 0.709]}]}

Boxes are left, top, right, bottom as shares of the sides. ``width`` and ``height`` (pixels) may be given, and a
``colour`` for each instance. If every category of the files is one of COCO's, all of COCO's were looked for.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from pumice.annotations.categories import COCO_CATEGORIES
from pumice.annotations.scene import Scene, Thing
from pumice.annotations.sources.fields import clipped, id_of, numbers_of, relative, size_of, text_of, whole
from pumice.annotations.sources.source import Source
from pumice.boxes import Box, has_area
from pumice.errors import UsageError
from pumice.files import unreadable

_BEYOND = 0.02  # how far a box may reach out of its picture; more, and it is in pixels


def open_caps_boxes(paths: Sequence[Path]) -> Source:
    """All lines of the files. They are read once before, so that a fault is found at once.

    Raises: UsageError with file and line for what cannot be read.
    """
    count = 0
    left_out: Counter[str] = Counter()
    categories: set[str] = set()
    seen: dict[str, str] = {}
    for place, line in _lines(paths):
        scene = _scene(line, place, frozenset(), left_out)
        count += 1
        if scene.id in seen:
            raise UsageError(
                f"{place}: the id {scene.id!r} is that of {seen[scene.id]} already",
                hint="each picture needs an id of its own",
            )
        seen[scene.id] = place
        categories |= {thing.category for thing in scene.things}
    if not count:
        raise UsageError(f"no picture is described in {', '.join(map(str, paths))}")
    closed = frozenset(COCO_CATEGORIES) if categories and categories <= set(COCO_CATEGORIES) else frozenset(categories)
    return Source("caps-boxes", count, partial(_scenes, paths, closed), dict(left_out))


def _scenes(paths: Sequence[Path], closed: frozenset[str]) -> Iterator[Scene]:
    counted_before = Counter[str]()
    for place, line in _lines(paths):
        yield _scene(line, place, closed, counted_before)


def _lines(paths: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """File and number of each line, and the line."""
    for path in paths:
        try:
            with path.open(encoding="utf-8-sig") as file:
                for number, line in enumerate(file, start=1):
                    if line.strip():
                        yield f"{path}:{number}", line
        except UnicodeDecodeError as error:
            raise UsageError(f"{path} is not UTF-8 text: {error.reason}") from None
        except OSError as error:
            raise unreadable(path, error) from error


def _scene(line: str, place: str, closed: frozenset[str], left_out: Counter[str]) -> Scene:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{place}: this line is not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise UsageError(f"{place}: expected an object with captions and instances, found {line.strip()[:60]}")
    captions, instances = fields.get("captions"), fields.get("instances")
    for name, listed in (("captions", captions), ("instances", instances)):
        if listed is None:
            left_out[f"lines without {name}"] += 1
        elif not isinstance(listed, list):
            raise UsageError(f"{place}: expected a list of {name}, found {json.dumps(listed)[:60]}")
    if not all(isinstance(caption, str) for caption in captions or ()):
        raise UsageError(f"{place}: expected texts for captions, found {json.dumps(captions)[:60]}")
    own = id_of(fields, "id", place)
    things = tuple(_things(instances or (), place, left_out))
    return Scene(
        id=own,
        image=relative(text_of(fields, "image", place) if "image" in fields else f"{own}.jpg", place),
        width=size_of(fields, "width", place),
        height=size_of(fields, "height", place),
        captions=tuple(" ".join(whole(caption).split()) for caption in captions or () if caption.strip()),
        things=things,
        source="caps-boxes",
        closed=closed if instances is not None else frozenset(),
    )


def _things(instances: Sequence[object], place: str, left_out: Counter[str]) -> Iterator[Thing]:
    for number, instance in enumerate(instances):
        where = f"{place}: instances[{number}]"
        if not isinstance(instance, dict):
            raise UsageError(f"{where}: expected a category and a bbox, found {json.dumps(instance)[:60]}")
        box = _box(instance, where)
        if not has_area(box):
            left_out["boxes without an area in their picture"] += 1
            continue
        colour = text_of(instance, "colour", where) if "colour" in instance else None
        yield Thing(text_of(instance, "category", where).strip(), box, colour)


def _box(instance: Mapping[str, object], place: str) -> Box:
    left, top, right, bottom = numbers_of(instance, ("bbox",), place)
    if min(left, top) < -_BEYOND or max(right, bottom) > 1 + _BEYOND:
        raise UsageError(
            f"{place}: expected a bbox of left, top, right, bottom as shares of the sides, 0 to 1, found"
            f" {[left, top, right, bottom]}",
            hint="divide pixels by the picture's width and height",
        )
    return clipped((left, top, right, bottom))
