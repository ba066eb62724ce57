"""Train the same model on the same samples with Pumice and with transformers' Trainer: speed and peak memory.

    python benchmarks/train.py [--layers 4] [--hidden 256] [--repeats 3]

First both take the same 20 steps, and their losses must be equal within 1e-5. Then each trains one epoch in a process
of its own, in its own way to group samples, in alternating order. Then Pumice again with one technique off at a time.
The samples are those of ``train_samples.py``; the tower is frozen; both decode pictures in one worker process, and both
clocks start before the first is decoded. Features of the tower are kept on disk in the last row alone. Prints a table
and a last line of JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from train_samples import IGNORE, MIX, PATCH, SIDE, VOCABULARY, Sample, draw, summary

import pumice.train.step as steps
from pumice.checkpoint.load import load_model
from pumice.data.batch import Batch, collate
from pumice.data.packing import Row
from pumice.images.grid import Grid
from pumice.model.language import Decoder
from pumice.model.vision import VisionLayer
from pumice.train.loader import Order, batches
from pumice.train.parts import choose_parts
from pumice.train.portions import portion
from pumice.train.seen import SeenPictures
from pumice.train.step import Counts, InstructionTuning, take_step

RATE = 2e-5  # LLaVA-1.5's for stage 2
PACK = 2048
PARTS = {"connector": RATE, "language": RATE}
ABLATIONS = {
    "no packing, rows padded and grouped by length": "pack",
    "one mask for the packed row, not attention by blocks": "blocks",
    "logits at all positions": "logits",
    "cross-entropy in one piece": "chunks",
    "a graph through the frozen tower": "tower",
    "the tower's last layer, which nobody reads": "layer",
    "optimizer not fused": "fused",
    "no worker process": "workers",
    "not off but on: features of the tower read from disk": "kept",
}


@dataclass(frozen=True)
class Places:
    """Row ``i`` is ``i``."""

    samples: list[Sample]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Any:
        return index

    def size(self, index: int) -> int:
        return len(self.samples[index].ids)


class Rows(Places):
    """Row ``i`` is sample ``i``, its picture decoded."""

    def __getitem__(self, index: int) -> Row:
        return as_row(self.samples[index])


def as_row(sample: Sample) -> Row:
    """What ``pumice.data.packing.pack`` would make of it."""
    sees = sample.picture is not None
    learned = [at for at in range(1, len(sample.ids)) if sample.labels[at] != IGNORE]
    length = len(sample.ids)
    return Row(
        ids=tuple(sample.ids),
        positions=tuple(range(length)),
        groups=(0,) * length,
        sources=tuple(at - 1 for at in learned),
        targets=tuple(sample.labels[at] for at in learned),
        tiles=(sample.tile(),) if sees else (),
        grids=(Grid(SIDE // PATCH),) if sees else (),
        hashes=(sample.hash(),) if sees else (),
    )


def one_mask(batch: Batch) -> Tensor | None:
    """What blocks say, as a mask of the whole row."""
    if not batch.lengths:
        return None
    ones = [torch.ones(length, length, dtype=torch.bool).tril() for length in batch.lengths]
    return torch.block_diag(*ones).bool()[None, None]


class EveryLogit(InstructionTuning):
    """Logits wherever a token stands, and a loss that ignores most of them."""

    @staticmethod
    def collate(rows: Sequence[Row], *, joined: bool = False) -> Batch:
        batch = collate(rows, joined=joined)
        targets = torch.full((batch.ids.numel(),), IGNORE)
        targets[batch.sources] = batch.targets
        return replace(batch, sources=torch.arange(batch.ids.numel()), targets=targets)

    def counts(self, batch: Batch) -> Counts:
        return Counts(int((batch.targets != IGNORE).sum()))


def in_one_piece(decoder: Decoder, hidden: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy as PyTorch has it."""
    logits = decoder.logits(hidden).float()
    total = F.cross_entropy(logits, targets, reduction="sum", ignore_index=IGNORE)
    return total, (logits.argmax(-1) == targets).sum()


def switch_off(technique: str) -> type[InstructionTuning]:
    """Undo one technique in this process."""
    if technique == "blocks":
        Batch.mask, Batch.blocks = one_mask, lambda _: None  # type: ignore[assignment,method-assign]
    if technique in ("logits", "chunks"):
        steps.summed_loss = in_one_piece  # type: ignore[attr-defined]
    return EveryLogit if technique == "logits" else InstructionTuning


def prepared(folder: Path, samples: list[Sample], off: str) -> tuple[InstructionTuning, torch.optim.Optimizer]:
    """The task without the technique ``off``, and its optimizer."""
    kind = switch_off(off)
    model = load_model(folder / "model", dtype=torch.float32).model.train()
    assert model.vision is not None
    seen = SeenPictures(folder / "features", model.vision) if off == "kept" else None
    task = kind(model, seen=seen)
    groups = choose_parts(task, model, PARTS, 0.0)  # type: ignore[arg-type]
    if seen is not None:
        for sample in samples:
            if sample.picture is not None:
                seen.features([torch.from_numpy(sample.tile())], [sample.hash()])
    if off == "tower":
        model.vision.requires_grad_(True)
    if off == "layer":
        spare = VisionLayer(model.vision.config).requires_grad_(False)
        model.vision.register_forward_hook(lambda _module, _tiles, features: (spare(features), features)[1])
    return task, torch.optim.AdamW(groups, betas=(0.9, 0.999), fused=off != "fused")


