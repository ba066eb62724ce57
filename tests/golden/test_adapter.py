"""An adapter that the reference has made, written again by us, is the same tensor by tensor."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file

import tiny
from pumice.checkpoint.adapter import save_adapter
from pumice.checkpoint.load import load_model
from pumice.model.lora import Lora, adapters, put_adapters
from pumice.processor import Processor
from pumice.prompts.templates import get_template


def test_written_as_the_reference_writes_it(golden: Path, tmp_path: Path) -> None:
    theirs, base = golden / "models" / "v1.5-lora", golden / "models" / "v1.5-llama-mlp-pad"
    found = load_model(base, dtype=torch.float32)
    config = json.loads((theirs / "adapter_config.json").read_text())
    put_adapters(found.model, "language", Lora(config["r"], config["lora_alpha"]), torch.Generator())
    factors = torch.load(theirs / "adapter_model.bin", weights_only=True)
    beside = torch.load(theirs / "non_lora_trainables.bin", weights_only=True)
    with torch.no_grad():
        for name, layer in adapters(found.model).items():
            module = f"base_model.model.{name.replace('language.', 'model.', 1)}"
            layer.lora_a.copy_(factors[f"{module}.lora_A.weight"])
            layer.lora_b.copy_(factors[f"{module}.lora_B.weight"])
    assert found.model.connector is not None
    projector = {name.rpartition("mm_projector.")[2]: tensor for name, tensor in beside.items()}
    found.model.connector.layers.load_state_dict(projector, assign=True)
    found.model.requires_grad_(False)
    read = Processor(tiny.tokenizer(), get_template("vicuna_v1"), found.description.preprocessing)
    save_adapter(found.model, read, tmp_path / "ours", base=str(base))

    mine = load_file(tmp_path / "ours" / "adapter_model.safetensors")
    extras = torch.load(tmp_path / "ours" / "non_lora_trainables.bin", weights_only=True)
    for written, wanted in ((mine, factors), (extras, beside)):
        assert written.keys() == wanted.keys()
        assert all(torch.equal(written[name], tensor) for name, tensor in wanted.items())
    again = json.loads((tmp_path / "ours" / "adapter_config.json").read_text())
    assert sorted(again["target_modules"]) == sorted(config["target_modules"])
    assert all(again[key] == config[key] for key in ("r", "lora_alpha", "peft_type", "task_type", "bias"))
    first, second = (load_model(folder, base=base) for folder in (theirs, tmp_path / "ours"))
    expected = first.model.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in second.model.state_dict().items())
