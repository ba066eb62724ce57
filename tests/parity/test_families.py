"""LLaVA-OneVision and LLaVA-NeXT upon Qwen2, Llama 3 and SigLIP equal transformers', from either layout and back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from pumice.checkpoint.convert import convert
from pumice.checkpoint.load import Arithmetic, LoadedModel, load_model
from pumice.checkpoint.quantized import quantize_checkpoint
from pumice.engine.decode import Runner
from pumice.images.grid import Grid
from pumice.images.preprocess import preprocess
from pumice.quantize.plan import standard_plan

from .oracle import (
    IMAGE_TOKEN,
    reload_strictly,
    save,
    scramble,
    siglip_config,
    text_config,
    transformers,
    vision_config,
)
from .test_language import FAST, LLAMA3

SIZES = [(40, 90), (200, 190), (30, 30), (31, 29), (120, 55)]
ROWS = ((1,), (0, 2), (), (3,), (4, 1, 0))  # which pictures stand in which row of a batch; alone, or among others
ANSWER = 12


def pinpoints(side: int, most: int = 4) -> list[list[int]]:
    return [[side * rows, side * columns] for rows in range(1, most + 1) for columns in range(1, most + 1)]


def onevision(text: str = "qwen2", **changes: Any) -> Any:
    vision = siglip_config(vision_use_head=False)
    config = transformers.LlavaOnevisionConfig(
        text_config=text_config(text, **changes),
        vision_config=vision,
        image_token_index=IMAGE_TOKEN,
        video_token_index=IMAGE_TOKEN + 1,
        image_grid_pinpoints=pinpoints(vision.image_size),
        vision_aspect_ratio="anyres_max_4",
    )
    return scramble(transformers.LlavaOnevisionForConditionalGeneration(config), seed=21)


def following(text: str, tower: str = "clip", **changes: Any) -> Any:
    """LLaVA-NeXT of lmms-lab: another language model or tower in the frame of 1.6."""
    vision = vision_config() if tower == "clip" else siglip_config()
    config = transformers.LlavaNextConfig(
        text_config=text_config(text, **changes),
        vision_config=vision,
        vision_feature_select_strategy="default" if tower == "clip" else "full",
        image_token_index=IMAGE_TOKEN,
        image_grid_pinpoints=pinpoints(vision.image_size, 2),
    )
    return scramble(transformers.LlavaNextForConditionalGeneration(config), seed=22)


def first(text: str, tower: str = "siglip", **changes: Any) -> Any:
    """LLaVA-1.5's frame: BakLLaVA, and the towers and language models that others have put into it."""
    config = transformers.LlavaConfig(
        text_config=text_config(text, **changes),
        vision_config=vision_config() if tower == "clip" else siglip_config(),
        vision_feature_select_strategy="default" if tower == "clip" else "full",
        image_token_index=IMAGE_TOKEN,
    )
    return scramble(transformers.LlavaForConditionalGeneration(config), seed=23)


MODELS = {
    "onevision": onevision,
    "onevision-tied": lambda: onevision(tie_word_embeddings=True, rope_parameters=FAST),
    "onevision-llama": lambda: onevision("llama"),
    "next-llama3": lambda: following("llama", rope_parameters=LLAMA3),
    "next-qwen": lambda: following("qwen2"),
    "next-siglip-qwen": lambda: following("qwen2", "siglip"),
    "first-siglip": lambda: first("llama"),
    "first-siglip-qwen": lambda: first("qwen2"),
    "bakllava": lambda: first("mistral", "clip", sliding_window=9),
}
TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}


def picture(size: tuple[int, int]) -> Image.Image:
    values = np.random.default_rng(sum(size)).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    return Image.fromarray(values).resize(size, Image.Resampling.BICUBIC)


def pictures(loaded: LoadedModel, order: Sequence[int]) -> tuple[list[torch.Tensor], list[Grid]]:
    how = loaded.description.preprocessing
    assert how is not None
    seen = [preprocess(picture(SIZES[index]), how, alone=len(order) == 1) for index in order]
    return [torch.from_numpy(tiles) for tiles, _ in seen], [grid for _, grid in seen]


