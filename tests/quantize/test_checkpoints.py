"""Quantised while loading, and stored quantised: one and the same model, near to the one it was made from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import tiny
from pumice.checkpoint.convert import convert
from pumice.checkpoint.load import Arithmetic, Checkpoint, load_checkpoint
from pumice.checkpoint.quantized import quantize_checkpoint
from pumice.checkpoint.save import save_checkpoint
from pumice.cli.main import main
from pumice.engine.engine import Engine
from pumice.errors import ModelError
from pumice.model.llava import Llava
from pumice.options import SamplingOptions
from pumice.quantize.linear import QuantizedLinear
from pumice.quantize.plan import Plan, standard_plan

ASKED = tiny.question("What is in the picture?", 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose layers divide into groups of 32."""
    made = tiny.model(speak=tiny.language(intermediate_size=64), see=tiny.vision(hidden_size=32, intermediate_size=64))
    path = tmp_path_factory.mktemp("models") / "whole"
    save_checkpoint(made, tiny.processor(), path)
    return path


def layers(model: Llava) -> dict[str, QuantizedLinear]:
    return {name: module for name, module in model.named_modules() if isinstance(module, QuantizedLinear)}


def logits(found: Checkpoint) -> torch.Tensor:
    inputs = found.processor(ASKED)
    with torch.inference_mode():
        return found.model.logits_for(torch.tensor([list(inputs.ids)]), tiny.features(found.model, inputs))[0]


@pytest.mark.parametrize("plan", [standard_plan(4), standard_plan(8), standard_plan(8, vision_bits=8)], ids=str)
def test_loading_and_storing_are_the_same(folder: Path, plan: Plan, tmp_path: Path) -> None:
    quantize_checkpoint(folder, tmp_path / "small", plan)
    at_once, stored = load_checkpoint(folder, how=Arithmetic(plan)), load_checkpoint(tmp_path / "small")
    expected = 2 * 7 + 1 + (2 * 6 if plan.vision else 0)  # the tower's third layer is not read
    assert len(layers(at_once.model)) == len(layers(stored.model)) == expected
    for name, layer in layers(at_once.model).items():
        assert torch.equal(layer.weights, layers(stored.model)[name].weights), name
    assert stored.description.quantization == plan
    whole = logits(load_checkpoint(folder))
    distance = (logits(at_once) - whole).norm() / whole.norm()
    assert distance < (0.25 if plan.language.bits == 4 else 0.03)


def test_it_answers_the_same_alone_and_in_batches(folder: Path) -> None:
    engine = Engine.load(folder, quantization=standard_plan(4), device="cpu")
    assert engine.model.dtype == torch.float32
    options = SamplingOptions(max_tokens=12)
    asked = [tiny.question(text, seed) for seed, text in enumerate(("What?", "How many dice are there?", "Sky?"))]
    alone = [Engine.load(folder, quantization=standard_plan(4), device="cpu").ask(one, options).text for one in asked]
    assert [answer.text for answer in engine.batch(asked, options)] == alone


def test_the_folder_is_small_and_says_what_it_is(folder: Path, tmp_path: Path) -> None:
    quantize_checkpoint(folder, tmp_path / "small", standard_plan(4, vision_bits=8))
    stored = json.loads((tmp_path / "small" / "pumice.json").read_text())["quantization"]
    assert stored["language"] == {"bits": 4, "group": 32} and stored["head"]["bits"] == 8
    sizes = [(path / "model.safetensors").stat().st_size for path in (folder, tmp_path / "small")]
    assert sizes[1] < sizes[0] / 2


def test_what_cannot_be_done_is_said(folder: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    quantize_checkpoint(folder, small, standard_plan(4))
    with pytest.raises(ModelError, match="quantised already"):
        quantize_checkpoint(small, tmp_path / "again", standard_plan(4))
    with pytest.raises(ModelError, match="quantised already, with 4 bits"):
        load_checkpoint(small, how=Arithmetic(standard_plan(8)))
    load_checkpoint(small, how=Arithmetic(standard_plan(4)))
    with pytest.raises(ModelError, match="is quantised"):
        convert(small, tmp_path / "hf", "llava-hf")
    with pytest.raises(ModelError, match="exists already"):
        quantize_checkpoint(folder, small, standard_plan(4))
    (small / "pumice.json").write_text((folder / "pumice.json").read_text())
    with pytest.raises(ModelError, match="tensors are missing"):
        load_checkpoint(small)


def test_the_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "eight"
    assert main(["quantize", str(folder), str(target), "--bits", "8", "--vision-bits", "8"]) == 0
    assert capsys.readouterr().out.strip() == str(target)
    assert load_checkpoint(target).description.quantization == standard_plan(8, vision_bits=8)
    assert main(["quantize", str(folder), str(target)]) == 3
    assert main(["quantize", str(folder), str(target), "--bits", "5"]) == 2
    for flag in ("--4bit", "--load-8bit"):
        assert main(["ask", flag, "-m", str(folder), "--max-tokens", "3", "What?"]) == 0
    assert main(["ask", "--4bit", "--8bit", "What?"]) == 2
    assert "exclude each other" in capsys.readouterr().err
