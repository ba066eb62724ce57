"""Where the vectors made by the reference implementation lie."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of golden vectors: ``$PUMICE_GOLDEN``, else ``../shared/golden`` beside the project."""
    folder = Path(os.environ.get("PUMICE_GOLDEN", PROJECT.parent / "shared" / "golden"))
    if not folder.is_dir():
        pytest.skip(f"no golden vectors in {folder}; set PUMICE_GOLDEN to their folder")
    return folder
