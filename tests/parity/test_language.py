"""LLaMA, Mistral and Qwen2 equal transformers', loaded from what ``save_pretrained`` writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from pumice.checkpoint.load import load_model

from .oracle import VOCABULARY, save, scramble, text_config, transformers

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
FAST = {"rope_type": "default", "rope_theta": 1e6}
KINDS: dict[str, Any] = {
    "llama": transformers.LlamaForCausalLM,
    "mistral": transformers.MistralForCausalLM,
    "qwen2": transformers.Qwen2ForCausalLM,
}
CASES = [
    pytest.param("llama", {}, id="grouped-queries"),
    pytest.param("llama", {"num_key_value_heads": 4}, id="all-heads"),
    pytest.param("llama", {"num_key_value_heads": 1, "head_dim": 16}, id="wide-heads"),
    pytest.param("llama", {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}}, id="linear"),
    pytest.param("llama", {"rope_parameters": LLAMA3}, id="llama3"),
    pytest.param("llama", {"tie_word_embeddings": True, "rms_norm_eps": 1e-3}, id="tied"),
    pytest.param("mistral", {"sliding_window": None}, id="mistral"),
    pytest.param("mistral", {"sliding_window": 5}, id="mistral-window"),
    pytest.param("qwen2", {}, id="qwen2"),
    pytest.param("qwen2", {"tie_word_embeddings": True, "sliding_window": 5, "rope_parameters": FAST}, id="qwen2-tied"),
]


def ragged() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(3, VOCABULARY, (3, 40), generator=generator)
    mask = torch.arange(40)[None] < torch.tensor([40, 17, 3])[:, None]
    return ids, mask


@torch.inference_mode()
@pytest.mark.parametrize(("family", "changes"), CASES)
def test_logits(family: str, changes: dict[str, Any], tmp_path: Path) -> None:
    theirs = scramble(KINDS[family](text_config(family, **changes)), seed=1)
    ours = load_model(save(theirs, tmp_path)).model
    ids, mask = ragged()
    expected = theirs(input_ids=ids, attention_mask=mask.long()).logits
    found = ours.logits_for(ids)  # causal, so what pads on the right is never seen
    torch.testing.assert_close(found[mask], expected[mask], rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_the_spelling_of_transformers_4(tmp_path: Path) -> None:
    theirs = scramble(transformers.LlamaForCausalLM(text_config(rope_parameters=LLAMA3)), seed=2)
    save(theirs, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    scaling = config.pop("rope_parameters")
    config["rope_theta"] = scaling.pop("rope_theta")
    config["rope_scaling"] = scaling
    del config["head_dim"], config["attention_bias"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    ids, _ = ragged()
    torch.testing.assert_close(
        load_model(tmp_path).model.logits_for(ids), theirs(input_ids=ids).logits, rtol=1e-4, atol=1e-4
    )
