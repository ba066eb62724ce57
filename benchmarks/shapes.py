"""Random checkpoints with the shapes of real models, written shard by shard in a published layout.

    python benchmarks/shapes.py FOLDER --shape M --layout original --format bin

Shapes: S is TinyLlama-1.1B, M is LLaVA-1.5-7B, both with CLIP ViT-L/14-336. The weights are noise; what is measured
on them is speed and memory. The tokenizer is the bundled model's. LLaVA-1.5 itself was published as ``bin``: pickled
shards ``pytorch_model-00001-of-0000N.bin`` with an index.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from pumice.checkpoint.convert import Options, convert
from pumice.checkpoint.load import expected_shapes
from pumice.checkpoint.names import original_layout
from pumice.checkpoint.writing import fresh_folder, grouped, save_shards, write_json
from pumice.engine.engine import BUNDLED
from pumice.model.config import ConnectorConfig, LanguageConfig, LlavaConfig, VisionConfig

SHAPES = {
    "S": LanguageConfig(32000, 2048, 5632, layers=22, heads=32, kv_heads=4, head_dim=64, max_positions=4096),
    "M": LanguageConfig(32000, 4096, 11008, layers=32, heads=32, kv_heads=32, head_dim=128, max_positions=4096),
}
TOWER = VisionConfig(336, 14, 1024, 4096, layers=24, heads=16, select_layer=-2)
SHARD_BYTES = 2 << 30
SPREAD = 0.02


def random_tensors(config: LlavaConfig) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of the model under its original name, bf16, one at a time."""
    layout = original_layout("mlp")
    generator = torch.Generator().manual_seed(0)
    for name, shape in expected_shapes(config).items():
        theirs = layout.theirs(name)
        assert theirs is not None, name
        if "norm" in name and name.endswith("weight"):
            yield theirs, torch.ones(shape, dtype=torch.bfloat16)
        else:
            yield theirs, (torch.randn(shape, generator=generator) * SPREAD).to(torch.bfloat16)


def original_config(language: LanguageConfig) -> dict[str, object]:
    """What LLaVA-1.5's config.json says, with the tower inside the checkpoint."""
    return {
        "architectures": ["LlavaLlamaForCausalLM"],
        "model_type": "llava_llama",
        "hidden_size": language.hidden_size,
        "intermediate_size": language.intermediate_size,
        "num_hidden_layers": language.layers,
        "num_attention_heads": language.heads,
        "num_key_value_heads": language.kv_heads,
        "vocab_size": language.vocab_size,
        "rms_norm_eps": language.norm_eps,
        "max_position_embeddings": language.max_positions,
        "hidden_act": "silu",
        "torch_dtype": "bfloat16",
        "mm_vision_tower": "tower",
        "mm_hidden_size": TOWER.hidden_size,
        "mm_projector_type": "mlp2x_gelu",
        "mm_vision_select_layer": TOWER.select_layer,
        "mm_vision_select_feature": "patch",
        "image_aspect_ratio": "pad",
        "unfreeze_mm_vision_tower": True,
    }


def tower_config() -> dict[str, object]:
    """config.json of the vision tower that the checkpoint names."""
    return {
        "model_type": "clip_vision_model",
        "hidden_size": TOWER.hidden_size,
        "intermediate_size": TOWER.intermediate_size,
        "num_hidden_layers": TOWER.layers,
        "num_attention_heads": TOWER.heads,
        "image_size": TOWER.image_size,
        "patch_size": TOWER.patch_size,
        "hidden_act": "quick_gelu",
    }


def save_pickles(folder: Path, tensors: Iterable[tuple[str, Tensor]]) -> None:
    """Numbered ``.bin`` shards and their index, one shard in memory at a time."""
    shards: list[list[str]] = []
    total = 0
    for group in grouped(tensors, SHARD_BYTES):
        torch.save(group, folder / f"{len(shards)}.shard")
        shards.append(list(group))
        total += sum(tensor.nbytes for tensor in group.values())
    weight_map = {}
    for index, names in enumerate(shards):
        name = f"pytorch_model-{index + 1:05d}-of-{len(shards):05d}.bin"
        (folder / f"{index}.shard").rename(folder / name)
        weight_map.update(dict.fromkeys(names, name))
    write_json(folder / "pytorch_model.bin.index.json", {"metadata": {"total_size": total}, "weight_map": weight_map})


def write_original(folder: Path, shape: str, *, pickled: bool = False) -> None:
    """The original layout: shards with the tower inside, its config beside them."""
    language = SHAPES[shape]
    with fresh_folder(folder) as work:
        tensors = random_tensors(LlavaConfig(language, TOWER, ConnectorConfig()))
        if pickled:
            save_pickles(work, tensors)
        else:
            save_shards(work, tensors, shard_bytes=SHARD_BYTES)
        (work / "config.json").write_text(json.dumps(original_config(language)), encoding="utf-8")
        (work / "tower").mkdir()
        (work / "tower" / "config.json").write_text(json.dumps(tower_config()), encoding="utf-8")
        for file in BUNDLED.glob("tokenizer*"):
            shutil.copy(file, work / file.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", choices=SHAPES, default="M")
    parser.add_argument("--layout", choices=("original", "llava-hf"), default="original")
    parser.add_argument("--format", choices=("safetensors", "bin"), default="safetensors", help="of the shards")
    options = parser.parse_args()
    if options.format == "bin" and options.layout != "original":
        parser.error("only the original layout was published as bin")
    if options.layout == "original":
        write_original(options.folder, options.shape, pickled=options.format == "bin")
        return
    source = options.folder.with_name(options.folder.name + "-original")
    write_original(source, options.shape)
    convert(source, options.folder, "llava-hf", Options())
    shutil.rmtree(source)


if __name__ == "__main__":
    main()
