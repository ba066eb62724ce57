"""What `pumice estimate` says of memory, against what training then takes: shapes in processes of their own.

    python benchmarks/estimate.py [--only NAME ...] [--steps 8]

Measured is the kernel's high-water mark of the whole process, interpreter and libraries included, as the estimate
includes them. Some steps are taken, because the C library's allocator needs some until it holds what it will hold.
Beside it is the same with an allocator that gives everything back at once (MALLOC_MMAP_THRESHOLD_), which is slower and
holds no more than the tensors. Prints a table and a last line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pumice.checkpoint.save import save_checkpoint
from pumice.train.estimate import estimate
from pumice.train.opening import FEW_SCENES
from pumice.train.recipe import Integers, LanguageShape, LoraShape, Recipe, Start, VisionShape, WorldData
from pumice.train.run import VOCABULARY, new_processor, prepare

RUN = """
import sys
import torch
from pumice.train.meter import peak_memory
from pumice.train.recipe import Recipe
from pumice.train.run import train
train(Recipe.model_validate_json(sys.argv[1]), lambda _: None)
print(peak_memory(torch.device("cpu")))
"""
EXACT = {"MALLOC_MMAP_THRESHOLD_": "65536"}
TOWER = {"image_size": 128, "patch_size": 16, "hidden_size": 192, "intermediate_size": 768, "layers": 6, "heads": 3}
TINY = {"vocab_size": 1536, "hidden_size": 256, "intermediate_size": 704, "layers": 4, "heads": 4, "kv_heads": 4}
VOCABULARY_32K = {**TINY, "vocab_size": 32000, "hidden_size": 512, "intermediate_size": 1408, "layers": 8, "heads": 8}
DEEP = {**TINY, "vocab_size": 8000, "hidden_size": 768, "intermediate_size": 2048, "layers": 16, "heads": 12}
ADAPTED = {
    "parts": {"connector": 1e-3, "language": 1e-3},
    "lora": {"language": LoraShape(rank=32, alpha=64)},
    "batch": 4,
}
SHAPES: Mapping[str, tuple[dict[str, int], dict[str, Any]]] = {
    "tiny": (TINY, {}),
    "vocabulary": (VOCABULARY_32K, {"batch": 4}),
    "vocabulary, averaged": (VOCABULARY_32K, {"batch": 4, "average": 0.99}),
    "packed": ({**TINY, "hidden_size": 384, "intermediate_size": 1024, "layers": 8}, {"batch": 16, "pack": 2048}),
    "lora": (DEEP, ADAPTED),
    "qlora": (DEEP, {**ADAPTED, "quantize": {"language": Integers()}}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=list(SHAPES), choices=list(SHAPES), metavar="NAME")
    parser.add_argument("--steps", type=int, default=8)
    options = parser.parse_args()
    results = {}
    print(f"{'shape':<22} {'told':>9} {'measured':>9} {'off':>6}   {'tensors alone':>13} {'measured':>9} {'off':>6}")
    for name in options.only:
        with tempfile.TemporaryDirectory() as folder:
            results[name] = found = compare(Path(folder), name, options.steps)
        told, taken, exact, alone = (found[key] / 2**20 for key in ("told", "measured", "told_exact", "measured_exact"))
        print(
            f"{name:<22} {told:>5.0f} MiB {taken:>5.0f} MiB {told / taken - 1:>+6.1%}   "
            f"{exact:>9.0f} MiB {alone:>5.0f} MiB {exact / alone - 1:>+6.1%}",
            flush=True,
        )
    print(json.dumps(results))


def compare(folder: Path, name: str, steps: int) -> dict[str, int]:
    """Bytes that are told and that are taken, with the usual allocator and with the exact one."""
    how = recipe_of(folder, name, steps)
    found = estimate(how)
    return {
        "told": found.peak,
        "measured": measured(how, {}),
        "told_exact": found.peak - found.rehearsal.gaps,
        "measured_exact": measured(how.model_copy(update={"output": folder / "exact"}), EXACT),
    }


def recipe_of(folder: Path, name: str, steps: int) -> Recipe:
    """A recipe in ``folder``, with the tokenizer or the finished model that it starts from."""
    words, changes = SHAPES[name]
    start = Start(vision=VisionShape(**TOWER), language=LanguageShape(**words))
    values: dict[str, Any] = {
        "output": folder / "run",
        "start": start,
        "template": "plain",
        "parts": dict.fromkeys(("vision", "connector", "language"), 1e-3),
        "batch": 8,
    }
    values.update(changes)
    values["world"] = WorldData(task="caption", scenes=values["batch"] * steps, captions=6, sizes=(128,))
    drawn = Recipe(**{**values, "lora": {}, "quantize": {}})
    for output in ("run", "exact"):
        new_processor(drawn, folder / output / VOCABULARY, FEW_SCENES)
    if "lora" in values:
        trainee = prepare(drawn)
        save_checkpoint(trainee.model, trainee.processor, folder / "start", dtype=torch.bfloat16)
        values["start"] = Start(folder=folder / "start")
    return Recipe(**values)


def measured(how: Recipe, environment: Mapping[str, str]) -> int:
    """The most bytes that a process held which trained ``how``."""
    command = [sys.executable, "-c", RUN, how.model_dump_json()]
    done = subprocess.run(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout)


if __name__ == "__main__":
    main()
