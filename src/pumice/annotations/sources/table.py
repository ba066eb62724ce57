"""The one door to all sources.

source = open_source("coco", [Path("captions_val2017.json"), Path("instances_val2017.json")])
for scene in source: ...
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pumice.annotations.sources.source import Source, SourceKind
from pumice.errors import UsageError
from pumice.world.scene import Split


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