def words(grids: Sequence[Grid]) -> list[int]:
    """A prompt with -200 where pictures stand."""
    generator = torch.Generator().manual_seed(len(grids))
    row = torch.randint(3, IMAGE_TOKEN, (5,), generator=generator).tolist()
    for grid in grids:
        row += [-200] * grid.tokens + torch.randint(3, IMAGE_TOKEN, (3,), generator=generator).tolist()
    return row


def asked(theirs: Any, order: Sequence[int], ids: list[int], tiles: list[torch.Tensor]) -> dict[str, Any]:
    """What transformers' model takes for one row."""
    row = torch.tensor([ids])
    inputs: dict[str, Any] = {"input_ids": row.where(row >= 0, theirs.config.image_token_id)}
    if not order:
        return inputs
    if theirs.config.model_type == "llava":
        return {**inputs, "pixel_values": torch.cat(tiles)}
    most = max(len(each) for each in tiles)
    padded = [torch.cat((each, each.new_zeros(most - len(each), *each.shape[1:]))) for each in tiles]
    sizes = torch.tensor([SIZES[index][::-1] for index in order])  # (height, width)
    several = {"batch_num_images": torch.tensor([len(order)])} if theirs.config.model_type == "llava_onevision" else {}
    return {**inputs, "pixel_values": torch.stack(padded), "image_sizes": sizes, **several}


def greedy(loaded: LoadedModel, ids: list[int], features: torch.Tensor | None) -> list[int]:
    """As the engine goes about it: a prefill, then one token at a time over the cache."""
    runner = Runner(loaded.model)
    cache, said = runner.new_cache(len(ids) + ANSWER), []
    logits = runner.prefill(ids, 0, features, cache)
    for place in range(len(ids), len(ids) + ANSWER):
        said.append(int(logits.argmax()))
        logits = runner.step(said[-1:], [place], [cache])[0]
    return said


def compare(loaded: LoadedModel, theirs: Any) -> None:
    theirs.generation_config.eos_token_id = None
    for order in ROWS:
        tiles, grids = pictures(loaded, order)
        ids = words(grids)
        features = loaded.model.features(tiles, grids) if grids else None
        found = loaded.model.logits_for(torch.tensor([ids]), features)
        inputs = asked(theirs, order, ids, tiles)
        expected = theirs(**inputs).logits[..., : found.shape[-1]]
        torch.testing.assert_close(found[..., : expected.shape[-1]], expected, **TOLERANCE)
        said = theirs.generate(**inputs, max_new_tokens=ANSWER, do_sample=False)[0, -ANSWER:].tolist()
        assert greedy(loaded, ids, features) == said


def _as_the_original(name: str) -> str:
    for pattern, new in (
        (r"^model\.vision_tower\.(vision_model\.)?", "model.vision_tower.vision_tower.vision_model."),
        (r"^model\.multi_modal_projector\.linear_1\.", "model.mm_projector.0."),
        (r"^model\.multi_modal_projector\.linear_2\.", "model.mm_projector.2."),
        (r"^model\.language_model\.", "model."),
    ):
        if re.match(pattern, name):
            return re.sub(pattern, new, name)
    return name


