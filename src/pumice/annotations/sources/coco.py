"""COCO's JSON: captions, instances, or both, of any size; LVIS, which extends the format, too.

Lists may stand in any order, files as well. Whatever is wrong is found when they are opened, before anything is made of
them. The 2017 training set (118,287 pictures, 860,001 boxes, 591,435 captions) is read in one pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pumice.annotations.sources.fields import id_of, numbers_of, relative, size_of, text_of
from pumice.annotations.sources.shelf import Marked, Shelf
from pumice.annotations.sources.source import Source
from pumice.annotations.sources.stream import Member, members
from pumice.errors import UsageError


def open_coco(paths: Sequence[Path]) -> Source:
    """All pictures of the files, in the order of their lists.

    Raises: UsageError with file and place for what cannot be read.
    """
    shelf = Shelf("coco")
    names: dict[str, str] = {}
    sought: dict[str, frozenset[str]] = {}
    for number, path in enumerate(paths):
        own: dict[str, str] = {}
        mark = f"file:{number}"
        for member in members(path):
            if member.key == "" and member.number >= 0:
                raise UsageError(
                    f"{path} is a list, expected COCO's annotations: an object with 'images' and 'annotations'",
                    hint="a file of results has no pictures to describe",
                )
            if member.number < 0:
                continue
            if member.key == "images":
                _picture(shelf, member, mark)
            elif member.key == "annotations":
                _annotation(shelf, member)
            elif member.key == "categories":
                _category(names, own, member)
        sought[mark] = frozenset(own.values())
    count = shelf.complete()
    if not count:
        raise UsageError(f"no picture is described in {', '.join(map(str, paths))}")
    for table in ("caption", "thing") if names else ("caption",):
        missing = shelf.without(table)
        if 0 < missing < count:
            shelf.left_out[f"pictures without a {table}"] = missing
    for category, things in shelf.categories():
        if category not in names:
            shelf.left_out[f"boxes of category {category}, which is not listed"] = things
    sought |= {key: frozenset({name}) for key, name in names.items()}
    return Source("coco", count, partial(shelf.scenes, names, sought), dict(shelf.left_out))


def _picture(shelf: Shelf, member: Member, looked: str) -> None:
    """looked: for the categories of the file, in all of its pictures; not in those that only another file lists."""
    fields, place = member.fields, member
    if "file_name" not in fields and isinstance(fields.get("coco_url"), str):
        name = "/".join(text_of(fields, "coco_url", place).split("/")[-2:])  # LVIS: .../val2017/000000397133.jpg
    else:
        name = text_of(fields, "file_name", place)
    if "neg_category_ids" in fields:
        # LVIS looked for some categories in each picture only; these were not found.
        listed = fields["neg_category_ids"]
        looked = " ".join(map(str, listed)) if isinstance(listed, list) else ""
    size = size_of(fields, "width", place), size_of(fields, "height", place)
    shelf.picture(id_of(fields, "id", place), relative(name, place), size, place, looked)


def _annotation(shelf: Shelf, member: Member) -> None:
    fields, place = member.fields, member
    key = id_of(fields, "image_id", place)
    own = id_of(fields, "id", place) if "id" in fields else None
    if "caption" in fields:
        shelf.caption(key, text_of(fields, "caption", place), own)
    elif "bbox" in fields:
        crowd = fields.get("iscrowd") in (1, True)
        box = numbers_of(fields, ("bbox",), place)
        shelf.thing(key, Marked(id_of(fields, "category_id", place), box, own, crowd))
    else:
        raise UsageError(f"{place}: expected a caption or a bbox, found {', '.join(fields) or 'no fields'}")


def _category(names: dict[str, str], own: dict[str, str], member: Member) -> None:
    """names: of all files; own: of this one."""
    fields, place = member.fields, member
    key, name = id_of(fields, "id", place), text_of(fields, "name", place).replace("_", " ").strip()
    if not name or names.setdefault(key, name) != name:
        raise UsageError(f"{place}: category {key} is {name!r} here, and {names.get(key)!r} before")
    own[key] = name
