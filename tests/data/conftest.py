"""Real photographs with captions, where they are at hand."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def coco() -> Path:
    """A slice of COCO val2017, beside the golden vectors: ``captions_val2017.json`` and the folder ``val2017``."""
    golden = Path(os.environ.get("PUMICE_GOLDEN", PROJECT.parent / "shared" / "golden"))
    folder = golden.parent / "data" / "coco"
    if not folder.is_dir():
        pytest.skip(f"no COCO slice in {folder}; set PUMICE_GOLDEN to the folder beside its own")
    return folder


@pytest.fixture(scope="session")
def captions(coco: Path) -> dict[str, list[str]]:
    """The captions of every photograph that is there, by file name."""
    told = json.loads((coco / "captions_val2017.json").read_text(encoding="utf-8"))
    names = {each["id"]: each["file_name"] for each in told["images"]}
    found: dict[str, list[str]] = {}
    for each in told["annotations"]:
        name = names[each["image_id"]]
        if (coco / "val2017" / name).is_file():
            found.setdefault(name, []).append(each["caption"].strip())
    assert len(found) >= 3
    return found
