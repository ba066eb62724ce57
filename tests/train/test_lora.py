"""Adapters from a recipe to a folder that answers, merges, and is what PEFT reads."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import tiny
from pumice.checkpoint.adapter import save_adapter
from pumice.checkpoint.convert import convert
from pumice.checkpoint.load import load_checkpoint
from pumice.checkpoint.quantized import quantize_checkpoint
from pumice.checkpoint.save import save_checkpoint
from pumice.engine.engine import Engine
from pumice.errors import ModelError, UsageError
from pumice.model.llava import Llava
from pumice.model.lora import adapters
from pumice.options import SamplingOptions
from pumice.quantize.frozen import FrozenLinear
from pumice.quantize.plan import standard_plan
from pumice.train.recipe import FileData, GroundingData, Integers, Join, LoraShape, Recipe, Start, WorldData
from pumice.train.run import prepare, train
from pumice.world.records import write_llava_json

LANGUAGE, OTHER = LoraShape(rank=4, alpha=8, dropout=0.1), LoraShape(rank=2, alpha=3)
RATES = {"connector": 1e-2, "language": 1e-2}
IDS = torch.tensor([[1, 5, -1, -1, -1, -1, 7, 9]])


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A model whose layers divide into groups of 32, so that all of them can become integers."""
    speak = tiny.language(hidden_size=64, intermediate_size=96, head_dim=16)
    see = tiny.vision(hidden_size=32, intermediate_size=64)
    save_checkpoint(tiny.model(newline=False, speak=speak, see=see), tiny.processor(), tmp_path / "base")
    return tmp_path / "base"


def recipe(tmp_path: Path, base: Path, **changes: Any) -> Recipe:
    records = tmp_path / "own"
    if not records.exists():
        write_llava_json(records, "train", 0, 5, side=96)
    values: dict[str, Any] = {
        "output": tmp_path / "run",
        "start": Start(folder=base),
        "template": "vicuna_v1",
        "parts": RATES,
        "lora": {"language": LANGUAGE},
        "files": FileData(records=records / "records.json", images=records / "images"),
        "batch": 4,
        "epochs": 3,
        "workers": 0,
        **changes,
    }
    return Recipe(**values)


