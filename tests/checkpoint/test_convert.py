"""Round trips between the three layouts lose no tensor, on our models and on the golden checkpoints."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from transformers import CLIPVisionModel

import tiny
from pumice.checkpoint.convert import Options, Target, convert
from pumice.checkpoint.files import LazyTensor, open_file, open_folder
from pumice.checkpoint.load import load_checkpoint, load_model
from pumice.checkpoint.save import save_checkpoint
from pumice.checkpoint.sources import Source, open_checkpoint
from pumice.errors import ModelError, UsageError

GOLDEN = Path(os.environ.get("PUMICE_GOLDEN", Path(__file__).parents[2] / "../shared/golden")) / "models"
TARGETS: tuple[Target, ...] = ("original", "llava-hf", "pumice")


def whole_models() -> list[Path]:
    """The golden checkpoints that name a vision tower and need no base."""
    folders = sorted(path.parent for path in GOLDEN.glob("*/config.json"))
    return [
        path
        for path in folders
        if "mm_vision_tower" in json.loads((path / "config.json").read_text()) and list(path.glob("*.index.json"))
    ]


def read(tensors: Mapping[str, LazyTensor], rows: int) -> dict[str, torch.Tensor]:
    """The tensors, vocabularies without the rows that a layout added."""
    read = {name: tensor.read() for name, tensor in tensors.items()}
    return {
        name: t[:rows] if name.endswith(("embed_tokens.weight", "lm_head.weight")) else t for name, t in read.items()
    }


def check_same(first: Source, second: Source) -> None:
    rows = first.description.model.language.vocab_size
    ours, theirs = read(first.tensors, rows), read(second.tensors, rows)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert tensor.dtype == theirs[name].dtype and torch.equal(tensor, theirs[name]), name
    assert first.description.preprocessing == second.description.preprocessing
    assert first.description.template == second.description.template
    assert first.description.model.vision == second.description.model.vision
    assert first.description.generation == second.description.generation


@pytest.mark.parametrize("folder", whole_models(), ids=lambda path: path.name)
def test_goldens_through_every_layout(folder: Path, tmp_path: Path) -> None:
    first = open_checkpoint(folder)
    assert "vision.post_norm.weight" in first.tensors
    connector = first.description.model.connector
    at: str | Path = folder
    for step, to in enumerate((*TARGETS, *reversed(TARGETS))):
        if to == "llava-hf" and connector is not None and connector.kind == "linear":
            with pytest.raises(ModelError, match="mlp2x_gelu"):
                convert(at, tmp_path / "no", to)
            continue
        convert(at, tmp_path / f"{step}", to)
        at = tmp_path / f"{step}"
        check_same(first, open_checkpoint(at))


@pytest.mark.parametrize("to", TARGETS)
@pytest.mark.parametrize("newline", [False, True])
def test_ours_through_another_layout(to: Target, newline: bool, tmp_path: Path) -> None:
    """The tower of a trained model ends at the layer that is read; what is read stays equal."""
    reading = {"mode": "anyres", "merge": "spatial_unpad"} if newline else {}
    processor = tiny.processor("llava_v1", **reading)  # type: ignore[arg-type]
    model = tiny.model(newline=newline)
    save_checkpoint(model, processor, tmp_path / "ours")
    convert(tmp_path / "ours", tmp_path / "theirs", to)
    convert(tmp_path / "theirs", tmp_path / "back", "pumice")
    found = load_checkpoint(tmp_path / "back")
    assert found.processor.template == processor.template
    inputs = processor(tiny.question("What?", 1, 2))
    assert found.processor(tiny.question("What?", 1, 2)).ids == inputs.ids
    ids = torch.tensor([inputs.ids])
    expected = model.logits_for(ids, tiny.features(model, inputs))
    logits = found.model.logits_for(ids, tiny.features(found.model, inputs))
    assert torch.equal(logits[..., : expected.shape[-1]], expected)


def test_new_rows_are_the_mean(tmp_path: Path) -> None:
    save_checkpoint(tiny.model(newline=False), tiny.processor(), tmp_path / "ours")
    convert(tmp_path / "ours", tmp_path / "hf", "llava-hf")
    found = load_checkpoint(tmp_path / "hf")
    size = tiny.tokenizer().size
    config = json.loads((tmp_path / "hf" / "config.json").read_text())
    assert (config["image_token_index"], config["pad_token_id"]) == (size, size + 1)
    assert found.processor.tokenizer.special_id("<image>") == size
    weight, old = found.model.language.embed_tokens.weight, tiny.model(newline=False).language.embed_tokens.weight
    assert len(weight) % 64 == 0 and len(weight) > len(old)
    torch.testing.assert_close(weight[-1], old.mean(dim=0))
    convert(tmp_path / "hf", tmp_path / "again", "llava-hf")  # the tokens are there already
    again = json.loads((tmp_path / "again" / "config.json").read_text())
    assert again == config


def test_storage_type_shards_and_the_lone_projector(tmp_path: Path) -> None:
    save_checkpoint(tiny.model(newline=False), tiny.processor(), tmp_path / "ours")
    options = Options(dtype=torch.float16, projector_file=True, shard_bytes=30_000, template="v1")
    convert(tmp_path / "ours", tmp_path / "original", "original", options)
    assert {tensor.dtype for tensor in open_checkpoint(tmp_path / "original").tensors.values()} == {torch.float16}
    assert len(list((tmp_path / "original").glob("model-*.safetensors"))) > 1
    projector = open_file(tmp_path / "original" / "mm_projector.bin")
    assert sorted(projector) == [
        f"model.mm_projector.{stage}.{part}" for stage in (0, 2) for part in ("bias", "weight")
    ]
    assert open_checkpoint(tmp_path / "original").description.template == "vicuna_v1"


def test_refusals_leave_nothing_behind(tmp_path: Path) -> None:
    save_checkpoint(tiny.model(), tiny.processor(mode="anyres", merge="flat"), tmp_path / "ours")
    with pytest.raises(ModelError, match="merge tiles as spatial_unpad"):
        convert(tmp_path / "ours", tmp_path / "x", "llava-hf")
    with pytest.raises(UsageError, match="unknown layout"):
        convert(tmp_path / "ours", tmp_path / "x", "gguf")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="exists already"):
        convert(tmp_path / "ours", tmp_path / "ours", "original")
    assert [path.name for path in tmp_path.iterdir()] == ["ours"]
    convert(tmp_path / "ours", tmp_path / "ours", "original", Options(overwrite=True))
    assert open_checkpoint(tmp_path / "ours").kind == "LLaVA"


@pytest.mark.parametrize("folder", whole_models(), ids=lambda path: path.name)
def test_the_original_layout_has_the_originals_names(folder: Path, tmp_path: Path) -> None:
    convert(folder, tmp_path / "original", "original")
    written = set(open_folder(tmp_path / "original"))
    read = set(open_folder(folder))
    prefix = "model.vision_tower.vision_tower.vision_model."
    assert read <= written and all(name.startswith(prefix) for name in written - read)


def test_the_tower_of_the_original_layout_is_a_clip_model(tmp_path: Path) -> None:
    """The original builds its tower from this folder before it reads the checkpoint; so does transformers."""
    made = tiny.model(newline=False)
    save_checkpoint(made, tiny.processor(), tmp_path / "ours")
    convert(tmp_path / "ours", tmp_path / "original", "original")
    config = json.loads((tmp_path / "original" / "config.json").read_text())
    place = tmp_path / "original" / config["mm_vision_tower"]
    tower, info = CLIPVisionModel.from_pretrained(place, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    pixels = torch.randn(1, 3, tiny.SIDE, tiny.SIDE, generator=torch.Generator().manual_seed(0))
    assert made.vision is not None
    states = tower(pixels, output_hidden_states=True).hidden_states[config["mm_vision_select_layer"]]
    torch.testing.assert_close(made.vision(pixels), states[:, 1:], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "folder", sorted(path.parent for path in GOLDEN.glob("*/adapter_config.json")), ids=lambda p: p.name
)
def test_an_adapter_becomes_a_whole_model(folder: Path, tmp_path: Path) -> None:
    convert(folder, tmp_path / "merged", "pumice")
    merged, expected = load_model(tmp_path / "merged").model, load_model(folder).model
    assert merged.config == expected.config
    for name, tensor in expected.state_dict().items():
        assert torch.equal(merged.state_dict()[name], tensor), name


def test_only_a_checkpoint_is_replaced(tmp_path: Path) -> None:
    """A folder that holds models is easily named instead of one model."""
    ours = tmp_path / "ours"
    save_checkpoint(tiny.model(), tiny.processor(), ours)
    models = tmp_path / "models"
    models.mkdir()
    convert(ours, models, "pumice", Options(overwrite=True))  # empty: nothing is lost
    convert(ours, models, "pumice", Options(overwrite=True))
    shelf = tmp_path / "shelf"
    (shelf / "other").mkdir(parents=True)
    (shelf / "other" / "file").write_text("precious")
    with pytest.raises(UsageError, match="will not be replaced"):
        convert(ours, shelf, "pumice", Options(overwrite=True))
    assert (shelf / "other" / "file").read_text() == "precious"
