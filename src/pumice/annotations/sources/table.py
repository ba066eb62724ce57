"""The one door to all sources: by the name of a kind, or by what the files look like.

source = open_source("coco", [Path("captions_val2017.json"), Path("instances_val2017.json")])
for scene in source: ...
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from pumice.annotations.sources.source import Source, SourceKind
from pumice.errors import UsageError
from pumice.files import unreadable
from pumice.world.scene import Split

SOURCE_KINDS: tuple[SourceKind, ...] = get_args(SourceKind)
_TABLES = frozenset({".csv", ".tsv"})


def open_source(
    kind: SourceKind, paths: Sequence[Path] = (), *, numbers: range = range(0), split: Split = "train"
) -> Source:
    """Annotations of this kind. numbers, split: of the world's scenes, which have no files.

    Raises: UsageError with file and place for what cannot be read.
    """
    if kind == "world":
        from pumice.annotations.sources.world import open_world

        return open_world(numbers, split)
    if not paths:
        raise UsageError(f"annotations of the kind {kind} need a file")
    if kind == "coco":
        from pumice.annotations.sources.coco import open_coco

        return open_coco(paths)
    if kind == "caps-boxes":
        from pumice.annotations.sources.caps_boxes import open_caps_boxes

        return open_caps_boxes(paths)
    if kind == "regions":
        from pumice.annotations.sources.regions import open_regions

        return open_regions(paths)
    from pumice.annotations.sources.captions import open_captions

    return open_captions(paths)


def kind_of(paths: Sequence[Path]) -> SourceKind:
    """The kind of the files, by what is in the first.

    Raises: UsageError if it cannot be read, or is none of them.
    """
    if not paths:
        raise UsageError("expected a file or folder of annotations, found none")
    path = paths[0]
    if path.is_dir() or path.suffix.lower() in _TABLES:
        return "captions"
    try:
        with path.open("rb") as file:
            head = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
            first, newline, _ = head.partition(b"\n")
    except OSError as error:
        raise unreadable(path, error, "annotations") from error
    if head.startswith(b"["):
        return "regions"
    if not head.startswith(b"{"):
        raise UsageError(
            f"{path} is neither JSON, JSONL, CSV nor a folder of captions: it begins with {first[:40]!r}",
            hint=f"annotations are of one of these kinds: {', '.join(SOURCE_KINDS)}",
        )
    # An object a line is whole in the first line, or long; COCO's single object has lists of its own names.
    whole = bool(newline) and first.rstrip().endswith(b"}")
    lined = whole or b'"instances"' in first or b'"captions"' in first
    return "caps-boxes" if lined and b'"annotations"' not in first and b'"images"' not in first else "coco"
