"""LLaVA-1.5 and LLaVA-NeXT equal transformers', read from their folders and written back into them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import tiny
from pumice.checkpoint.convert import convert
from pumice.checkpoint.load import LoadedModel, load_checkpoint, load_model
from pumice.checkpoint.save import save_checkpoint
from pumice.images.grid import Grid
from pumice.images.preprocess import preprocess
from pumice.model.config import RopeScaling
from pumice.prompts.tokenizer import load_tokenizer

from .oracle import IMAGE_TOKEN, VISION, reload_strictly, save, scramble, text_config, transformers, vision_config

SIDE = VISION["image_size"]
# (height, width), with a square one so that the order of sides matters to the choice and to the layout
PINPOINTS = [[SIDE, 2 * SIDE], [2 * SIDE, SIDE], [2 * SIDE, 2 * SIDE], [3 * SIDE, SIDE]]
SIZES = [(40, 90), (90, 40), (56, 56), (31, 29), (20, 75)]
ROWS = ((1,), (0, 2), (), (3, 4))  # which pictures stand in which row of a batch


def picture(size: tuple[int, int]) -> Image.Image:
    values = np.random.default_rng(sum(size)).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    return Image.fromarray(values).resize(size, Image.Resampling.BICUBIC)


def llava(**changes: Any) -> Any:
    config = transformers.LlavaConfig(
        text_config=text_config(), vision_config=vision_config(), image_token_index=IMAGE_TOKEN, **changes
    )
    return scramble(transformers.LlavaForConditionalGeneration(config), seed=11)


def llava_next(family: str = "mistral") -> Any:
    config = transformers.LlavaNextConfig(
        text_config=text_config(family),
        vision_config=vision_config(),
        image_token_index=IMAGE_TOKEN,
        image_grid_pinpoints=PINPOINTS,
    )
    return scramble(transformers.LlavaNextForConditionalGeneration(config), seed=12)


def pictures(loaded: LoadedModel) -> tuple[list[torch.Tensor], list[Grid]]:
    how = loaded.description.preprocessing
    assert how is not None
    seen = [preprocess(picture(size), how) for size in SIZES]
    return [torch.from_numpy(tiles) for tiles, _ in seen], [grid for _, grid in seen]


def batch(grids: list[Grid]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids [4, L] with -200 at image positions, ragged on the right, and the mask of what is real."""
    generator = torch.Generator().manual_seed(4)
    rows = []
    for order in ROWS:
        row = torch.randint(3, IMAGE_TOKEN, (5,), generator=generator).tolist()
        for index in order:
            row += [-200] * grids[index].tokens + torch.randint(3, IMAGE_TOKEN, (3,), generator=generator).tolist()
        rows.append(row)
    length = max(map(len, rows))
    mask = torch.tensor([[True] * len(row) + [False] * (length - len(row)) for row in rows])
    return torch.tensor([row + [0] * (length - len(row)) for row in rows]), mask


def compare(loaded: LoadedModel, theirs: Any, image_id: int) -> None:
    tiles, grids = pictures(loaded)
    order = [index for row in ROWS for index in row]
    ids, mask = batch(grids)
    features = loaded.model.features([tiles[index] for index in order], [grids[index] for index in order])
    found = loaded.model.logits_for(ids, features)
    inputs = {"input_ids": ids.where(ids >= 0, torch.tensor(image_id)), "attention_mask": mask.long()}
    if isinstance(theirs, transformers.LlavaNextForConditionalGeneration):
        most = max(len(each) for each in tiles)
        padded = [torch.cat((tiles[i], torch.zeros(most - len(tiles[i]), 3, SIDE, SIDE))) for i in order]
        sizes = torch.tensor([SIZES[index][::-1] for index in order])  # (height, width)
        expected = theirs(**inputs, pixel_values=torch.stack(padded), image_sizes=sizes).logits
    else:
        expected = theirs(**inputs, pixel_values=torch.cat([tiles[index] for index in order])).logits
    assert found.shape[-1] <= expected.shape[-1]
    torch.testing.assert_close(found[mask], expected[mask][:, : found.shape[-1]], rtol=1e-4, atol=2e-4)


@torch.inference_mode()
@pytest.mark.parametrize("strategy", ["default", "full"])
@pytest.mark.parametrize("layer", [-2, -1, 1])
def test_llava_read(layer: int, strategy: str, tmp_path: Path) -> None:
    theirs = llava(vision_feature_layer=layer, vision_feature_select_strategy=strategy)
    compare(load_model(save(theirs, tmp_path)), theirs, IMAGE_TOKEN)


@torch.inference_mode()
@pytest.mark.parametrize("family", ["llama", "mistral"])
def test_llava_next_read(family: str, tmp_path: Path) -> None:
    theirs = llava_next(family)
    loaded = load_model(save(theirs, tmp_path))
    assert loaded.description.template == ("mistral_instruct" if family == "mistral" else "vicuna_v1")
    compare(loaded, theirs, IMAGE_TOKEN)


