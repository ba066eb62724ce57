"""Real annotations, where they are at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def coco() -> Path:
    """A slice of COCO val2017 and the original's tables, beside the golden vectors."""
    golden = Path(os.environ.get("PUMICE_GOLDEN", PROJECT.parent / "shared" / "golden"))
    folder = golden.parent / "data" / "coco"
    if not folder.is_dir():
        pytest.skip(f"no COCO slice in {folder}; set PUMICE_GOLDEN to the folder beside that of data")
    return folder