def original(theirs: Any, folder: Path) -> Path:
    """The same weights under the names of LLaVA's own code, with its config and the folder of its tower."""
    folder.mkdir()
    config = theirs.config
    tied = config.text_config.tie_word_embeddings
    state = {
        _as_the_original(name): tensor.clone()
        for name, tensor in theirs.state_dict().items()
        if name != "lm_head.weight" or not tied
    }
    save_file(state, folder / "model.safetensors")
    siglip = config.vision_config.model_type == "siglip_vision_model"
    vision = config.vision_config.to_dict()
    if siglip:  # LLaVA-NeXT deletes the last layer of the tower it names, and stores the rest
        vision["num_hidden_layers"] += 1 + (config.vision_feature_layer + 1)
    tower = folder / "tower"
    tower.mkdir()
    (tower / "config.json").write_text(json.dumps(vision))
    if siglip:
        size = {"height": vision["image_size"], "width": vision["image_size"]}
        processor = {"image_processor_type": "SiglipImageProcessor", "size": size, "image_mean": [0.5] * 3}
        (tower / "preprocessor_config.json").write_text(
            json.dumps({**processor, "image_std": [0.5] * 3, "resample": 3})
        )
    kind = {"qwen2": "llava_qwen", "llama": "llava_llama", "mistral": "llava_mistral"}[config.text_config.model_type]
    ratio = {"llava": "pad", "llava_next": "anyres", "llava_onevision": "anyres_max_4"}[config.model_type]
    pairs = None if ratio == "pad" else [pair[::-1] for pair in config.image_grid_pinpoints]  # (width, height)
    if ratio == "anyres_max_4":
        pairs = "(1x1),...,(4x4)"
    content = {
        **config.text_config.to_dict(),
        "model_type": kind,
        "mm_vision_tower": "tower",
        "mm_hidden_size": vision["hidden_size"],
        "mm_projector_type": "mlp2x_gelu",
        "mm_vision_select_layer": -2,
        "mm_vision_select_feature": "patch",
        "mm_use_im_start_end": False,
        "mm_use_im_patch_token": False,
        "mm_patch_merge_type": "flat" if ratio == "pad" else "spatial_unpad",
        "mm_newline_position": "one_token",
        "mm_resampler_type": None,
        "image_aspect_ratio": ratio,
        "image_grid_pinpoints": pairs,
    }
    (folder / "config.json").write_text(json.dumps(content))
    return folder


@torch.inference_mode()
@pytest.mark.parametrize("name", MODELS)
def test_read_in_transformers_layout(name: str, tmp_path: Path) -> None:
    theirs = MODELS[name]()
    compare(load_model(save(theirs, tmp_path)), theirs)


@torch.inference_mode()
@pytest.mark.parametrize("name", MODELS)
def test_read_in_the_originals_layout(name: str, tmp_path: Path) -> None:
    theirs = MODELS[name]()
    loaded = load_model(original(theirs, tmp_path / "original"))
    how = loaded.description.preprocessing
    assert how is not None and how.most_tiles == (4 if "onevision" in name else None)
    compare(loaded, theirs)


@torch.inference_mode()
@pytest.mark.parametrize("name", MODELS)
def test_through_every_layout_and_back(name: str, tmp_path: Path) -> None:
    theirs = MODELS[name]()
    at = save(theirs, tmp_path / "theirs")
    for step, to in enumerate(("pumice", "original", "llava-hf", "original", "pumice", "llava-hf")):
        convert(at, tmp_path / f"{step}", to)
        at = tmp_path / f"{step}"
    back = reload_strictly(at)
    assert type(back) is type(theirs)
    compare(load_model(at), back)
    for key, tensor in theirs.state_dict().items():
        unread = re.search(r"vision_tower.*(\.layers\.2\.|post_layernorm|\.head\.)", key)  # need not be kept
        if unread is None:
            assert torch.equal(back.state_dict()[key][: len(tensor)], tensor), key


@torch.inference_mode()
@pytest.mark.parametrize("make", [onevision, lambda **sizes: following("qwen2", **sizes)], ids=["onevision", "next"])
def test_in_8_bits(make: Callable[..., Any], tmp_path: Path) -> None:
    """Biases stay as they are; answers hardly change, and the native decode step is taken."""
    folder = save(make(intermediate_size=64), tmp_path / "theirs")
    plan = standard_plan(8)
    exact = load_model(folder)
    loaded = load_model(folder, how=Arithmetic(plan))
    quantize_checkpoint(folder, tmp_path / "stored", plan)
    stored = load_model(tmp_path / "stored", how=Arithmetic(wider=torch.float32))
    assert Runner(loaded.model).native is not None and Runner(stored.model).native is not None
    for order in ((1,), (0, 2)):
        tiles, grids = pictures(exact, order)
        ids = torch.tensor([words(grids)])
        wanted = exact.model.logits_for(ids, exact.model.features(tiles, grids))
        spread = float(wanted.abs().mean())
        for other in (loaded, stored):
            features = other.model.features(tiles, grids)
            found = other.model.logits_for(ids, features)
            assert float((found - wanted).abs().mean()) < 0.05 * spread
            assert greedy(other, ids[0].tolist(), features)[0] == int(found[0, -1].argmax())
