"""Encoding one picture: seconds, and how far the projected features are from float32.

    python benchmarks/vision.py MODEL [--gguf FOLDER] [--rounds 5]

MODEL is in the llava-hf layout if transformers is to be measured too (``--transformers``). All in one process, taking
turns, medians; the error is the root of the mean square of the difference over that of the features.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pumice.engine.engine import Engine
from pumice.quantize.plan import standard_plan

Encoder = Callable[[], Tensor]


def ours(model: str, picture: str, *, dtype: str = "auto", bits: int | None = None) -> Encoder:
    plan = None if bits is None else standard_plan(8, vision_bits=8)
    engine = Engine.load(model, device="cpu", dtype=dtype, quantization=plan)
    tiles = torch.from_numpy(engine.processor.see(picture).tiles)
    return lambda: engine.model.encode_images(tiles).flatten(0, 1)


def transformers(model: str, picture: str) -> Encoder:
    from transformers import LlavaForConditionalGeneration

    peer = LlavaForConditionalGeneration.from_pretrained(model, dtype=torch.bfloat16).eval()
    tiles = torch.from_numpy(Engine.load(model, device="cpu").processor.see(picture).tiles).to(torch.bfloat16)
    return lambda: torch.cat(list(peer.get_image_features(pixel_values=tiles).pooler_output)).float()


def llama(gguf: Path, picture: str) -> Encoder:
    from llama import Llama, Tower

    kind = next(path for path in sorted(gguf.glob("Q*.gguf")))  # any: only its width matters here
    tower = Tower(gguf / "mmproj.gguf", Llama(kind, positions=64))
    pixels = np.asarray(Image.open(picture).convert("RGB"))
    return lambda: torch.from_numpy(tower.features(pixels))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--picture", default="examples/cups.png")
    parser.add_argument("--gguf", type=Path)
    parser.add_argument("--transformers", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    encoders: dict[str, Encoder] = {
        "Pumice float32": ours(options.model, options.picture, dtype="float32"),
        "Pumice as stored": ours(options.model, options.picture),
        "Pumice 8-bit": ours(options.model, options.picture, bits=8),
    }
    if options.transformers:
        encoders["transformers bf16"] = transformers(options.model, options.picture)
    if options.gguf is not None:
        encoders["llama.cpp F16"] = llama(options.gguf, options.picture)
    seconds: dict[str, list[float]] = {name: [] for name in encoders}
    features: dict[str, Tensor] = {}
    with torch.inference_mode():
        for _ in range(options.rounds + 1):
            for name, encode in encoders.items():
                began = time.perf_counter()
                features[name] = encode()
                seconds[name].append(time.perf_counter() - began)
    exact = features["Pumice float32"]
    found = {}
    for name, times in seconds.items():
        error = float((features[name].float() - exact).square().mean().sqrt() / exact.square().mean().sqrt())
        found[name] = {"seconds": round(statistics.median(times[1:]), 3), "error": round(error, 5)}
        print(f"| {name} | {found[name]['seconds']} | {error:.2%} |")
    print(json.dumps({"model": options.model, "rounds": options.rounds, "found": found}))


if __name__ == "__main__":
    main()
