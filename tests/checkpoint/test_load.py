"""Loading: our own folders, and everything that may be wrong with a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import tiny
from checkpoint.edits import edit, split
from pumice.checkpoint.convert import convert
from pumice.checkpoint.description import Generation
from pumice.checkpoint.load import Guess, load_checkpoint, load_model
from pumice.checkpoint.save import save_checkpoint
from pumice.checkpoint.start import Joint, start_model
from pumice.errors import ModelError, UsageError
from pumice.model.config import ConnectorConfig, LlavaConfig

WRAP = ("<im_start>", "<im_end>")


def test_ours_there_and_back(ours: Path) -> None:
    found = load_checkpoint(ours)
    expected = tiny.model().state_dict()
    assert found.model.config == tiny.model().config and not found.model.training
    assert dict.fromkeys(expected, True) == {
        name: torch.equal(tensor, expected[name]) for name, tensor in found.model.state_dict().items()
    }
    processor = tiny.processor(mode="anyres", merge="spatial_unpad")
    assert found.processor.template == processor.template and found.processor.preprocessing == processor.preprocessing
    question = tiny.question("How many?", 1)
    assert found.processor(question).ids == processor(question).ids
    assert found.warnings == ()


@pytest.mark.parametrize("shard_bytes", [1, 20_000])
def test_shards_and_storage_type(shard_bytes: int, tmp_path: Path) -> None:
    generation = Generation((2, 5), temperature=0.5)
    save_checkpoint(
        tiny.model(),
        tiny.processor(),
        tmp_path / "half",
        dtype=torch.bfloat16,
        shard_bytes=shard_bytes,
        generation=generation,
        origin="a test",
    )
    assert len(list((tmp_path / "half").glob("model-*.safetensors"))) > 1
    found = load_model(tmp_path / "half")
    assert found.model.dtype == torch.bfloat16
    assert found.description.generation == generation and found.description.source == "a test"
    full = load_model(tmp_path / "half", dtype=torch.float32).model
    assert {tensor.dtype for tensor in full.state_dict().values()} == {torch.float32}
    for name, tensor in tiny.model().state_dict().items():
        assert torch.equal(full.state_dict()[name], tensor.to(torch.bfloat16).float()), name


def test_a_text_only_model(tmp_path: Path) -> None:
    model = tiny.model(sees=False)
    processor = tiny.Processor(tiny.tokenizer(), tiny.get_template("vicuna_v1"), None)
    save_checkpoint(model, processor, tmp_path / "ours")
    convert(tmp_path / "ours", tmp_path / "llama", "original")
    for folder in ("ours", "llama"):
        found = load_checkpoint(tmp_path / folder)
        ids = torch.tensor([[1, 5, 9]])
        assert torch.equal(found.model.logits_for(ids), model.logits_for(ids))
        assert found.processor.preprocessing is None
    assert "text-only" in found.warnings[0]
    with pytest.raises(ModelError, match="without a vision tower"):
        convert(tmp_path / "ours", tmp_path / "hf", "llava-hf")
    assert not (tmp_path / "hf").exists()


@pytest.mark.parametrize(("depth", "template"), [(1, None), (1, "v0"), (2, None)])
def test_a_guessed_template_is_admitted(depth: int, template: str | None, tmp_path: Path) -> None:
    """Before 1.5, whose projectors have two layers, there were several templates, and no config names its own."""
    connector = ConnectorConfig("linear" if depth == 1 else "mlp", depth)
    model = tiny.Llava(LlavaConfig(tiny.language(), tiny.vision(), connector))
    save_checkpoint(model, tiny.processor(), tmp_path / "ours")
    convert(tmp_path / "ours", tmp_path / "original", "original")
    edit(tmp_path / "original" / "config.json", pumice_template=template or "DELETE")
    found = load_model(tmp_path / "original")
    assert found.description.template == ("v0" if template else "vicuna_v1")
    guessed = depth == 1 and template is None
    assert ["is a guess" in each and "--template" in each for each in found.warnings] == [True] * guessed


def test_a_template_in_place_of_another(original: Path, ours: Path) -> None:
    """What the checkpoint tells is only replaced on request, and then it is said."""
    assert load_checkpoint(original, template=Guess("llava_v1")).processor.template.name == "vicuna_v1"
    replaced = load_checkpoint(ours, template="v0")
    assert replaced.processor.template.name == replaced.description.template == "v0"
    assert replaced.warnings == ("template v0 in place of the checkpoint's own vicuna_v1",)
    edit(original / "config.json", pumice_template="DELETE")
    for template in (Guess("llava_v1"), "llava_v1"):
        found = load_checkpoint(original, template=template)
        assert found.processor.template.name == "llava_v1" and found.warnings == ()
    assert load_checkpoint(original).processor.template.name == "vicuna_v1"


def test_a_template_whose_end_the_tokenizer_does_not_know_is_doubted(tmp_path: Path) -> None:
    """As of Llama 3, whose answers end with another token than Vicuna's."""
    save_checkpoint(tiny.model(newline=False), tiny.processor(), tmp_path / "ours")
    for layout in ("original", "llava-hf"):
        convert(tmp_path / "ours", tmp_path / layout, layout)
        assert load_model(tmp_path / layout).warnings == ()
        edit(tmp_path / layout / "config.json", pumice_template="DELETE")
        assert load_model(tmp_path / layout).warnings == ()
        for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
            path = tmp_path / layout / name
            if path.is_file():
                path.write_text(path.read_text().replace("</s>", "<|eot_id|>"))
        (warning,) = load_model(tmp_path / layout).warnings
        assert "is a guess" in warning and "--template" in warning


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"num_hidden_layers": 10**9}, "at most 1000 layers"),
        ({"mm_projector_type": "mlp999999999x_gelu"}, "depth must be"),
    ],
)
def test_an_absurd_config_fails_at_once(original: Path, changes: dict[str, Any], problem: str) -> None:
    edit(original / "config.json", **changes)
    with pytest.raises(ModelError, match=problem):
        load_model(original)


