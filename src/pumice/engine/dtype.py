"""In what number format the model runs."""

from __future__ import annotations

import torch

from pumice.checkpoint.load import DtypeRule
from pumice.checkpoint.memory import available_memory
from pumice.errors import UsageError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_dtype(name: str, device: torch.device) -> torch.dtype | DtypeRule:
    """The asked for format. ``auto``: bfloat16 on CUDA where it can, float16 on MPS, on a CPU what fits."""
    if name in DTYPES:
        return DTYPES[name]
    if name != "auto":
        raise UsageError(f"dtype must be auto, float32, bfloat16 or float16, found {name!r}")
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.float16 if device.type == "mps" else cpu_dtype


def cpu_dtype(stored: torch.dtype, weights: int) -> torch.dtype:
    """float32, which is exact and fast, where it takes at most a quarter of the free memory; else 16 bits.

    Those that are stored, so that weights stay mapped from the file; they are computed with in float32 all the same.
    """
    available = available_memory(torch.device("cpu"))
    small = available is None or weights * torch.float32.itemsize <= available // 4
    if small:
        return torch.float32
    return stored if stored == torch.float16 else torch.bfloat16
