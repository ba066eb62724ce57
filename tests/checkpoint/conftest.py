"""Small checkpoints that several files of this folder take apart."""

from __future__ import annotations

from pathlib import Path

import pytest

import tiny
from pumice.checkpoint.convert import Options, convert
from pumice.checkpoint.save import save_checkpoint


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    save_checkpoint(tiny.model(), tiny.processor(mode="anyres", merge="spatial_unpad"), tmp_path / "ours")
    return tmp_path / "ours"


@pytest.fixture
def original(tmp_path: Path) -> Path:
    """The original's layout with the tower inside and ``mm_projector.bin``; mode pad."""
    save_checkpoint(tiny.model(newline=False), tiny.processor(), tmp_path / "source")
    convert(tmp_path / "source", tmp_path / "original", "original", Options(projector_file=True))
    return tmp_path / "original"