def test_the_tower_is_taken_from_where_it_is(original: Path, tmp_path: Path) -> None:
    """Inside the weights first; a tower named by the caller before it."""
    split(original, tmp_path)
    tower = tmp_path / "tower" / "model.safetensors"
    save_file({name: tensor + 1 for name, tensor in load_file(tower).items()}, tower)
    inside = load_model(original).model.vision
    named = load_model(original, vision_tower=tmp_path / "tower").model.vision
    assert inside is not None and named is not None
    assert torch.equal(inside.class_embedding + 1, named.class_embedding)


def test_starting_from_two_parts(original: Path, tmp_path: Path) -> None:
    base, _ = split(original, tmp_path)
    joint = Joint(ConnectorConfig("linear", 1), mode="anyres", pinpoints=[(56, 28)], seed=3)
    found = start_model(base, tmp_path / "tower", joint, template="plain")
    again = start_model(original, tmp_path / "tower", joint)
    assert found.description.template == "plain" and again.description.template == "vicuna_v1"
    assert found.model.image_newline is not None and found.tokenizer is not None
    for name, tensor in found.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name]), name
    projector = found.model.state_dict()["connector.layers.0.weight"]
    assert 0 < float(projector.abs().max()) <= 24**-0.5


def test_options_that_do_not_apply(ours: Path, original: Path) -> None:
    with pytest.raises(UsageError, match="takes no base"):
        load_model(ours, base=original)
    with pytest.raises(UsageError, match="takes no other vision tower"):
        load_model(ours, vision_tower=original)
    with pytest.raises(UsageError, match="unknown template"):
        load_checkpoint(ours, template="nonsense")
    assert load_checkpoint(ours, template="plain").processor.template.name == "plain"


def test_a_checkpoint_without_a_tokenizer(ours: Path) -> None:
    (ours / "tokenizer.json").unlink()
    load_model(ours)
    with pytest.raises(ModelError, match="has no tokenizer"):
        load_checkpoint(ours)


def test_a_tokenizer_of_another_model(tmp_path: Path) -> None:
    small = tiny.model(speak=tiny.language(vocab_size=100))
    save_checkpoint(small, tiny.processor(), tmp_path / "small")
    with pytest.raises(ModelError, match="the tokenizer has ids up to"):
        load_checkpoint(tmp_path / "small")
    wrapped = tiny.Processor(tiny.tokenizer(), tiny.get_template("v1"), tiny.processor().preprocessing, WRAP)
    save_checkpoint(tiny.model(), wrapped, tmp_path / "wrapped")
    with pytest.raises(ModelError, match="<im_start>"):
        load_checkpoint(tmp_path / "wrapped")