def train_once(folder: Path, batch: int, off: str, record: Path | None) -> dict[str, Any]:
    """One epoch without the technique ``off``; the samples of each step go to ``record``."""
    samples: list[Sample] = torch.load(folder / "samples.pt", weights_only=False)
    task, optimizer = prepared(folder, samples, off)
    rows, which = Rows(samples), Order(batch, 0, 0)
    task.loss(task.collate([rows[0], rows[1]])).value.backward()  # what is set up once is not the first step's to pay
    if record is not None:
        record.write_text(json.dumps(list(batches(Places(samples), which, list))))
    cut = partial(portion, task.collate, pack=0 if off == "pack" else PACK)
    losses = []
    began = time.monotonic()
    for portions in batches(rows, which, cut, workers=0 if off == "workers" else 1):
        losses.append(take_step(task, optimizer, portions.batches, 1.0, 1.0).loss)
    return {
        "samples_per_s": len(losses) * batch / (time.monotonic() - began),
        "peak_rss_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "losses": losses,
    }


def make(folder: Path, layers: int, hidden: int, count: int) -> dict[str, Any]:
    """Random weights as transformers saves them, and the samples; returns what was made."""
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

    text = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        intermediate_size=hidden * 11 // 4,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        num_key_value_heads=hidden // 64,
        max_position_embeddings=2048,
        tie_word_embeddings=False,
    )
    tower = CLIPVisionConfig(
        hidden_size=256,
        intermediate_size=1024,
        num_hidden_layers=6,
        num_attention_heads=4,
        image_size=SIDE,
        patch_size=PATCH,
    )
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration(
        LlavaConfig(vision_config=tower, text_config=text, image_token_index=VOCABULARY - 1)
    )
    model.save_pretrained(folder / "model")
    samples = draw(count, seed=0)
    torch.save(samples, folder / "samples.pt")
    parts = {name: sum(p.numel() for p in part.parameters()) for name, part in model.model.named_children()}
    parts["lm_head"] = model.lm_head.weight.numel()
    return {"layers": layers, "hidden": hidden, "weights": parts, **summary(samples)}


@dataclass(frozen=True)
class Runs:
    """Starts each run as a process of its own."""

    folder: Path
    batch: int

    def ours(self, *words: str) -> dict[str, Any]:
        return self._run(__file__, "--child", str(self.folder), "--batch", str(self.batch), *words)

    def theirs(self, *words: str) -> dict[str, Any]:
        peer = str(Path(__file__).with_name("peer_trainer.py"))
        return self._run(peer, str(self.folder), "--batch", str(self.batch), "--rate", str(RATE), *words)

    def _run(self, *words: str) -> dict[str, Any]:
        done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stderr)
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result


def check_equal(runs: Runs) -> float:
    """The greatest difference between the losses of the same steps; ends the program if it is too great."""
    record = runs.folder / "steps.json"
    ours = runs.ours("--record", str(record))["losses"]
    theirs = runs.theirs("--steps", str(record))["losses"]
    worst = max(abs(one - other) for one, other in zip(ours, theirs, strict=True))
    print(f"{len(ours)} steps, loss {ours[0]:.6f} to {ours[-1]:.6f}: greatest difference {worst:.1e}")
    if worst > 1e-5:
        sys.exit("the losses differ, so speeds cannot be compared")
    return worst


def compare(runs: Runs, repeats: int) -> dict[str, dict[str, Any]]:
    """Both, in alternating order: samples/s and peak memory, median and all."""
    found: dict[str, list[dict[str, Any]]] = {"pumice": [], "transformers": []}
    starts = {"pumice": runs.ours, "transformers": runs.theirs}
    for repeat in range(repeats):
        for name in sorted(starts, reverse=repeat % 2 == 1):
            found[name].append(starts[name]())
    table = {}
    for name, each in found.items():
        speeds = [run["samples_per_s"] for run in each]
        table[name] = {
            "samples_per_s": round(statistics.median(speeds), 3),
            "slowest": round(min(speeds), 3),
            "fastest": round(max(speeds), 3),
            "peak_rss_gib": round(statistics.median(run["peak_rss_gib"] for run in each), 3),
        }
        print(f"{name:14}" + "  ".join(f"{key} {value}" for key, value in table[name].items()), flush=True)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=256, help="a multiple of 64")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=8, help="samples a step")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--without", nargs="*", choices=ABLATIONS.values(), default=[*ABLATIONS.values()])
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--off", default="", help=argparse.SUPPRESS)
    parser.add_argument("--record", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        print(json.dumps(train_once(options.child, options.batch, options.off, options.record)))
        return
    with tempfile.TemporaryDirectory() as name:
        made = make(Path(name), options.layers, options.hidden, options.steps * options.batch)
        print(made, flush=True)
        runs = Runs(Path(name), options.batch)
        worst = check_equal(runs)
        table = compare(runs, options.repeats)
        ratio = table["pumice"]["samples_per_s"] / table["transformers"]["samples_per_s"]
        print(f"ratio {ratio:.2f}", flush=True)
        rows = {}
        wanted = {label: each for label, each in ABLATIONS.items() if each in options.without}
        for label, technique in wanted.items():
            run = runs.ours("--off", technique)
            rows[label] = {key: round(run[key], 3) for key in ("samples_per_s", "peak_rss_gib")}
            print(f"{label:60}{rows[label]}", flush=True)
    mix = {part.name: part.weight for part in MIX}
    result = {**made, "mix": mix, "worst_difference": worst, **table, "ratio": round(ratio, 3), "without": rows}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
