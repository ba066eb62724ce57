"""A whole decode step on a CPU, with integer or 16-bit weights, in one call of the native library.

``Decoder.forward`` is the definition; this is the same arithmetic without the hundreds of small operators between
the products, which take as long as the products themselves in a small model.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import POINTER, Structure, byref, c_float, c_int32, c_int64, c_void_p
from typing import cast

import torch
from torch import Tensor

from pumice.model.cache import KVCache
from pumice.model.language import DecoderLayer
from pumice.model.layers import rotary_frequencies
from pumice.model.llava import Llava
from pumice.quantize.library import Native, native
from pumice.quantize.linear import QuantizedLinear
from pumice.quantize.wide import WideLinear

_BIASED = ("q_proj", "k_proj", "v_proj")
_WIDE = {torch.bfloat16: 0, torch.float16: 1}  # what the library calls the group of 16-bit weights


class _Linear(Structure):
    _fields_ = (("packed", c_void_p), ("rows", c_int64), ("columns", c_int64), ("bits", c_int32), ("group", c_int32))


class _Layer(Structure):
    _fields_ = (
        ("attention_norm", c_void_p),
        ("mlp_norm", c_void_p),
        *((name, _Linear) for name in ("query", "key", "value", "output", "gate", "up", "down")),
        *((name, c_void_p) for name in ("query_bias", "key_bias", "value_bias")),
    )


class _Decoder(Structure):
    _fields_ = (
        ("heads", c_int64),
        ("kv_heads", c_int64),
        ("head_dim", c_int64),
        ("layers", c_int64),
        ("eps", c_float),
        ("layer", POINTER(_Layer)),
        ("norm", c_void_p),
        ("head", _Linear),
        ("cosines", c_void_p),
        ("sines", c_void_p),
        ("positions", c_int64),
    )


class _Step(Structure):
    _fields_ = (
        ("rows", c_int64),
        ("caches", c_int64),
        ("capacities", c_void_p),
        ("positions", c_void_p),
        ("x", c_void_p),
        ("keys", c_void_p),
        ("values", c_void_p),
        ("key_scales", c_void_p),
        ("value_scales", c_void_p),
        ("answered", c_int64),
        ("logits", c_void_p),
    )


class NativeDecoder:
    """The language model of ``model`` as the library sees it: addresses of tensors that ``model`` keeps alive."""

    cache_dtype = torch.bfloat16  # half the memory to read of float32, and it holds as many powers of two

    def __init__(self, library: Native, model: Llava) -> None:
        config, language = model.config.language, model.language
        self._library = library
        self._vocabulary = config.vocab_size
        self._model = model
        #: Whether it also reads prompts: its products of many rows are for integer weights.
        self.reads = not any(isinstance(each, WideLinear) for each in language.layers.modules())
        angles = torch.arange(config.max_positions)[:, None] * rotary_frequencies(config, torch.device("cpu"))
        self._turns = angles.cos().contiguous(), angles.sin().contiguous()  # [positions, E / 2]
        self._layers = (_Layer * config.layers)(*(_layer(cast(DecoderLayer, each)) for each in language.layers))
        self._decoder = _Decoder(
            config.heads,
            config.kv_heads,
            config.head_dim,
            config.layers,
            config.norm_eps,
            self._layers,
            language.norm.weight.data_ptr(),
            _head(model),
            *(table.data_ptr() for table in self._turns),
            config.max_positions,
        )

    @classmethod
    def of(cls, model: Llava) -> NativeDecoder | None:
        """None if the library is absent or cannot do it: a layer that is not packed, or a sliding window."""
        library, language = native(), model.language
        if library is None or model.config.language.sliding_window is not None or model.dtype != torch.float32:
            return None
        products = {name: each for name, each in language.named_modules() if name.endswith(("_proj", "lm_head"))}
        tied = model.config.language.tied_embeddings and not _is_16_bits(language.embed_tokens.weight)
        if tied or not all(_is_known(each, biased=name.endswith(_BIASED)) for name, each in products.items()):
            return None
        return cls(library, model)

    def step(self, x: Tensor, positions: Tensor, caches: Sequence[KVCache]) -> Tensor:
        """Logits [B, V] of the embeddings ``x`` [B, D] at ``positions`` [B]; keys and values go to each row's cache."""
        return self._run(x, positions, caches, len(x))

    def read(self, x: Tensor, positions: Tensor, cache: KVCache) -> Tensor:
        """Logits [1, V] after the last of the embeddings ``x`` [L, D], at ``positions`` [L] one after the other."""
        return self._run(x, positions, [cache], 1)

    def _run(self, x: Tensor, positions: Tensor, caches: Sequence[KVCache], answered: int) -> Tensor:
        kinds = {cache.keys[0].dtype for cache in caches}
        assert len(kinds) == 1 and kinds <= {self.cache_dtype, torch.int8}, f"caches of {kinds}"
        x = x.float().clone()  # becomes the residual stream
        positions = positions.contiguous()
        logits = x.new_empty(answered, self._vocabulary)
        parts = [_addresses(part) for part in zip(*(cache.parts for cache in caches), strict=True)]
        capacities = (c_int64 * len(caches))(*(cache.capacity for cache in caches))
        step = _Step(
            len(x),
            len(caches),
            ctypes.cast(capacities, c_void_p),
            positions.data_ptr(),
            x.data_ptr(),
            *(ctypes.cast(part, c_void_p) if part else None for part in parts),
            answered,
            logits.data_ptr(),
        )
        self._library.call.pumice_set_threads(torch.get_num_threads())
        code = self._library.call.pumice_decode(byref(self._decoder), byref(step))
        assert code == 0, "the library refuses a decoder that PyTorch could run"
        return logits


