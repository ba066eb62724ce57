"""What questions beyond the paper's are made from: annotated pictures in a folder, or else Pumice's own world.

A folder such as COCO's: ``instances_val2017.json`` (in ``annotations/`` or not), ``captions_val2017.json`` beside it,
and the pictures in ``val2017/`` or ``images/``. Without any such file scenes of the world are asked about, which are
drawn; results say so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pumice.annotations.scene import Scene
from pumice.annotations.sources.source import Source, SourceKind
from pumice.annotations.sources.table import open_source
from pumice.errors import UsageError
from pumice.evaluate.beyond.drawn import drawn_once
from pumice.evaluate.task import File
from pumice.evaluate.tasks import original

WORLD_SCENES = 200
_COCO = "https://cocodataset.org/#download"
INSTANCES = File(
    ("annotations/instances_val*.json", "instances_val*.json", "annotations/instances_*.json", "instances_*.json"),
    "boxes around things, with captions_*.json beside it (without any, Pumice's own world is asked about)",
    _COCO,
)
CAPS_BOXES = File(
    ("caps_boxes*.jsonl",), "captions and boxes as the original's data generation reads them", "LLaVA, llava/eval/table"
)
REGIONS = File(
    ("region_descriptions*.json", "regions*.json"),
    "phrases with boxes, image_data.json with the pictures' sizes beside it",
    "https://homes.cs.washington.edu/~ranjay/visualgenome",
)
FILES = (INSTANCES, CAPS_BOXES)
_PLACES = ("images", "val2017", "val2014", "train2017", "train2014", "VG_100K", ".")


class _Kind(NamedTuple):
    file: File
    kind: SourceKind


_KINDS = (_Kind(INSTANCES, "coco"), _Kind(CAPS_BOXES, "caps-boxes"))
_WITH_REGIONS = (_Kind(REGIONS, "regions"), *_KINDS)


@dataclass(frozen=True)
class Gallery:
    """Scenes whose pictures are at hand (all, if none is). picture: where a scene's is. notes: for whoever reads the
    figures."""

    scenes: tuple[Scene, ...]
    picture: Callable[[Scene], Path]
    notes: tuple[str, ...]


def gallery(folder: Path, *, regions: bool = False, annotated: bool = False) -> Gallery:
    """What a folder holds. regions: phrases about parts of pictures are preferred to things. annotated: the world will
    not do instead.

    Raises: UsageError for annotations that cannot be read, or are wanted and not there.
    """
    for file, kind in _WITH_REGIONS if regions else _KINDS:
        if file.all(folder):
            return _annotated(kind, file.find(folder), folder)
    if annotated:
        INSTANCES.find(folder)
    source = open_source("world", numbers=range(WORLD_SCENES), split="held_out")
    note = f"About {WORLD_SCENES} scenes of Pumice's own world: {folder} holds no annotations of other pictures."
    return Gallery(tuple(source), partial(_drawn, source), (note,))


def _annotated(kind: SourceKind, path: Path, folder: Path) -> Gallery:
    beside = path.with_name("image_data.json" if kind == "regions" else path.name.replace("instances", "captions"))
    source = open_source(kind, [*([beside] if beside != path and beside.exists() else []), path])
    subset = path.stem.rpartition("_")[2]
    pictures = original.pictures(folder, (subset, *_PLACES))
    scenes = tuple(source)
    shown = tuple(scene for scene in scenes if (pictures / scene.image).exists())
    notes = [f"{path.name}: {what}: {count:,}." for what, count in source.left_out.items()]
    if 0 < len(shown) < len(scenes):
        left = len(scenes) - len(shown)
        notes.append(f"{left:,} of {len(scenes):,} annotated pictures are not in {pictures} and were left out.")
    return Gallery(shown or scenes, partial(_file, pictures), tuple(notes))


def _file(pictures: Path, scene: Scene) -> Path:
    return pictures / scene.image


def _drawn(source: Source, scene: Scene) -> Path:
    if source.draw is None:
        raise UsageError(f"the pictures of {source.kind} are files")
    return drawn_once(scene.id, partial(source.draw, scene))