def learned(how: Recipe) -> tuple[Path, Llava]:
    """The folder that a run has written, and the model as it was in its memory."""
    live: list[Llava] = []

    def catch(model: Llava, *rest: Any, **options: Any) -> None:
        live.append(model)
        save_adapter(model, *rest, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pumice.train.run.save_adapter", catch)
        folder = train(how, lambda _: None)
    return folder, live[0].eval()  # without dropout


@torch.inference_mode()
def logits(model: Llava) -> torch.Tensor:
    tile = torch.randn(1, 3, tiny.SIDE, tiny.SIDE, generator=torch.Generator().manual_seed(5))
    return model.logits_for(IDS, model.encode_images(tile)[0])


@pytest.mark.parametrize(
    ("lora", "rates"),
    [
        ({"language": LANGUAGE}, RATES),
        ({"language": LANGUAGE}, {"language": 1e-2}),
        ({"language": LANGUAGE}, {"vision": 1e-3, **RATES}),
        ({"vision": OTHER}, {"vision": 1e-2}),
        ({"connector": OTHER}, {"connector": 1e-2, "language": 1e-3}),
        ({"vision": OTHER, "connector": OTHER, "language": LANGUAGE}, {"vision": 1e-2, **RATES}),
    ],
    ids=["as LLaVA", "language alone", "tower unfrozen", "tower", "projector", "everywhere"],
)
def test_what_is_read_is_what_was_learned(
    lora: dict[str, LoraShape], rates: dict[str, float], tmp_path: Path, base: Path
) -> None:
    folder, live = learned(recipe(tmp_path, base, lora=lora, parts=rates))
    expected = logits(live)
    assert (expected - logits(load_checkpoint(base).model)).abs().max() > 0.01
    found = load_checkpoint(folder)  # its config names the base
    torch.testing.assert_close(logits(found.model), expected, rtol=0, atol=1e-5)
    assert found.processor.template.name == "vicuna_v1" and not adapters(found.model)

    convert(folder, tmp_path / "merged", "pumice")
    shutil.move(base, tmp_path / "elsewhere")
    torch.testing.assert_close(logits(load_checkpoint(tmp_path / "merged").model), expected, rtol=0, atol=1e-5)
    with pytest.raises(ModelError, match="needs its base model"):
        load_checkpoint(folder)
    again = load_checkpoint(folder, base=tmp_path / "elsewhere").model
    assert torch.equal(logits(again), logits(found.model))


def test_it_answers(tmp_path: Path, base: Path) -> None:
    folder, _ = learned(recipe(tmp_path, base))
    answer = Engine.load(folder, device="cpu").ask(tiny.question("Sky?", 1), SamplingOptions(max_tokens=5))
    assert answer.usage.image_tokens == 4
    assert train(recipe(tmp_path, base), print) == folder, "a finished run has nothing left to do"


def test_the_layout_is_the_originals(tmp_path: Path, base: Path) -> None:
    folder, _ = learned(recipe(tmp_path, base))
    config = json.loads((folder / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["lora_dropout"]) == (4, 8, 0.1)
    projections = ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
    assert config["target_modules"] == projections and config["base_model_name_or_path"] == str(base)
    factors = load_file(folder / "adapter_model.safetensors")
    assert "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight" in factors and len(factors) == 2 * 2 * 7
    beside = torch.load(folder / "non_lora_trainables.bin", weights_only=True)
    assert beside.keys() == {f"base_model.model.model.mm_projector.{i}.{j}" for i in (0, 2) for j in ("weight", "bias")}
    described = json.loads((folder / "config.json").read_text())
    assert described["model_type"] == "llava_llama" and described["unfreeze_mm_vision_tower"] is False
    tower = load_checkpoint(base).model.vision.state_dict()  # type: ignore[union-attr]
    stored = load_file(folder / described["mm_vision_tower"] / "model.safetensors")
    assert torch.equal(stored["vision_model.pre_layrnorm.bias"], tower["pre_norm.bias"])


def test_a_tower_that_learned_is_inside(tmp_path: Path, base: Path) -> None:
    """The original then builds its tower before the adapter is put on, so layers are named in full."""
    shapes = {"language": LANGUAGE, "vision": OTHER}
    folder, _ = learned(recipe(tmp_path, base, lora=shapes, parts={"vision": 1e-2, **RATES}))
    config = json.loads((folder / "adapter_config.json").read_text())
    tower = "model.vision_tower.vision_tower.vision_model.encoder.layers."
    assert f"{tower}0.mlp.fc1" in config["target_modules"] and "q_proj" not in config["target_modules"]
    assert config["rank_pattern"][f"{tower}1.self_attn.q_proj"] == 2 and len(config["alpha_pattern"]) == 2 * 6
    assert json.loads((folder / "config.json").read_text())["unfreeze_mm_vision_tower"] is True


@pytest.mark.parametrize("bits", [4, 8])
def test_upon_integers(bits: Any, tmp_path: Path, base: Path) -> None:
    """The run sees integers; its adapter belongs to the model that these were made of."""
    parts = ("vision", "connector", "language")
    how = recipe(
        tmp_path,
        base,
        parts=dict.fromkeys(parts, 1e-2),
        lora=dict.fromkeys(parts, LANGUAGE),
        quantize={part: Integers(bits=bits) for part in parts},
    )
    folder, live = learned(how)
    frozen = [module for module in live.modules() if isinstance(module, FrozenLinear)]
    assert len(frozen) == len(adapters(live)) == 2 * 7 + 2 * 6 + 2 and all(layer.how.bits == bits for layer in frozen)
    found = load_checkpoint(folder).model
    for name, layer in adapters(live).items():
        whole = live if name.startswith("connector.") else load_checkpoint(base).model
        below = whole.get_submodule(name)
        weight = below.base.weight if whole is live else below.weight  # a projector is stored as it was learned upon
        expected = weight + 8 / 4 * layer.lora_b @ layer.lora_a
        torch.testing.assert_close(found.get_parameter(f"{name}.weight"), expected.detach(), rtol=0, atol=1e-5)
    assert (logits(found) - logits(live)).norm() < (0.5 if bits == 4 else 0.05) * logits(live).norm()


def test_integers_resume_too(tmp_path: Path, base: Path) -> None:
    changes: dict[str, Any] = {"quantize": {"language": Integers()}, "epochs": 2, "save_every": 1}
    whole, _ = learned(recipe(tmp_path, base, output=tmp_path / "whole", **changes))
    first = recipe(tmp_path, base, output=tmp_path / "parts", **changes)

    class Stop(Exception):
        pass

    def stop(_: str) -> None:
        raise Stop

    with pytest.raises(Stop):
        train(first.model_copy(update={"log_every": 1}), stop)
    parts, _ = learned(first)
    for file in ("adapter_model.safetensors", "vision_tower/model.safetensors"):
        assert (whole / file).read_bytes() == (parts / file).read_bytes()
    one, other = (torch.load(each / "non_lora_trainables.bin", weights_only=True) for each in (whole, parts))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_attention_that_is_taught_learns_through_adapters(tmp_path: Path, base: Path) -> None:
    world = WorldData(task="instruct", scenes=8, questions=3, sizes=(96,))
    how = recipe(
        tmp_path, base, files=None, world=world, grounding=GroundingData(layers=(0,)), parts={"language": 1e-2}
    )
    folder, live = learned(how)
    torch.testing.assert_close(logits(load_checkpoint(folder).model), logits(live), rtol=0, atol=1e-5)


def words_alone(tmp_path: Path, base: Path) -> tuple[Path, Path]:
    """The language model of ``base`` as a plain LLaMA folder, and its tower as a CLIP folder."""
    convert(base, tmp_path / "original", "original")
    tensors = load_file(tmp_path / "original" / "model.safetensors")
    words = tmp_path / "words"
    words.mkdir()
    save_file({k: v for k, v in tensors.items() if "mm_" not in k and "vision" not in k}, words / "model.safetensors")
    config = json.loads((tmp_path / "original" / "config.json").read_text())
    plain = {k: v for k, v in config.items() if not k.startswith(("mm_", "image_", "use_", "unfreeze"))}
    (words / "config.json").write_text(json.dumps({**plain, "model_type": "llama"}))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tmp_path / "original" / name, words)
    return words, tmp_path / "original" / "vision_tower"


@pytest.mark.parametrize("projector", ["mlp", "linear"])
def test_over_a_language_model_and_a_tower(projector: Any, tmp_path: Path, base: Path) -> None:
    """As the original has it: the base is the language model alone."""
    words, tower = words_alone(tmp_path, base)
    start = Start(join=Join(language=str(words), vision=str(tower)), projector=projector)
    shapes = dict.fromkeys(("vision", "connector", "language"), LANGUAGE)
    folder, live = learned(recipe(tmp_path, base, start=start, lora=shapes, parts={"vision": 1e-2, **RATES}))
    assert json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] == str(words)
    shutil.rmtree(tmp_path / "original")
    torch.testing.assert_close(logits(load_checkpoint(folder).model), logits(live), rtol=0, atol=1e-5)


