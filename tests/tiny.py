"""The smallest models that are still whole: two layers, 32 dimensions, tiles of 28 pixels, a tokenizer made here."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as PilImage

from pumice.engine.engine import Engine
from pumice.images.config import Merge, Mode, Preprocessing
from pumice.model.config import ConnectorConfig, LanguageConfig, LlavaConfig, VisionConfig
from pumice.model.llava import Llava
from pumice.processor import Inputs, Processor
from pumice.prompts.conversation import Conversation, Image
from pumice.prompts.templates import get_template
from pumice.prompts.tokenizer import Tokenizer, load_tokenizer
from pumice.train.vocabulary import build_tokenizer

# Matrices this small only lose by being shared out; on a busy machine, threads that wait for one another cost minutes.
torch.set_num_threads(1)

SIDE = 28
PATCH = 14
VOCABULARY = 480
MOSAICS = ((56, 28), (28, 56), (56, 56), (84, 28))
SENTENCES = (
    "A chat between a curious user and an artificial intelligence assistant.",
    "The assistant gives helpful, detailed, and polite answers to the user's questions.",
    "USER: What is in the picture? ASSISTANT: A red cup on a table, 0.35 from the left.",
    "USER: How many dice are there? ASSISTANT: Two dice; they add up to seven.",
    "Be brief. Describe it, please! What colour is the sky?",
)


@lru_cache
def tokenizer() -> Tokenizer:
    """A real one, learned from the sentences above."""
    with tempfile.TemporaryDirectory() as folder:
        build_tokenizer(SENTENCES * 3, VOCABULARY, Path(folder))
        return load_tokenizer(folder)


def processor(
    template: str = "vicuna_v1", *, mode: Mode = "pad", merge: Merge = "flat", keeps_cls: bool = False
) -> Processor:
    """Reads pictures as the models of this file see them."""
    pinpoints = MOSAICS if mode == "anyres" else ()
    how = Preprocessing(SIDE, PATCH, mode=mode, merge=merge, pinpoints=pinpoints, keeps_cls=keeps_cls)
    return Processor(tokenizer(), get_template(template), how)


def language(**changes: Any) -> LanguageConfig:
    """Grouped queries by default: four heads share two keys."""
    values: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 48,
        "layers": 2,
        "heads": 4,
        "kv_heads": 2,
        "head_dim": 8,
        "max_positions": 1024,
    }
    return LanguageConfig(**{**values, **changes})


def vision(**changes: Any) -> VisionConfig:
    """Two by two patches."""
    values: dict[str, Any] = {
        "image_size": SIDE,
        "patch_size": PATCH,
        "hidden_size": 24,
        "intermediate_size": 32,
        "layers": 3,
        "heads": 2,
    }
    return VisionConfig(**{**values, **changes})


def model(
    seed: int = 0,
    *,
    see: VisionConfig | None = None,
    speak: LanguageConfig | None = None,
    newline: bool = True,
    sees: bool = True,
) -> Llava:
    """Random weights, the same for the same seed, large enough that every token and picture matters."""
    state = torch.random.get_rng_state()
    try:
        torch.manual_seed(seed)
        config = LlavaConfig(
            language=speak or language(),
            vision=(see or vision()) if sees else None,
            connector=ConnectorConfig("mlp", 2) if sees else None,
            has_newline=newline and sees,
        )
        made = Llava(config).eval()
        with torch.no_grad():
            for name, parameter in made.named_parameters():
                if parameter.ndim >= 2 and "embed" not in name:
                    parameter.mul_(2.0)
    finally:
        torch.random.set_rng_state(state)
    return made


def engine(seed: int = 0, template: str = "vicuna_v1", **changes: Any) -> Engine:
    """An engine around a fresh model, which remembers nothing."""
    return Engine(model(seed, **changes), processor(template))


def picture(seed: int, size: tuple[int, int] = (40, 30)) -> PilImage.Image:
    """Noise in large squares, different for every seed."""
    values = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return PilImage.fromarray(values).resize(size, PilImage.Resampling.NEAREST)


def question(text: str, *seeds: int) -> Conversation:
    """A question about the pictures of these seeds, under a short system text."""
    return Conversation.ask(text, tuple(Image(picture(seed)) for seed in seeds), system="Be brief.")


def features(made: Llava, inputs: Inputs) -> torch.Tensor | None:
    """The image features of ``inputs``."""
    if not inputs.grids:
        return None
    return made.features([torch.from_numpy(tiles) for tiles in inputs.tiles], inputs.grids)


@torch.inference_mode()
def greedy(made: Llava, inputs: Inputs, count: int, stop: Sequence[int] = (2,)) -> list[int]:
    """The plainest way to answer: the whole sequence through the model again for every token."""
    ids, seen, said = list(inputs.ids), features(made, inputs), []
    while len(said) < count:
        token = int(made.logits_for(torch.tensor([ids]), seen)[0, -1].argmax())
        if token in stop:
            break
        ids.append(token)
        said.append(token)
    return said
