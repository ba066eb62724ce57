"""Kept features: the same numbers without the tower's work."""

from __future__ import annotations

from pathlib import Path

import torch

import tiny
from pumice.data.batch import Batch, collate
from pumice.data.packing import pack
from pumice.model.llava import Llava
from pumice.train.seen import SeenPictures
from pumice.train.step import InstructionTuning


def mosaics(*seeds: int) -> Batch:
    read = tiny.processor(mode="anyres", merge="spatial_unpad")
    return collate([pack([read(tiny.question("Sky?", seed).then_answer("Red."))]) for seed in seeds])


def watched(folder: Path, model: Llava) -> tuple[InstructionTuning, list[int]]:
    """A task that keeps features, and how many tiles its tower was shown each time."""
    shown: list[int] = []
    assert model.vision is not None
    model.vision.requires_grad_(False)
    task = InstructionTuning(model, seen=SeenPictures(folder, model.vision))
    model.vision.register_forward_hook(lambda _, inputs, __: shown.append(len(inputs[0])))
    return task, shown


def test_the_same_loss_without_looking_again(tmp_path: Path) -> None:
    batch = mosaics(1, 2, 1)
    plain = InstructionTuning(tiny.model())
    assert plain.model.vision is not None
    plain.model.vision.requires_grad_(False)
    wanted = plain.loss(batch).value
    wanted.backward()  # type: ignore[no-untyped-call]
    task, shown = watched(tmp_path, tiny.model())
    tiles = len(batch.tiles[0]) + len(batch.tiles[1])
    for _ in range(2):
        task.zero_grad()
        loss = task.loss(batch).value
        loss.backward()  # type: ignore[no-untyped-call]
        torch.testing.assert_close(loss, wanted, rtol=0, atol=1e-6)
        for (name, one), other in zip(task.named_parameters(), plain.parameters(), strict=True):
            if other.grad is not None:
                assert one.grad is not None
                torch.testing.assert_close(one.grad, other.grad, rtol=1e-5, atol=1e-6, msg=name)
    assert shown == [tiles]
    task.loss(mosaics(2, 3))
    assert len(shown) == 2 and shown[1] == len(mosaics(3).tiles[0])
    again, seen = watched(tmp_path, tiny.model())
    torch.testing.assert_close(again.loss(batch).value, wanted, rtol=0, atol=1e-6)
    assert seen == []


def test_another_tower_sees_for_itself(tmp_path: Path) -> None:
    for seed in (1, 2):
        task, shown = watched(tmp_path, tiny.model(seed))
        task.loss(mosaics(1))
        assert len(shown) == 1
    assert len(list(tmp_path.iterdir())) == 2


def test_a_damaged_file_is_made_again(tmp_path: Path) -> None:
    task, shown = watched(tmp_path, tiny.model())
    wanted = task.loss(mosaics(1)).value
    (file,) = tmp_path.rglob("*.safetensors")
    file.write_bytes(file.read_bytes()[:50])
    assert torch.equal(task.loss(mosaics(1)).value, wanted) and len(shown) == 2
    assert torch.equal(task.loss(mosaics(1)).value, wanted) and len(shown) == 2