def _addresses(rows: Sequence[Sequence[Tensor]]) -> ctypes.Array[c_void_p]:
    """Of the tensors of each layer, row by row; ``rows`` holds the layers of each row, if this part has any."""
    ordered = [tensor.data_ptr() for layer in zip(*rows, strict=True) for tensor in layer]
    return (c_void_p * len(ordered))(*ordered)


def _layer(layer: DecoderLayer) -> _Layer:
    attention, mlp = layer.self_attn, layer.mlp
    return _Layer(
        layer.input_layernorm.weight.data_ptr(),
        layer.post_attention_layernorm.weight.data_ptr(),
        *(_linear(each) for each in (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj)),
        *(_linear(each) for each in (mlp.gate_proj, mlp.up_proj, mlp.down_proj)),
        *(
            None if each.bias is None else each.bias.data_ptr()
            for each in (attention.q_proj, attention.k_proj, attention.v_proj)
        ),
    )


def _is_known(layer: torch.nn.Module, *, biased: bool) -> bool:
    """biased: the library takes a bias here, which is float32 in a row."""
    if not isinstance(layer, WideLinear | QuantizedLinear):
        return False
    bias = layer.bias
    if bias is not None and not (biased and bias.dtype == torch.float32 and bias.is_contiguous()):
        return False
    return _is_16_bits(layer.weight) if isinstance(layer, WideLinear) else layer.packed


def _is_16_bits(weight: Tensor) -> bool:
    return weight.dtype in _WIDE and weight.is_contiguous()


def _head(model: Llava) -> _Linear:
    language = model.language
    return _wide(language.embed_tokens.weight) if language.config.tied_embeddings else _linear(language.lm_head)


def _wide(weight: Tensor) -> _Linear:
    return _Linear(weight.data_ptr(), *weight.shape, 16, _WIDE[weight.dtype])


def _linear(layer: torch.nn.Module) -> _Linear:
    if isinstance(layer, WideLinear):
        return _wide(layer.weight)
    assert isinstance(layer, QuantizedLinear)
    return _Linear(layer.weights.data_ptr(), layer.outputs, layer.inputs, layer.how.bits, layer.how.group)
