"""All stages, from a recipe to a folder that answers, at the smallest scale."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import tiny
from pumice.checkpoint.load import load_checkpoint
from pumice.engine.engine import Engine
from pumice.errors import ModelError, UsageError
from pumice.options import SamplingOptions
from pumice.prompts.conversation import Conversation, Image
from pumice.train.recipe import FileData, LanguageShape, Recipe, Start, VisionShape, WorldData
from pumice.train.run import prepare, train
from pumice.world.records import write_llava_json
from train import small

VISION = VisionShape(image_size=28, patch_size=14, hidden_size=32, intermediate_size=48, layers=2, heads=2)
LANGUAGE = LanguageShape(vocab_size=600, hidden_size=32, intermediate_size=48, layers=2, heads=4, kv_heads=2)
BATCHES = {"batch": 4, "threads": 0, "log_every": 1, "workers": 0}


@pytest.fixture(autouse=True)
def few_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tokenizer learned from few scenes takes no time."""
    monkeypatch.setattr("pumice.train.run.CORPUS_SCENES", 20)


def world(task: str) -> WorldData:
    return WorldData(task=task, scenes=8, questions=3, sizes=(96,))  # type: ignore[arg-type]


def captions(folder: Path, **start: object) -> Recipe:
    return Recipe(
        output=folder,
        start=Start(vision=VISION, language=LANGUAGE, **start),  # type: ignore[arg-type]
        template="plain",
        parts={"vision": 1e-3, "connector": 1e-3, "language": 1e-3},
        world=world("caption"),
        **BATCHES,  # type: ignore[arg-type]
    )


def test_three_stages_and_own_data(tmp_path: Path) -> None:
    patches = Recipe(
        output=tmp_path / "0",
        start=Start(vision=VISION, language=LANGUAGE),
        template="plain",
        parts={"vision": 1e-3},
        world=world("patches"),
        **BATCHES,  # type: ignore[arg-type]
    )
    said: list[str] = []
    tower = train(patches, said.append)
    assert tower.is_file() and len(said) == 2

    first = captions(tmp_path / "1", tower=tower)
    begun = prepare(first).model.vision
    assert begun is not None and not torch.equal(
        begun.patch_embedding.weight,
        prepare(captions(tmp_path / "1")).model.vision.patch_embedding.weight,  # type: ignore[union-attr]
    )
    folder = train(first, said.append)
    assert load_checkpoint(folder).processor.template.name == "plain"

    second = Recipe(
        output=tmp_path / "2",
        start=Start(folder=folder),
        template="vicuna_v1",
        parts={"language": 1e-3},
        world=world("instruct"),
        **BATCHES,  # type: ignore[arg-type]
    )
    tuned = train(second, said.append)

    records = write_llava_json(tmp_path / "own", "train", 0, 5, side=96)
    third = Recipe(
        output=tmp_path / "3",
        start=Start(folder=tuned),
        template="vicuna_v1",
        parts={"connector": 1e-3},
        files=FileData(records=records, images=records.parent / "images"),
        epochs=2,
        **BATCHES,  # type: ignore[arg-type]
    )
    own = train(third, said.append)
    assert [json.loads(line)["step"] for line in said] == [1, 2] * 4

    before, after = load_checkpoint(tuned).model.state_dict(), load_checkpoint(own).model.state_dict()
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"connector"}
    found = Engine.load(own, device="cpu")
    asked = Conversation.ask("What does the picture show?", (Image(tiny.picture(1)),))
    assert found.ask(asked, SamplingOptions(max_tokens=5)).usage.image_tokens == 4

    assert train(third, said.append) == own and len(said) == 8, "a finished run has nothing left to do"


def test_everything_thrifty(tmp_path: Path) -> None:
    """Packed, in bfloat16, with layers computed again, averaged and cut to fit: from a recipe to a folder."""
    begun = train(captions(tmp_path / "1"), lambda _: None)
    records = write_llava_json(tmp_path / "own", "train", 0, 5, side=96)
    recipe = Recipe(
        output=tmp_path / "2",
        start=Start(folder=begun),
        template="vicuna_v1",
        parts={"language": 1e-2},
        files=FileData(records=records, images=records.parent / "images"),
        epochs=2,
        average=0.9,
        dtype="bfloat16",
        max_tokens=140,
        pack=300,
        recompute={"language": 2},
        **BATCHES,  # type: ignore[arg-type]
    )
    said: list[str] = []
    folder = train(recipe, said.append)
    log = json.loads(said[-1])
    assert log["cut"] > 0 and log["skipped"] == 0 and log["loss"] > 0
    tensors = small.state_of(recipe.output)["tensors"]
    averages = [tensor for name, tensor in tensors.items() if name.endswith(":average")]
    saved = load_checkpoint(folder, dtype=torch.float32).model
    final = {name.removeprefix("weight:model."): tensor for name, tensor in tensors.items()}
    learned = [name for name, _ in saved.named_parameters() if name.startswith("language")]
    assert len(averages) == len(learned)
    moved = [name for name in learned if not torch.equal(saved.state_dict()[name], final[name])]
    assert moved and all(any(torch.equal(saved.state_dict()[name], each) for each in averages) for name in moved)


def test_too_few_rows(tmp_path: Path) -> None:
    recipe = captions(tmp_path).model_copy(update={"batch": 9})
    with pytest.raises(UsageError, match="a batch of 9 rows needs more data than the 8 rows"):
        train(recipe, print)


def test_a_tower_of_another_shape(tmp_path: Path) -> None:
    (tmp_path / "tower.safetensors").write_bytes(b"nothing of the kind")
    for name in ("tower.safetensors", "missing.safetensors"):
        with pytest.raises(ModelError, match="not a vision tower"):
            prepare(captions(tmp_path, tower=tmp_path / name))


def test_too_small_a_vocabulary(tmp_path: Path) -> None:
    recipe = captions(tmp_path)
    small = recipe.start.model_copy(update={"language": LANGUAGE.model_copy(update={"vocab_size": 100})})
    with pytest.raises(UsageError, match="the model room for 100"):
        prepare(recipe.model_copy(update={"start": small}))
