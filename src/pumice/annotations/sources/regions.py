"""Visual Genome's files: phrases about regions, things with names and attributes, and the sizes of the pictures.

``region_descriptions.json`` and ``objects.json`` (or ``attributes.json``, which holds the objects, too) are lists with
an entry for each picture; ``image_data.json`` says how large each is and in which folder. Nobody looked for anything
in particular there, so nothing is known to be absent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from pumice.annotations.sources.fields import id_of, numbers_of, relative, size_of, text_of
from pumice.annotations.sources.shelf import Marked, Shelf
from pumice.annotations.sources.source import Source
from pumice.annotations.sources.stream import Member, members
from pumice.errors import UsageError

COLOURS = frozenset(
    {"red", "green", "blue", "yellow", "orange", "purple", "pink", "brown", "black", "white", "gray", "grey"}
)


def open_regions(paths: Sequence[Path]) -> Source:
    """All pictures, in the order in which the files name them.

    Raises: UsageError with file and place for what cannot be read.
    """
    shelf = Shelf("regions")
    objects: set[Path] = set()
    for path in sorted(paths, key=_says_sizes, reverse=True):
        for member in members(path):
            fields, place = member.fields, member
            _picture(shelf, member)
            for region in _listed(fields, "regions", place):
                box = numbers_of(region, ("x", "y", "width", "height"), place)
                shelf.region(_key(fields, place), text_of(region, "phrase", place), box)
            for name in ("objects", "attributes"):
                for each in _listed(fields, name, place):
                    objects.add(path)
                    _thing(shelf, _key(fields, place), each, place)
    if len(objects) > 1:
        raise UsageError(
            f"{' and '.join(map(str, sorted(objects)))} hold the same things", hint="name attributes.json alone"
        )
    count = shelf.complete()
    if not count:
        raise UsageError(f"no picture is described in {', '.join(map(str, paths))}")
    names = {name: name for name, _ in shelf.categories()}
    return Source("regions", count, partial(shelf.scenes, names, {}), dict(shelf.left_out))


def _says_sizes(path: Path) -> bool:
    """Whether the first entry says how large its picture is: such a file comes first, since it says where it is."""
    first = next(members(path), None)
    return first is not None and isinstance(first.value, dict) and "width" in first.value


def _key(fields: Mapping[str, object], place: object) -> str:
    return id_of(fields, "image_id" if "image_id" in fields else "id", place)


def _picture(shelf: Shelf, member: Member) -> None:
    fields, place = member.fields, member
    key = _key(fields, place)
    size = size_of(fields, "width", place), size_of(fields, "height", place)
    if size == (None, None) and shelf.knows(key):
        return
    url = text_of(fields, "url", place) if isinstance(fields.get("url"), str) else ""
    name = "/".join(url.split("/")[-2:]) if url else f"{key}.jpg"  # .../VG_100K_2/1.jpg
    shelf.picture(key, relative(name, place), size, place)


def _thing(shelf: Shelf, key: str, fields: Mapping[str, object], place: object) -> None:
    names = fields.get("names", [fields.get("name")])
    name = names[0] if isinstance(names, list) and names else None
    if not isinstance(name, str) or not name.strip():
        raise UsageError(f"{place}: expected a name for each object, found {json.dumps(names)[:60]}")
    listed = fields.get("attributes")
    said = {each.strip().lower() for each in listed if isinstance(each, str)} if isinstance(listed, list) else set()
    colours = sorted(said & COLOURS)
    box = numbers_of(fields, ("x", "y", "w", "h"), place)
    own = id_of(fields, "object_id", place) if "object_id" in fields else None
    shelf.thing(key, Marked(name.strip().lower(), box, own, colour=colours[0] if len(colours) == 1 else None))


def _listed(fields: Mapping[str, object], name: str, place: object) -> Iterator[Mapping[str, object]]:
    listed = fields.get(name, [])
    if not isinstance(listed, list):
        raise UsageError(f"{place}: expected a list of {name}, found {json.dumps(listed)[:60]}")
    for each in listed:
        if not isinstance(each, dict):
            raise UsageError(f"{place}: expected objects in {name!r}, found {json.dumps(each)[:60]}")
        yield each
