"""A checkpoint's weights for llama.cpp: BF16 and F16 files by ``gguf``, the quantised ones by llama.cpp itself.

    python benchmarks/gguf_files.py MODEL FOLDER [--types Q4_0,Q4_K_M,Q8_0]

Writes FOLDER/BF16.gguf, FOLDER/mmproj.gguf (the vision tower and the projector, F16) and one file a type. The tokens
have made-up names: what is compared is arithmetic, and it is fed with token ids.
"""

from __future__ import annotations

import argparse
import ctypes
from collections.abc import Iterator
from pathlib import Path

import gguf
import llama_cpp
import numpy as np
import torch
from torch import Tensor

from pumice.checkpoint.load import load_checkpoint
from pumice.model.config import LlavaConfig

TEXT = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
TEXT_ENDS = {"embed_tokens": "token_embd", "norm": "output_norm", "lm_head": "output"}
TOWER = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.out_proj": "attn_out",
    "mlp.fc1": "ffn_up",
    "mlp.fc2": "ffn_down",
    "layer_norm1": "ln1",
    "layer_norm2": "ln2",
}
TOWER_ENDS = {"patch_embedding": "patch_embd", "position_embedding": "position_embd", "pre_norm": "pre_ln"}
FILE_TYPES = {"Q4_0": 2, "Q8_0": 7, "Q4_K_M": 15}  # enum llama_ftype


def interleaved(weight: Tensor, heads: int) -> Tensor:
    """Rows of q_proj or k_proj in llama.cpp's order: the two coordinates that rotate together are neighbours."""
    return weight.unflatten(0, (heads, 2, -1)).transpose(1, 2).flatten(0, 2)


def named(name: str, middle: dict[str, str], ends: dict[str, str], prefix: str) -> str:
    """``layers.3.mlp.fc1.bias`` -> ``v.blk.3.ffn_down.bias``."""
    stem, _, kind = name.rpartition(".")
    if not stem.startswith("layers."):
        return f"{prefix}{ends[stem]}.{kind}"
    _, index, rest = stem.split(".", 2)
    return f"{prefix}blk.{index}.{middle[rest]}.{kind}"


def text_tensors(state: dict[str, Tensor], config: LlavaConfig) -> Iterator[tuple[str, Tensor]]:
    """The language model: norms in float32, the rest in bfloat16."""
    for name, tensor in state.items():
        if not name.startswith("language."):
            continue
        heads = {"q_proj": config.language.heads, "k_proj": config.language.kv_heads}.get(name.split(".")[-2])
        ordered = tensor if heads is None else interleaved(tensor, heads)
        target = torch.float32 if tensor.dim() == 1 else torch.bfloat16
        yield named(name.removeprefix("language."), TEXT, TEXT_ENDS, ""), ordered.to(target)


def tower_tensors(state: dict[str, Tensor], config: LlavaConfig) -> Iterator[tuple[str, Tensor]]:
    """Vision tower and projector: matrices in float16, the rest in float32. A layer that is never run is a copy."""
    last = config.vision.used_layers - 1
    for name, tensor in state.items():
        target = torch.float32 if tensor.dim() == 1 or "position" in name else torch.float16
        if name == "vision.class_embedding":
            yield "v.class_embd", tensor.float()
        elif name.startswith("vision."):
            own = name.removeprefix("vision.")
            yield named(own, TOWER, TOWER_ENDS, "v."), tensor.to(target)
            if own.startswith(f"layers.{last}.") and last + 1 < config.vision.layers:
                unused = own.replace(f"layers.{last}.", f"layers.{last + 1}.")
                yield named(unused, TOWER, TOWER_ENDS, "v."), tensor.to(target)
        elif name.startswith("connector.layers."):
            yield f"mm.{name.removeprefix('connector.layers.')}", tensor.to(target)


