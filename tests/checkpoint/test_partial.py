"""Projectors, adapters and new tokens over the base model that they were trained on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import tiny
from checkpoint.edits import edit, split
from pumice.checkpoint.convert import convert
from pumice.checkpoint.load import load_checkpoint, load_model
from pumice.errors import ModelError

WRAP = ("<im_start>", "<im_end>")


def test_a_projector_over_its_base(original: Path, tmp_path: Path) -> None:
    expected = load_model(original).model.state_dict()
    base, projector = split(original, tmp_path)
    for found in (
        load_model(projector, base=base, vision_tower=tmp_path / "tower"),
        load_model(projector, vision_tower=tmp_path / "tower"),  # its config names the base
    ):
        assert all(torch.equal(tensor, expected[name]) for name, tensor in found.model.state_dict().items())
    with pytest.raises(ModelError, match="needs its vision tower") as caught:
        load_model(projector)
    assert "--vision-tower" in str(caught.value.hint)
    edit(projector / "config.json", _name_or_path="DELETE")
    with pytest.raises(ModelError, match="does not name the rest") as caught:
        load_model(projector, vision_tower=tmp_path / "tower")
    assert "--base" in str(caught.value.hint)


def test_a_base_given_by_the_caller_counts_from_where_they_are(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, projector = split(original, tmp_path)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert load_model(projector, base="base", vision_tower="tower").model  # not here, so beside the checkpoint
    shutil.copytree(base, here / "base")
    edit(base / "config.json", attention_bias=True)
    assert load_model(projector, base="base", vision_tower="tower").model
    with pytest.raises(ModelError, match="needs its base model") as caught:
        load_model(projector, base=base, vision_tower="tower")
    assert caught.value.hint == "name it with --base"  # the cause has no advice of its own


def test_a_part_that_names_itself_as_its_base(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "."}))
    with pytest.raises(ModelError, match="needs its base model: it names itself"):
        load_model(tmp_path)


@pytest.mark.parametrize("stored", ["all", "two", "same"])
def test_a_projector_with_new_rows(stored: str, original: Path, tmp_path: Path) -> None:
    base, projector = split(original, tmp_path)
    tensors = torch.load(projector / "mm_projector.bin", weights_only=True)
    old = load_file(base / "model.safetensors")["model.embed_tokens.weight"]
    new = torch.randn(2, old.shape[1])
    tensors["model.embed_tokens.weight"] = {"all": torch.cat((old, new)), "two": new, "same": old + 1}[stored]
    torch.save({f"base_model.model.{k}": v for k, v in tensors.items() if "mm_" in k}
               | {k: v for k, v in tensors.items() if "mm_" not in k}, projector / "mm_projector.bin")  # fmt: skip
    found = load_model(projector, base=base, vision_tower=tmp_path / "tower").model
    expected = old + 1 if stored == "same" else torch.cat((old, new))
    assert torch.equal(found.language.embed_tokens.weight, expected)
    head = load_file(base / "model.safetensors")["lm_head.weight"]
    assert found.language.lm_head.weight.shape == expected.shape
    assert torch.equal(found.language.lm_head.weight[: len(head)], head)
    if stored != "same":
        torch.testing.assert_close(found.language.lm_head.weight[-1], head.mean(dim=0))
    tensors["model.embed_tokens.weight"] = torch.zeros(7, old.shape[1])
    torch.save(tensors, projector / "mm_projector.bin")
    with pytest.raises(ModelError, match="embeddings must have"):
        load_model(projector, base=base, vision_tower=tmp_path / "tower")


@pytest.mark.parametrize("patch", [None, True, False])
@pytest.mark.parametrize("stored", ["all", "two"])
def test_new_tokens_around_pictures(stored: str, patch: bool | None, original: Path, tmp_path: Path) -> None:
    """The first stage saves their embeddings and no tokenizer; which names they have is told by the config alone."""
    base, projector = split(original, tmp_path)
    edit(projector / "config.json", mm_use_im_start_end=True)
    edit(projector / "config.json", mm_use_im_patch_token="DELETE" if patch is None else patch)
    names = WRAP if patch is False else ("<im_patch>", *WRAP)
    tensors = torch.load(projector / "mm_projector.bin", weights_only=True)
    old = load_file(base / "model.safetensors")["model.embed_tokens.weight"]
    count = len(old)
    assert tiny.tokenizer().size == count
    new = torch.randn(len(names), old.shape[1])
    tensors["model.embed_tokens.weight"] = torch.cat((old, new)) if stored == "all" else new[-2:].clone()
    torch.save(tensors, projector / "mm_projector.bin")
    found = load_checkpoint(projector, base=base, vision_tower=tmp_path / "tower")
    known = found.processor.tokenizer
    assert [known.special_id(name) for name in names] == list(range(count, count + len(names)))
    assert known.size == count + len(names) == found.model.config.language.vocab_size
    rows = found.model.language.embed_tokens.weight
    assert torch.equal(rows[:count], old) and torch.equal(rows[-2:], new[-2:])
    ids = list(found.processor(tiny.question("How many?", 1)).ids)
    start, end = ids.index(count + len(names) - 2), ids.index(count + len(names) - 1)
    assert end - start == 1 + 4 and ids.count(ids[start]) == ids.count(ids[end]) == 1
    convert(projector, tmp_path / "joined", "pumice", base=base, vision_tower=tmp_path / "tower")
    again = load_checkpoint(tmp_path / "joined")  # the tokenizer is saved with the new names
    assert list(again.processor(tiny.question("How many?", 1)).ids) == ids


def test_new_tokens_whose_embeddings_are_not_there(original: Path, tmp_path: Path) -> None:
    base, projector = split(original, tmp_path)
    edit(projector / "config.json", mm_use_im_start_end=True)
    with pytest.raises(ModelError, match="the tokenizer has ids up to"):
        load_checkpoint(projector, base=base, vision_tower=tmp_path / "tower")


def test_a_base_with_more_rows_than_tokens(original: Path, tmp_path: Path) -> None:
    """The original cuts such rows off before it adds its own, so the ids of the new ones count from the tokenizer."""
    base, projector = split(original, tmp_path)
    edit(projector / "config.json", mm_use_im_start_end=True, mm_use_im_patch_token=False)
    tensors = load_file(base / "model.safetensors")
    old = tensors["model.embed_tokens.weight"]
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        tensors[name] = torch.cat((tensors[name], torch.zeros(32, old.shape[1])))
    save_file(tensors, base / "model.safetensors")
    edit(base / "config.json", vocab_size=len(old) + 32)
    stored = torch.load(projector / "mm_projector.bin", weights_only=True)
    new = torch.randn(2, old.shape[1])
    torch.save({**stored, "model.embed_tokens.weight": new}, projector / "mm_projector.bin")
    found = load_checkpoint(projector, base=base, vision_tower=tmp_path / "tower")
    assert torch.equal(found.model.language.embed_tokens.weight, torch.cat((old, new)))
    assert found.processor.tokenizer.special_id("<im_end>") == len(old) + 1
