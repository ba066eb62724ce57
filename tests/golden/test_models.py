"""Every golden checkpoint gives the reference's logits and the reference's greedy answers."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pumice.checkpoint.load import LoadedModel, load_model
from pumice.engine.decode import Runner
from pumice.images.preprocess import preprocess

GOLDEN = Path(os.environ.get("PUMICE_GOLDEN", Path(__file__).parents[2] / "../shared/golden"))
MODELS = GOLDEN / "models"
NAMES = sorted(path.name.removesuffix(".expected.json") for path in MODELS.glob("*.expected.json"))
IMAGE_ID = -200
SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "intermediate_size")


def config_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text())


def base_of(folder: Path) -> Path | None:
    """The plain language model of the same shape, for a projector that does not name one."""
    if not (folder / "mm_projector.bin").exists():
        return None
    wanted = config_of(folder)
    for other in sorted(path for path in MODELS.iterdir() if (path / "config.json").exists()):
        config = config_of(other)
        if config["model_type"] in ("llama", "mistral") and all(config[key] == wanted[key] for key in SIZES):
            return other
    raise AssertionError(f"no base model for {folder.name} among the goldens")


@pytest.fixture(scope="module")
def loaded() -> dict[str, LoadedModel]:
    return {}


def load(name: str, loaded: dict[str, LoadedModel]) -> LoadedModel:
    if name not in loaded:
        loaded[name] = load_model(MODELS / name, base=base_of(MODELS / name), dtype=torch.float32)
    return loaded[name]


def runs() -> list[Any]:
    found = []
    for name in NAMES:
        content = json.loads((MODELS / f"{name}.expected.json").read_text())
        found += [pytest.param(name, run, id=f"{name}-{index}") for index, run in enumerate(content["runs"])]
    return found


def prepare(loaded: LoadedModel, run: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Ids [1, L] with every image position spelled out, and the features [n, D] that go there."""
    tiles, grids = [], []
    for name in run["images"]:
        how = loaded.description.preprocessing
        assert how is not None
        with Image.open(GOLDEN / "images" / name) as image:
            pixels, grid = preprocess(image, how)
        tiles.append(torch.from_numpy(pixels))
        grids.append(grid)
    counts = iter(grids)
    ids: list[int] = []
    for each in run["input_ids"]:
        ids += [each] * next(counts).tokens if each == IMAGE_ID else [each]
    assert next(counts, None) is None
    features = loaded.model.features(tiles, grids) if tiles else None
    return torch.tensor([ids]), features


@torch.inference_mode()
@pytest.mark.parametrize(("name", "run"), runs())
def test_logits_and_greedy_ids(name: str, run: dict[str, Any], loaded: dict[str, LoadedModel]) -> None:
    checkpoint = load(name, loaded)
    ids, features = prepare(checkpoint, run)
    assert ids.shape[1] == run["sequence_length"]
    logits = checkpoint.model.logits_for(ids, features)[0]
    expected = torch.from_numpy(np.load(MODELS / run["logits_file"]))
    torch.testing.assert_close(logits[-len(expected) :], expected, rtol=0, atol=1e-4)
    greedy = []
    for _ in run["greedy_12_new_ids"]:
        greedy.append(int(checkpoint.model.logits_for(ids, features)[0, -1].argmax()))
        ids = torch.cat((ids, torch.tensor([greedy[-1:]])), dim=1)
    assert greedy == run["greedy_12_new_ids"]


@torch.inference_mode()
@pytest.mark.parametrize(("name", "run"), runs())
def test_the_engine_decodes_the_same_ids_from_its_cache(
    name: str, run: dict[str, Any], loaded: dict[str, LoadedModel]
) -> None:
    checkpoint = load(name, loaded)
    ids, features = prepare(checkpoint, run)
    prompt = ids[0].tolist()
    runner = Runner(checkpoint.model)
    cache = runner.new_cache(len(prompt))
    logits = runner.prefill(prompt, 0, features, cache)
    greedy = [int(logits.argmax())]
    while len(greedy) < len(run["greedy_12_new_ids"]):
        logits = runner.step([greedy[-1]], [len(prompt) + len(greedy) - 1], [cache])[0]
        greedy.append(int(logits.argmax()))
    assert greedy == run["greedy_12_new_ids"]


def test_goldens_are_there() -> None:
    if not MODELS.is_dir():
        pytest.skip(f"no golden models in {MODELS}; set PUMICE_GOLDEN")
    assert NAMES
