"""What ``train.py`` measures, for transformers: ``Trainer`` with ``LlavaForConditionalGeneration``.

    python benchmarks/peer_trainer.py FOLDER [--steps FILE]

FOLDER holds ``model`` and ``samples.pt`` of ``train.py``. Batches are padded to their longest sample and grouped by
length, the tower is frozen, the optimizer is the fused one that is its default, and one worker process prepares
batches. ``--steps`` gives the samples of each step, in place of the trainer's own order. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from train_samples import IGNORE, VOCABULARY, Sample
from transformers import LlavaForConditionalGeneration, Trainer, TrainerCallback, TrainingArguments

IMAGE_TOKEN = VOCABULARY - 1


class Samples(torch.utils.data.Dataset[dict[str, Any]]):
    """Samples in the order of ``order``, in the words of transformers."""

    def __init__(self, samples: list[Sample], order: list[int]) -> None:
        self.samples, self.order = samples, order

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> dict[str, Any]:
        sample = self.samples[self.order[index]]
        ids = [IMAGE_TOKEN if token < 0 else token for token in sample.ids]
        return {
            "input_ids": ids,
            "labels": sample.labels,
            "tile": None if sample.picture is None else torch.from_numpy(sample.tile()),
        }


def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Pad on the right; pictures of the rows that have one."""
    longest = max(len(row["input_ids"]) for row in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.int64)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, IGNORE)
    for at, row in enumerate(rows):
        used = len(row["input_ids"])
        ids[at, :used], labels[at, :used] = torch.tensor(row["input_ids"]), torch.tensor(row["labels"])
        mask[at, :used] = 1
    batch = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    tiles = [row["tile"] for row in rows if row["tile"] is not None]
    if tiles:
        batch["pixel_values"] = torch.cat(tiles)
    return batch


class Timed(Trainer):
    """Remembers the loss of every step."""

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.losses: list[float] = []

    def training_step(self, *values: Any, **named: Any) -> torch.Tensor:
        loss = super().training_step(*values, **named)
        self.losses.append(float(loss))
        return loss


class Clock(TrainerCallback):
    """Runs from before the first sample is read to the end of the last step."""

    began = ended = 0.0

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.began = time.monotonic()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.ended = time.monotonic()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--steps", type=Path)
    options = parser.parse_args()
    samples: list[Sample] = torch.load(options.folder / "samples.pt", weights_only=False)
    order = list(range(len(samples)))
    if options.steps is not None:
        order = [index for step in json.loads(options.steps.read_text()) for index in step]
    model = LlavaForConditionalGeneration.from_pretrained(options.folder / "model", dtype=torch.float32)
    model.model.vision_tower.requires_grad_(False)
    data = Samples(samples, order)
    # The first step would pay for what is set up once.
    model(**collate([data[index] for index in range(2)])).loss.backward()
    model.zero_grad()
    clock = Clock()
    with tempfile.TemporaryDirectory() as output:
        arguments = TrainingArguments(
            output,
            per_device_train_batch_size=options.batch,
            num_train_epochs=1,
            learning_rate=options.rate,
            lr_scheduler_type="constant",
            max_grad_norm=1.0,
            train_sampling_strategy="sequential" if options.steps else "group_by_length",
            remove_unused_columns=False,
            dataloader_drop_last=True,
            dataloader_num_workers=1,
            dataloader_pin_memory=False,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
        )
        trainer = Timed(model=model, args=arguments, train_dataset=data, data_collator=collate, callbacks=[clock])
        trainer.train()
    result = {
        "samples_per_s": len(trainer.losses) * options.batch / (clock.ended - clock.began),
        "peak_rss_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "losses": trainer.losses,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