def test_weights_that_do_not_fit(ours: Path) -> None:
    path = ours / "model.safetensors"
    tensors = load_file(path)
    norm = "language.norm.weight"
    save_file({name: tensor for name, tensor in tensors.items() if name != norm}, path)
    with pytest.raises(ModelError, match=f"1 of {len(tensors)} tensors are missing: {norm}"):
        load_model(ours)
    save_file({**tensors, "language.layers.7.input_layernorm.weight": tensors[norm].clone()}, path)
    with pytest.raises(ModelError, match=r"have no place .* language.layers.7"):
        load_model(ours)
    save_file({**tensors, "strange": tensors[norm].clone()}, path)
    with pytest.raises(ModelError, match=r"do not belong to a Pumice model: strange"):
        load_model(ours)
    save_file({**tensors, norm: torch.zeros(5)}, path)
    with pytest.raises(ModelError, match=f"{norm} must have the shape 32, found 5"):
        load_model(ours)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "expected format 1, found 2"),
        ({"colour": "red"}, "unknown field 'colour'"),
        ({"template": "DELETE"}, "'template' is missing"),
        ({"template": "nonsense"}, "unknown template 'nonsense'"),
        ({"model": {"language": {}}}, "model.language: the field"),
        ({"model": 7}, "model must be an object"),
        ({"image_wrap": ["a"]}, "image_wrap must be a list of 2"),
        ({"preprocessing": None}, "come together"),
        ({"generation": {"end_ids": [1.5]}}, r"end_ids\[0\] must be of type int"),
        ({"generation": {"temprature": 1}}, "temprature"),
    ],
    ids=str,
)
def test_a_broken_description(changes: dict[str, Any], message: str, ours: Path) -> None:
    edit(ours / "pumice.json", **changes)
    with pytest.raises(ModelError, match=message):
        load_model(ours)


def test_a_misspelled_field_is_recognised(ours: Path) -> None:
    edit(ours / "pumice.json", preprocesing={})
    with pytest.raises(ModelError) as caught:
        load_model(ours)
    assert caught.value.hint == "did you mean 'preprocessing'?"


def test_folders_that_are_no_models(original: Path, tmp_path: Path) -> None:
    split(original, tmp_path)
    with pytest.raises(ModelError, match="vision tower alone"):
        load_model(tmp_path / "tower")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"expected config.json or pumice.json"):
        load_model(tmp_path / "empty")
    (tmp_path / "empty" / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelError, match="model_type 'bert'"):
        load_model(tmp_path / "empty")
    with pytest.raises(ModelError, match="no model at"):
        load_model(tmp_path / "absent")
    with pytest.raises(ModelError, match="is a file"):
        load_model(tmp_path / "empty" / "config.json")


def test_the_folder_name_decides_nothing(ours: Path, original: Path, tmp_path: Path) -> None:
    for index, folder in enumerate((ours, original)):
        expected = load_model(folder)
        moved = folder.rename(tmp_path / f"mistral-llama-2-lora-v1.6-34b-mpt-{index}")
        found = load_model(moved)
        assert found.description.template == expected.description.template == "vicuna_v1"
        assert found.model.config == expected.model.config


def test_saving_refuses_a_changed_model(ours: Path, tmp_path: Path) -> None:
    model = tiny.model()
    model.language.extra = torch.nn.Linear(2, 2)
    with pytest.raises(ModelError, match="the model to be saved"):
        save_checkpoint(model, tiny.processor(), tmp_path / "x")
    with pytest.raises(UsageError, match="exists already"):
        save_checkpoint(tiny.model(), tiny.processor(), ours)
    save_checkpoint(tiny.model(1), tiny.processor(), ours, overwrite=True)
    assert torch.equal(load_model(ours).model.language.embed_tokens.weight, tiny.model(1).language.embed_tokens.weight)


def test_a_special_token_without_an_embedding(tmp_path: Path) -> None:
    """Some Vicunas list a padding token behind the last row; it is never used."""
    save_checkpoint(tiny.model(speak=tiny.language(vocab_size=tiny.tokenizer().size)), tiny.processor(), tmp_path / "x")
    spare = {"content": "[SPARE]", "special": True}
    edit(tmp_path / "x" / "tokenizer_config.json", added_tokens_decoder={str(tiny.tokenizer().size): spare})
    found = load_checkpoint(tmp_path / "x").processor.tokenizer
    assert found.size == tiny.tokenizer().size + 1
    edit(tmp_path / "x" / "tokenizer_config.json", pad_token="[SPARE]")
    with pytest.raises(ModelError, match="the tokenizer has ids up to"):
        load_checkpoint(tmp_path / "x")


def test_an_image_processor_inside_a_processor(tmp_path: Path) -> None:
    """transformers 5 writes no preprocessor_config.json any more."""
    save_checkpoint(tiny.model(newline=False), tiny.processor(mode="square"), tmp_path / "ours")
    convert(tmp_path / "ours", tmp_path / "hf", "llava-hf")
    old = tmp_path / "hf" / "preprocessor_config.json"
    inner = {**json.loads(old.read_text()), "image_mean": [0.5, 0.25, 0.125]}
    old.unlink()
    edit(tmp_path / "hf" / "processor_config.json", image_processor=inner)
    how = load_checkpoint(tmp_path / "hf").processor.preprocessing
    assert how is not None and how.mode == "square" and how.mean == (0.5, 0.25, 0.125)
