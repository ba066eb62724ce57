"""Does a model learn as much from generated data as from the built-in records about the same scenes?

    python benchmarks/taught.py [--scenes 3200] [--per-kind 300] [--folder runs/taught] [--only built-in]

Both begin with the bundled model, two of its four decoder layers drawn anew, and learn connector and language model in
one pass with the same rates: once from ``[world]``, once from what ``pumice generate world`` has written, taken apart
by ``pumice data convert --apart``. Then both answer the same held-out questions (benchmarks/accuracy.py). Some twenty
minutes on two cores; runs that were stopped go on. Prints the tables and, as its last line, one JSON object.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import torch
from torch import nn

from pumice.checkpoint.hub import BUNDLED
from pumice.checkpoint.load import load_checkpoint
from pumice.checkpoint.save import save_checkpoint

ROOT = Path(__file__).parent.parent
FIRST = 100_000  # scenes that the bundled model has not learned from
DRAWN_ANEW = (2, 3)
# So many samples of each kind that the questions are spread over the kinds about as in the built-in records.
KINDS = "conversation,detail=0.15,reasoning=0.3,negatives=0.5,counting,position,grounding"
COMMON = """
output = "{output}"
template = "vicuna_v1"
batch = {batch}
warmup = 0.03
weight_decay = 0.02
beta2 = 0.98
final_rate = 0.03
save_every = 100
log_every = 25

[start]
folder = "{start}"

[parts]
connector = 8e-4
language = 1e-3
"""
BUILT_IN = """
[world]
task = "instruct"
first = {first}
scenes = {scenes}
questions = 10
details = 0.15
several_turns = 0.25
"""
# Fifteen questions about a scene in two rows: 0.65 of the rows are as many questions as the built-in records have.
GENERATED = """
[[files]]
records = "{data}/singles.json"
images = "{data}/images"
together = 10
weight = 0.65
"""


def pumice(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "pumice", *words], check=True, cwd=ROOT, stdout=sys.stderr)


def forgetful(folder: Path) -> Path:
    """The bundled model with layers as they are before any training: matrices of deviation 0.02, norms of one."""
    if not folder.exists():
        loaded = load_checkpoint(BUNDLED, dtype=torch.float32)
        chance = torch.Generator().manual_seed(0)
        for number in DRAWN_ANEW:
            for parameter in loaded.model.language.layers[number].parameters():
                if parameter.ndim == 1:
                    nn.init.ones_(parameter)
                else:
                    nn.init.normal_(parameter, std=0.02, generator=chance)
        save_checkpoint(loaded.model, loaded.processor, folder)
    return folder


def generated(folder: Path, scenes: int) -> Path:
    if not (folder / "singles.json").exists():
        what = ("generate", "world", "--first", str(FIRST), "--count", str(scenes), "--kinds", KINDS, "--quiet")
        pumice(*what, "-o", str(folder))
        pumice("data", "convert", str(folder / "records.json"), str(folder / "singles.json"), "--apart")
    return folder


def learned(folder: Path, name: str, recipe: str) -> Path:
    path = folder / f"{name}.toml"
    path.write_text(recipe, encoding="utf-8")
    pumice("train", str(path))
    return folder / name / "model"


def seen(model: Path, per_kind: int) -> dict[str, list[float]]:
    command = [sys.executable, "benchmarks/accuracy.py", "--model", str(model), "--per-kind", str(per_kind)]
    lines = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True).stdout.splitlines()
    print("\n".join([str(model), *lines[:-1]]), flush=True)
    found: dict[str, list[float]] = json.loads(lines[-1])["seeing"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=3200)
    parser.add_argument("--per-kind", type=int, default=300)
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "taught")
    parser.add_argument("--only", choices=("built-in", "generated"))
    given = parser.parse_args()
    folder = given.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    start = forgetful(folder / "start")
    found = {} if given.only else {"start": seen(start, given.per_kind)}
    for name, batch in (("built-in", 8), ("generated", 10)):
        if given.only in (None, name):
            recipe = COMMON.format(output=folder / name, batch=batch, start=start)
            if name == "built-in":
                recipe += BUILT_IN.format(first=FIRST, scenes=given.scenes)
            else:
                recipe += GENERATED.format(data=generated(folder / "data", given.scenes))
            found[name] = seen(learned(folder, name, recipe), given.per_kind)
    print(json.dumps({"scenes": given.scenes, **found}))


if __name__ == "__main__":
    main()
