"""Beginning with what others have made: whole models, and parts that are joined here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
from pumice.checkpoint.convert import convert
from pumice.checkpoint.load import load_checkpoint
from pumice.checkpoint.save import save_checkpoint
from pumice.errors import ModelError, UsageError
from pumice.images.config import Mode
from pumice.train.recipe import FileData, Join, Recipe, Start
from pumice.train.run import prepare, train
from pumice.train.starting import base_of
from pumice.world.records import write_llava_json


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_checkpoint(tiny.model(newline=False), tiny.processor("plain", mode="square"), tmp_path / "base")
    return tmp_path / "base"


def recipe(tmp_path: Path, **changes: Any) -> Recipe:
    values: dict[str, Any] = {
        "output": tmp_path / "run",
        "start": Start(folder=tmp_path / "base"),
        "template": "vicuna_v1",
        "parts": {"connector": 1e-2},
        "files": FileData(records=tmp_path / "own" / "records.json", images=tmp_path / "own" / "images"),
        "batch": 4,
        "workers": 0,
        **changes,
    }
    return Recipe(**values)


def test_as_the_folder_says(tmp_path: Path, folder: Path) -> None:
    found = prepare(recipe(tmp_path))
    how = found.processor.preprocessing
    assert how is not None and how.mode == "square" and found.processor.template.name == "vicuna_v1"
    assert found.model.training and found.model.image_newline is None


@pytest.mark.parametrize("mode", ["pad", "square"])
def test_pictures_cut_in_another_way(mode: Mode, tmp_path: Path, folder: Path) -> None:
    how = prepare(recipe(tmp_path, start=Start(folder=folder, pictures=mode))).processor.preprocessing
    assert how is not None and (how.mode, how.merge, how.pinpoints) == (mode, "flat", ())


def test_mosaics_bring_a_newline(tmp_path: Path, folder: Path) -> None:
    """LLaVA-1.6 begins with the projector of 1.5: what stands behind each row of a mosaic is new, and learns."""
    write_llava_json(tmp_path / "own", "train", 0, 5, side=96)
    how = recipe(tmp_path, start=Start(folder=folder, pictures="anyres"))
    begun, again, other = (prepare(each).model.image_newline for each in (how, how, how.model_copy(update={"seed": 1})))
    assert begun is not None and again is not None and other is not None
    assert torch.equal(begun, again) and not torch.equal(begun, other)
    found = load_checkpoint(train(how, lambda _: None))
    read = found.processor.preprocessing
    assert read is not None and (read.mode, read.merge) == ("anyres", "spatial_unpad")
    assert read.pinpoints == ((28, 56), (56, 28), (56, 56), (84, 28), (28, 84))
    assert found.model.image_newline is not None and not torch.equal(found.model.image_newline, begun)
    kept = prepare(recipe(tmp_path, start=Start(folder=tmp_path / "run" / "model", pictures="anyres")))
    assert kept.model.image_newline is not None and torch.equal(kept.model.image_newline, found.model.image_newline)


def test_two_models_joined(tmp_path: Path, folder: Path) -> None:
    convert(folder, tmp_path / "original", "original")
    join = Join(language=str(folder), vision=str(tmp_path / "original" / "vision_tower"))
    for pictures, mode in ((None, "pad"), ("square", "square")):
        made = prepare(recipe(tmp_path, start=Start(join=join, pictures=pictures)))
        assert made.processor.preprocessing is not None and made.processor.preprocessing.mode == mode
        assert made.model.training and made.processor.template.name == "vicuna_v1"
        expected, found = load_checkpoint(folder).model.state_dict(), made.model.state_dict()
        assert all(torch.equal(found[name], expected[name]) for name in found if name.startswith("language."))
        assert not torch.equal(found["connector.layers.0.weight"], expected["connector.layers.0.weight"])
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="no tokenizer"):
        prepare(recipe(tmp_path, start=Start(join=join)))


def test_pictures_for_a_model_that_does_not_see(tmp_path: Path) -> None:
    save_checkpoint(tiny.model(sees=False), replace(tiny.processor(), preprocessing=None), tmp_path / "text")
    with pytest.raises(UsageError, match="a model that sees"):
        prepare(recipe(tmp_path, start=Start(folder=tmp_path / "text", pictures="pad")))


def test_what_adapters_name_as_their_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    assert base_of(Start(folder=Path("here"))) == str(tmp_path / "here")
    assert base_of(Start(folder=Path("owner/name"))) == "owner/name"
    assert base_of(Start(join=Join(language="owner/words", vision="owner/tower"))) == "owner/words"
