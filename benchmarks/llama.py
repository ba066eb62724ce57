"""llama.cpp through its C interface, as far as the benchmarks need it."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import llama_cpp as c
import numpy as np
from llama_cpp import mtmd_cpp as m


@c.llama_log_callback
def _quiet(_level: int, _text: bytes, _data: ctypes.c_void_p) -> None:
    """Its log is not what is measured."""


@dataclass(frozen=True)
class Place:
    """Where a token goes: its sequence and its position there."""

    sequence: int
    position: int


class Llama:
    """A model and a context for ``sequences`` sequences of ``positions`` positions each."""

    def __init__(
        self, path: Path, *, positions: int, sequences: int = 1, threads: int = 2, flash: bool = False
    ) -> None:
        c.llama_log_set(_quiet, ctypes.c_void_p(0))
        c.llama_backend_init()
        self.model = c.llama_model_load_from_file(str(path).encode(), c.llama_model_default_params())
        if not self.model:
            raise SystemExit(f"llama.cpp cannot load {path}")
        how = c.llama_context_default_params()
        how.n_ctx, how.n_seq_max = positions * sequences, sequences
        how.n_batch, how.n_ubatch = max(2048, positions), 1024
        how.n_threads = how.n_threads_batch = threads
        how.flash_attn_type = int(flash)
        how.kv_unified = False
        self.context = c.llama_init_from_model(self.model, how)
        self.threads = threads
        self.vocabulary = c.llama_vocab_n_tokens(c.llama_model_get_vocab(self.model))

    def read(self, tokens: Sequence[int] | np.ndarray, places: Sequence[Place], wanted: Sequence[int]) -> np.ndarray:
        """Logits [len(wanted), V] after the items numbered ``wanted``; ``tokens``: ids, or embeddings [n, D]."""
        embedded = isinstance(tokens, np.ndarray)
        batch = c.llama_batch_init(len(tokens), tokens.shape[1] if embedded else 0, 1)
        batch.n_tokens = len(tokens)
        if embedded:
            ctypes.memmove(batch.embd, np.ascontiguousarray(tokens, dtype=np.float32).ctypes.data, tokens.size * 4)
        for index, place in enumerate(places):
            if not embedded:
                batch.token[index] = tokens[index]
            batch.pos[index], batch.n_seq_id[index], batch.seq_id[index][0] = place.position, 1, place.sequence
            batch.logits[index] = 0
        for index in wanted:
            batch.logits[index] = 1
        code = c.llama_decode(self.context, batch)
        if code != 0:
            raise SystemExit(f"llama_decode says {code}")
        found = [
            np.ctypeslib.as_array(c.llama_get_logits_ith(self.context, index), (self.vocabulary,)).copy()
            for index in wanted
        ]
        c.llama_batch_free(batch)
        return np.stack(found) if found else np.empty((0, self.vocabulary), np.float32)

    def shorten(self, positions: int) -> None:
        """Forget what lies behind the first ``positions`` of every sequence."""
        c.llama_memory_seq_rm(c.llama_get_memory(self.context), -1, positions, -1)


class Tower:
    """A vision tower and projector (mmproj) for a ``Llama``."""

    def __init__(self, path: Path, llama: Llama) -> None:
        how = m.mtmd_context_params_default()
        how.use_gpu, how.n_threads, how.warmup, how.print_timings = False, llama.threads, False, False
        how.flash_attn_type = 0  # sooner than with it on processors without bf16 (docs/performance.md)
        m.mtmd_log_set(_quiet, ctypes.c_void_p(0))
        self._context = m.mtmd_init_from_file(str(path).encode(), llama.model, how)
        if not self._context:
            raise SystemExit(f"llama.cpp cannot load {path}")
        self._width = c.llama_model_n_embd(llama.model)

    def features(self, picture: np.ndarray) -> np.ndarray:
        """Features [n, D] of ``picture`` [H, W, 3], uint8."""
        height, width, _ = picture.shape
        data = np.ascontiguousarray(picture)
        bitmap = m.mtmd_bitmap_init(width, height, data.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8)))
        chunks = m.mtmd_input_chunks_init()
        marker = m.mtmd_default_marker()
        text = m.mtmd_input_text(text=marker, text_len=len(marker), add_special=False, parse_special=True)
        bitmaps = (m.mtmd_bitmap_p_ctypes * 1)(bitmap)
        if m.mtmd_tokenize(self._context, chunks, ctypes.byref(text), bitmaps, 1) != 0:
            raise SystemExit("llama.cpp cannot read the picture")
        chunk = next(
            one
            for one in (m.mtmd_input_chunks_get(chunks, index) for index in range(m.mtmd_input_chunks_size(chunks)))
            if m.mtmd_input_chunk_get_type(one) == 1  # MTMD_INPUT_CHUNK_TYPE_IMAGE
        )
        if m.mtmd_encode_chunk(self._context, chunk) != 0:
            raise SystemExit("llama.cpp cannot encode the picture")
        count = m.mtmd_input_chunk_get_n_tokens(chunk)
        found = np.ctypeslib.as_array(m.mtmd_get_output_embd(self._context), (count, self._width)).copy()
        m.mtmd_input_chunks_free(chunks)
        m.mtmd_bitmap_free(bitmap)
        return found
