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
from pumice.cli.session import open_engine
from pumice.cli.settings import Settings
from pumice.engine.engine import Engine
from pumice.errors import ModelError, UsageError
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


@pytest.mark.parametrize("kv_8bit", [False, True])
@pytest.mark.parametrize("plan", [None, standard_plan(4)], ids=str)
def test_it_answers_the_same_alone_and_in_batches(folder: Path, plan: Plan | None, kv_8bit: bool) -> None:
    def loaded() -> Engine:
        return Engine.load(folder, quantization=plan, device="cpu", kv_8bit=kv_8bit)

    engine = loaded()
    assert engine.model.dtype == torch.float32
    options = SamplingOptions(max_tokens=12)
    asked = [tiny.question(text, seed) for seed, text in enumerate(("What?", "How many dice are there?", "Sky?"))]
    alone = [loaded().ask(one, options).text for one in asked]
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
    with pytest.raises(ModelError, match="quantized already"):
        quantize_checkpoint(small, tmp_path / "again", standard_plan(4))
    with pytest.raises(ModelError, match="quantized already, with 4 bits"):
        load_checkpoint(small, how=Arithmetic(standard_plan(8)))
    load_checkpoint(small, how=Arithmetic(standard_plan(4)))
    with pytest.raises(ModelError, match="is quantized"):
        convert(small, tmp_path / "hf", "llava-hf")
    with pytest.raises(UsageError, match="exists already"):
        quantize_checkpoint(folder, small, standard_plan(4))
    (small / "pumice.json").write_text((folder / "pumice.json").read_text())
    with pytest.raises(ModelError, match="tensors are missing"):
        load_checkpoint(small)


def test_the_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "eight"
    assert main(["quantize", str(folder), str(target), "--bits", "8", "--vision-bits", "8"]) == 0
    assert capsys.readouterr().out.strip() == str(target)
    assert load_checkpoint(target).description.quantization == standard_plan(8, vision_bits=8)
    assert main(["quantize", str(folder), str(target)]) == 2
    assert main(["quantize", str(folder), str(target), "--bits", "5"]) == 2
    for flag in ("--4bit", "--load-8bit", "--kv-8bit"):
        assert main(["ask", flag, "-m", str(folder), "--max-tokens", "3", "What?"]) == 0
    assert main(["ask", "--4bit", "--8bit", "What?"]) == 2
    assert "exclude each other" in capsys.readouterr().err


@pytest.mark.parametrize("wanted", [False, True])
def test_the_flag_for_keys_and_values_arrives(folder: Path, wanted: bool) -> None:
    for bits in ({}, {"four_bit": True}):
        engine = open_engine(Settings(model=str(folder), kv_8bit=wanted, **bits))
        assert isinstance(engine, Engine)
        assert (engine.runner.new_cache(3).keys[0].dtype == torch.int8) == wanted


@pytest.mark.parametrize("how", [standard_plan(4), standard_plan(8)], ids=str)
def test_weights_that_are_not_finite_are_refused(
    folder: Path, how: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = load_checkpoint(folder)
    gate = made.model.language.layers[1].mlp.gate_proj.weight
    gate.data = gate.data.clone()
    gate.data[3, 5], gate.data[4, 0] = torch.inf, torch.nan
    save_checkpoint(made.model, made.processor, tmp_path / "broken")
    with pytest.raises(ModelError, match=r"language.layers.1.mlp.gate_proj.weight.* found 2 of 2048") as caught:
        load_checkpoint(tmp_path / "broken", how=Arithmetic(how))
    assert caught.value.hint is not None
    assert main(["quantize", str(tmp_path / "broken"), str(tmp_path / "small"), "--bits", str(how.language.bits)]) == 3
    said = capsys.readouterr().err
    assert "gate_proj" in said and "Traceback" not in said and not (tmp_path / "small").exists()
