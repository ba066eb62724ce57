"""Published predictions, where they are at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def published() -> Path:
    """A folder for each benchmark, with LLaVA-1.5-13B's answers; beside the golden vectors."""
    golden = Path(os.environ.get("PUMICE_GOLDEN", PROJECT.parent / "shared" / "golden"))
    folder = golden.parent / "data" / "evaluation"
    if not folder.is_dir():
        pytest.skip(f"no published predictions in {folder}; set PUMICE_GOLDEN to the folder beside that of data")
    return folder
