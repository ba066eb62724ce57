"""The program that writes random checkpoints of real shapes, run on a small one."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch

import tiny
from pumice.checkpoint.load import load_model

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "shapes.py"


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("shapes", PROGRAM)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "SHAPES", {"M": tiny.language()})
    monkeypatch.setattr(module, "TOWER", replace(tiny.vision(), select_layer=-2))
    monkeypatch.setattr(module, "SHARD_BYTES", 50_000)
    return module


def write(program: ModuleType, folder: Path, form: str, monkeypatch: pytest.MonkeyPatch, *more: str) -> None:
    monkeypatch.setattr(sys, "argv", ["shapes.py", str(folder), "--format", form, *more])
    program.main()


def test_both_formats_hold_the_same_model(program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for form in ("safetensors", "bin"):
        write(program, tmp_path / form, form, monkeypatch)
    shards = sorted(path.name for path in (tmp_path / "bin").glob("*.bin"))
    assert len(shards) > 2 and not list((tmp_path / "bin").glob("*.safetensors"))
    assert shards == [f"pytorch_model-{n:05d}-of-{len(shards):05d}.bin" for n in range(1, len(shards) + 1)]
    index = json.loads((tmp_path / "bin" / "pytorch_model.bin.index.json").read_text())
    held = {name: shard for shard in shards for name in torch.load(tmp_path / "bin" / shard, weights_only=True)}
    assert index["weight_map"] == held
    one, other = (load_model(tmp_path / form).model.state_dict() for form in ("safetensors", "bin"))
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_only_the_original_layout_has_bin(program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit):
        write(program, tmp_path / "x", "bin", monkeypatch, "--layout", "llava-hf")
    assert not list(tmp_path.iterdir())