def as_bytes(tensor: Tensor) -> tuple[np.ndarray, gguf.GGMLQuantizationType]:
    """What the writer takes; bfloat16 is unknown to numpy and goes as bytes."""
    types = gguf.GGMLQuantizationType
    if tensor.dtype == torch.bfloat16:
        return tensor.contiguous().view(torch.uint8).numpy(), types.BF16
    return tensor.contiguous().numpy(), types.F16 if tensor.dtype == torch.float16 else types.F32


def write(writer: gguf.GGUFWriter, tensors: list[tuple[str, Tensor]]) -> None:
    """Header and tensors, one tensor in memory at a time."""
    for name, tensor in tensors:
        data, kind = as_bytes(tensor[:0] if tensor.dim() > 1 else tensor)
        shape = list(tensor.shape)
        if kind == gguf.GGMLQuantizationType.BF16:
            shape[-1] *= 2
        writer.add_tensor_info(name, shape, data.dtype, tensor.nbytes, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for _, tensor in tensors:
        writer.write_tensor_data(as_bytes(tensor)[0])
    writer.close()


def write_text(path: Path, state: dict[str, Tensor], config: LlavaConfig) -> None:
    language = config.language
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(language.max_positions)
    writer.add_embedding_length(language.hidden_size)
    writer.add_block_count(language.layers)
    writer.add_feed_forward_length(language.intermediate_size)
    writer.add_head_count(language.heads)
    writer.add_head_count_kv(language.kv_heads)
    writer.add_rope_dimension_count(language.head_dim)
    writer.add_rope_freq_base(language.rope_theta)
    writer.add_layer_norm_rms_eps(language.norm_eps)
    writer.add_vocab_size(language.vocab_size)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)
    writer.add_tokenizer_model("llama")
    count = language.vocab_size
    names = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    names += [f"word{index}" for index in range(len(names), count)]
    writer.add_token_list(names)
    writer.add_token_scores([0.0] * count)
    kinds = gguf.TokenType
    writer.add_token_types(
        [kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL, *[kinds.BYTE] * 256, *[kinds.NORMAL] * (count - 259)]
    )
    write(writer, list(text_tensors(state, config)))


def write_tower(path: Path, state: dict[str, Tensor], config: LlavaConfig) -> None:
    vision = config.vision
    writer = gguf.GGUFWriter(str(path), "clip")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "mlp")
    writer.add_bool("clip.use_gelu", vision.activation == "gelu")
    writer.add_uint32("clip.vision.image_size", vision.image_size)
    writer.add_uint32("clip.vision.patch_size", vision.patch_size)
    writer.add_uint32("clip.vision.embedding_length", vision.hidden_size)
    writer.add_uint32("clip.vision.feed_forward_length", vision.intermediate_size)
    writer.add_uint32("clip.vision.projection_dim", config.language.hidden_size)
    writer.add_uint32("clip.vision.block_count", vision.layers)
    writer.add_uint32("clip.vision.attention.head_count", vision.heads)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", vision.norm_eps)
    writer.add_array("clip.vision.image_mean", [0.48145466, 0.4578275, 0.40821073])
    writer.add_array("clip.vision.image_std", [0.26862954, 0.26130258, 0.27577711])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    write(writer, list(tower_tensors(state, config)))


def quantised(source: Path, kind: str) -> None:
    """Let llama.cpp make FOLDER/KIND.gguf of BF16.gguf."""
    how = llama_cpp.llama_model_quantize_default_params()
    how.ftype, how.nthread = FILE_TYPES[kind], 2
    target = source.with_name(f"{kind}.gguf")
    if llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(how)) != 0:
        raise SystemExit(f"llama.cpp could not write {target}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--types", default="Q4_0,Q4_K_M,Q8_0")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    checkpoint = load_checkpoint(options.model)
    state, config = checkpoint.model.state_dict(), checkpoint.model.config
    write_text(options.folder / "BF16.gguf", state, config)
    write_tower(options.folder / "mmproj.gguf", state, config)
    for kind in options.types.split(","):
        quantised(options.folder / "BF16.gguf", kind)


if __name__ == "__main__":
    main()