@torch.inference_mode()
def test_from_a_recipe_to_peft(tmp_path: Path, base: Path) -> None:
    """PEFT puts the factors of a whole run on transformers' own model: what it says of words is what ours says."""
    words, tower = words_alone(tmp_path, base)
    start = Start(join=Join(language=str(words), vision=str(tower)))
    with torch.inference_mode(False):
        folder, live = learned(recipe(tmp_path, base, start=start))
    theirs = transformers.LlamaForCausalLM.from_pretrained(words).eval()
    ids = torch.tensor([[1, 5, 30, 31, 7, 9]])
    plain = theirs(input_ids=ids).logits
    found = peft.PeftModel.from_pretrained(theirs, folder).eval()(input_ids=ids).logits
    assert (found - plain).abs().max() > 0.01
    torch.testing.assert_close(found, live.logits_for(ids), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(load_checkpoint(folder).model.logits_for(ids), found, rtol=1e-4, atol=1e-4)


def test_mosaics(tmp_path: Path, base: Path) -> None:
    """What stands behind each row of a mosaic is stored beside the adapter, like the projector."""
    folder, live = learned(recipe(tmp_path, base, start=Start(folder=base, pictures="anyres")))
    beside = torch.load(folder / "non_lora_trainables.bin", weights_only=True)
    assert live.image_newline is not None
    assert torch.equal(beside["base_model.model.model.image_newline"], live.image_newline)
    found = load_checkpoint(folder)
    read = found.processor.preprocessing
    assert read is not None and (read.mode, read.merge, len(read.pinpoints)) == ("anyres", "spatial_unpad", 5)
    inputs = found.processor(tiny.question("Sky?", 1))
    assert len(inputs.grids) == 1 and len(inputs.tiles[0]) > 1
    torch.testing.assert_close(logits(found.model), logits(live), rtol=0, atol=1e-5)


def test_what_does_not_suit_the_model(tmp_path: Path, base: Path) -> None:
    quantize_checkpoint(base, tmp_path / "small", standard_plan(4))
    with pytest.raises(ModelError, match="integers do not learn") as error:
        prepare(recipe(tmp_path, tmp_path / "small"))
    assert error.value.hint
    save_checkpoint(tiny.model(), tiny.processor(), tmp_path / "newline")
    with pytest.raises(UsageError, match="image_newline"):
        prepare(recipe(tmp_path, tmp_path / "newline"))
    join = Join(language=str(base), vision="nobody asks for it")
    with pytest.raises(UsageError, match="sees already"):
        prepare(recipe(tmp_path, base, start=Start(join=join)))
    text = tiny.model(sees=False)
    save_checkpoint(text, replace(tiny.processor(), preprocessing=None), tmp_path / "text")
    with pytest.raises(UsageError, match=r"lora\.vision: this model has no linear layers"):
        prepare(recipe(tmp_path, tmp_path / "text", lora={"vision": OTHER}))