@torch.inference_mode()
@pytest.mark.parametrize("is_next", [False, True], ids=["llava", "next"])
def test_there_and_back(is_next: bool, tmp_path: Path) -> None:
    theirs = llava_next() if is_next else llava()
    save(theirs, tmp_path / "theirs")
    convert(tmp_path / "theirs", tmp_path / "ours", "pumice")
    convert(tmp_path / "ours", tmp_path / "back", "llava-hf")
    back = reload_strictly(tmp_path / "back")
    compare(load_model(tmp_path / "ours"), back, back.config.image_token_id)
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(back.state_dict()[name][: len(tensor)] if tensor.dim() else tensor, tensor), name


CASES = [
    pytest.param({}, {}, {}, id="pad"),
    pytest.param({"mode": "square"}, {}, {}, id="square"),
    pytest.param({"keeps_cls": True}, {"select_feature": "cls_patch"}, {}, id="class-token"),
    pytest.param({"mode": "anyres", "merge": "spatial_unpad"}, {}, {}, id="anyres"),
    pytest.param({"template": "mistral_instruct"}, {"select_layer": 2}, {"sliding_window": 7}, id="window"),
    pytest.param({}, {"activation": "gelu"}, {"tied_embeddings": True}, id="tied"),
    pytest.param({}, {}, {"rope_scaling": RopeScaling("linear", 2.0), "rope_theta": 500.0}, id="linear-rope"),
    pytest.param({}, {}, {"rope_scaling": RopeScaling("llama3", 8.0, original_max_positions=32)}, id="llama3-rope"),
]


@torch.inference_mode()
@pytest.mark.parametrize(("reading", "seeing", "speaking"), CASES)
def test_ours_written_as_theirs(
    reading: dict[str, Any], seeing: dict[str, Any], speaking: dict[str, Any], tmp_path: Path
) -> None:
    """A trained model of ours, without the vision layers that it never reads."""
    is_next = reading.get("mode") == "anyres"
    see, speak = tiny.vision(**seeing), tiny.language(**speaking)
    model = scramble(tiny.model(see=see, speak=speak, newline=is_next), seed=13)
    processor = tiny.processor(**reading)
    save_checkpoint(model, processor, tmp_path / "ours")
    convert(tmp_path / "ours", tmp_path / "theirs", "llava-hf")
    theirs = reload_strictly(tmp_path / "theirs")
    assert theirs.config.text_config.vocab_size % 64 == 0
    reader = transformers.AutoProcessor.from_pretrained(tmp_path / "theirs")
    assert reader.tokenizer.convert_tokens_to_ids("<image>") == theirs.config.image_token_id
    for seed, size in enumerate(SIZES):
        image = tiny.picture(seed, size)
        inputs = processor(tiny.Conversation.ask("What is it?", (tiny.Image(image),)))
        read = reader(text="<image>", images=image, return_tensors="pt")
        assert int((read["input_ids"] == theirs.config.image_token_id).sum()) == inputs.image_tokens
        pixels = torch.from_numpy(inputs.tiles[0])
        found = read["pixel_values"].flatten(0, -4)[: len(pixels)]
        # their padding and resizing round to 8 bits at other places than the reference does
        assert float((found - pixels).abs().mean()) < 0.02
        ids = torch.tensor([inputs.ids])
        ours = model.logits_for(ids, model.features([pixels], inputs.grids))
        extra = {"image_sizes": read["image_sizes"]} if is_next else {}
        expected = theirs(
            input_ids=ids.where(ids >= 0, torch.tensor(theirs.config.image_token_id)),
            pixel_values=pixels[None] if is_next else pixels,
            **extra,
        ).logits
        torch.testing.assert_close(ours, expected[..., : tiny.VOCABULARY], rtol=1e-4, atol=2e-4)
    back = load_model(tmp_path / "theirs")
    assert back.description.template == processor.template.name
    assert back.description.preprocessing == processor.preprocessing


def test_a_sentencepiece_vocabulary_with_new_tokens(tmp_path: Path) -> None:
    """transformers finds the picture's token where only ``tokenizer.model`` and its companions say so."""
    folder = Path(os.environ.get("PUMICE_GOLDEN", Path(__file__).parents[2] / "../shared/golden")) / "text"
    if not (folder / "tokenizer.model").is_file():
        pytest.skip(f"no tokenizer.model in {folder}; set PUMICE_GOLDEN")
    tokenizer = load_tokenizer(folder)
    model = tiny.model(speak=tiny.language(vocab_size=tokenizer.size), newline=False)
    save_checkpoint(model, replace(tiny.processor(), tokenizer=tokenizer), tmp_path / "ours")
    convert(tmp_path / "ours", tmp_path / "theirs", "llava-hf")
    theirs = reload_strictly(tmp_path / "theirs")
    reader = transformers.AutoProcessor.from_pretrained(tmp_path / "theirs")
    picture_id, pad_id = tokenizer.size, tokenizer.size + 1
    assert theirs.config.image_token_id == picture_id
    assert reader.tokenizer.convert_tokens_to_ids(["<image>", "<pad>"]) == [picture_id, pad_id]
    read = reader(text="USER: <image> what?", images=picture((40, 30)), return_tensors="pt")
    assert int((read["input_ids"] == picture_id).sum()) == 4
    again = load_checkpoint(tmp_path / "theirs").processor.tokenizer
    assert (again.special_id("<image>"), again.special_id("<pad>"), again.pad_id) == (picture_id, pad_id, pad_id)
