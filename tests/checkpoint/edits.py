"""Checkpoints changed and taken apart."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file


def edit(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text())
    content.update(changes)
    path.write_text(json.dumps({key: value for key, value in content.items() if value != "DELETE"}))


def split(original: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A folder with an original checkpoint's language model, one with its projector, and ``tower`` beside them."""
    tensors = load_file(original / "model.safetensors")
    config = json.loads((original / "config.json").read_text())
    plain = {k: v for k, v in config.items() if not k.startswith(("mm_", "image_", "use_", "unfreeze"))}
    base, projector, tower = tmp_path / "base", tmp_path / "projector", tmp_path / "tower"
    for folder in (base, projector):
        folder.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(original / name, base)
    (base / "config.json").write_text(json.dumps({**plain, "model_type": "llama"}))
    save_file({k: v for k, v in tensors.items() if "mm_" not in k and "vision" not in k}, base / "model.safetensors")
    (projector / "config.json").write_text(json.dumps({**config, "_name_or_path": "base"}))
    shutil.copy(original / "mm_projector.bin", projector)
    shutil.copytree(original / "vision_tower", tower)
    prefix = "model.vision_tower.vision_tower."
    save_file({k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}, tower / "model.safetensors")
    return base, projector
