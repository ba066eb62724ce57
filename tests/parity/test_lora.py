"""Adapters merge as the PEFT library merges them; what would need another rule is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
from pumice.checkpoint.adapter import save_adapter
from pumice.checkpoint.convert import convert
from pumice.checkpoint.load import load_model
from pumice.checkpoint.save import save_checkpoint
from pumice.errors import ModelError
from pumice.model.lora import Lora, LoraLinear, adapters, put_adapters

from .oracle import VOCABULARY, save, scramble, text_config, transformers

peft = pytest.importorskip("peft", reason="PEFT is the oracle for adapters; install pumice[dev]")

IDS = torch.randint(3, 100, (2, 20), generator=torch.Generator().manual_seed(1))


def adapter(tmp_path: Path, **changes: Any) -> Any:
    """A base model in ``base`` and a random adapter in ``adapter``; returns PEFT's own model."""
    base = scramble(transformers.LlamaForCausalLM(text_config()), seed=21)
    save(base, tmp_path / "base")
    options = {"r": 4, "lora_alpha": 6, "target_modules": ["q_proj", "v_proj", "down_proj"], **changes}
    model = peft.get_peft_model(base, peft.LoraConfig(task_type="CAUSAL_LM", **options))
    generator = torch.Generator().manual_seed(22)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    model.save_pretrained(tmp_path / "adapter")
    edit(tmp_path / "adapter", base_model_name_or_path="base")
    return model.eval()


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


MERGED: list[dict[str, Any]] = [
    {},
    {"use_rslora": True},
    {"r": 2, "lora_alpha": 16},
    {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"v_proj": 1}},
    {"rank_pattern": {"layers.1.self_attn.q_proj": 1, "q_proj": 3}, "alpha_pattern": {"proj": 9, "q_proj": 5}},
]


@torch.inference_mode()
@pytest.mark.parametrize("changes", MERGED, ids=str)
def test_merged(changes: dict[str, Any], tmp_path: Path) -> None:
    theirs = adapter(tmp_path, **changes)
    ids = torch.randint(3, VOCABULARY, (2, 20), generator=torch.Generator().manual_seed(1))
    expected = theirs(input_ids=ids).logits
    plain = load_model(tmp_path / "base").model.logits_for(ids)
    found = load_model(tmp_path / "adapter").model.logits_for(ids)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=2e-4)
    assert not torch.allclose(found, plain, atol=1e-2)


@torch.inference_mode()
def test_merged_in_fp32_then_cast(tmp_path: Path) -> None:
    adapter(tmp_path)
    exact = load_model(tmp_path / "adapter").model.state_dict()
    half = load_model(tmp_path / "adapter", dtype=torch.bfloat16).model.state_dict()
    assert all(torch.equal(half[name], tensor.to(torch.bfloat16)) for name, tensor in exact.items())


REFUSED = [
    {"use_dora": True},
    {"modules_to_save": ["lm_head"]},
    {"alpha_pattern": {"q_.*": 3}},
    {"rank_pattern": {"q_proj|v_proj": 3}},
    {"rank_pattern": {"q_proj": 0}},
    {"alpha_pattern": ["q_proj"]},
    {"fan_in_fan_out": True},
    {"bias": "all"},
    {"init_lora_weights": "pissa"},
    {"peft_type": "IA3"},
    {"r": 0},
    {"layer_replication": [[0, 1]]},
]


@pytest.mark.parametrize("changes", REFUSED, ids=str)
def test_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    adapter(tmp_path)
    edit(tmp_path / "adapter", **changes)
    with pytest.raises(ModelError, match=r"adapter_config\.json"):
        load_model(tmp_path / "adapter")


def test_factors_that_do_not_fit(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    adapter(tmp_path)
    path = tmp_path / "adapter" / "adapter_model.safetensors"
    factors = load_file(path)
    first = next(name for name in factors if "lora_A" in name)
    save_file({**factors, first: torch.zeros(4, 7)}, path)
    with pytest.raises(ModelError, match="does not fit its base model"):
        load_model(tmp_path / "adapter")
    save_file({name: tensor for name, tensor in factors.items() if name != first}, path)
    with pytest.raises(ModelError, match="lacks one factor"):
        load_model(tmp_path / "adapter")
    save_file({**factors, "base_model.model.score.lora_A.weight": torch.zeros(4, 32)}, path)
    with pytest.raises(ModelError, match="unknown meaning"):
        load_model(tmp_path / "adapter")
    path.unlink()
    with pytest.raises(ModelError, match="no adapter weights"):
        load_model(tmp_path / "adapter")


def test_a_base_that_is_not_there(tmp_path: Path) -> None:
    adapter(tmp_path)
    edit(tmp_path / "adapter", base_model_name_or_path="./gone")
    with pytest.raises(ModelError, match="needs its base model") as caught:
        load_model(tmp_path / "adapter")
    assert "--base" in str(caught.value.hint)
    load_model(tmp_path / "adapter", base=tmp_path / "base")


@torch.inference_mode()
@pytest.mark.parametrize(
    "lora", [{"language": Lora(4, 6.0)}, {"language": Lora(4, 6.0), "rest": Lora(2, 5.0)}], ids=len
)
def test_what_we_write_peft_reads(lora: dict[str, Lora], tmp_path: Path) -> None:
    """Put by PEFT on transformers' own model; some layers with a rank and an alpha of their own."""
    made, read = tiny.model(sees=False), replace(tiny.processor(), preprocessing=None)
    save_checkpoint(made, read, tmp_path / "ours")
    convert(tmp_path / "ours", tmp_path / "base", "original")  # of a text-only model that is a plain LLaMA folder
    generator = torch.Generator().manual_seed(3)
    put_adapters(made, "language", lora["language"], generator)
    if "rest" in lora:
        name = "language.layers.1.mlp.up_proj"
        inner = adapters(made)[name].base
        made.set_submodule(name, LoraLinear(inner, 32, 48, lora["rest"], generator))
    for layer in adapters(made).values():
        layer.lora_b.copy_(torch.randn(layer.lora_b.shape, generator=generator))
    save_adapter(made, read, tmp_path / "adapter", base=str(tmp_path / "base"))
    theirs = transformers.LlamaForCausalLM.from_pretrained(tmp_path / "base")
    plain = theirs(input_ids=IDS).logits
    wrapped = peft.PeftModel.from_pretrained(theirs, tmp_path / "adapter").eval()
    found = wrapped(input_ids=IDS).logits
    torch.testing.assert_close(found, made.logits_for(IDS), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(found, plain, atol=1e-2)
    torch.testing.assert_close(load_model(tmp_path / "adapter").model.logits_for(IDS), found, rtol=1e-4, atol=1e-4)
