"""Where the model runs and in what number format."""

from __future__ import annotations

import torch

from pumice.checkpoint.load import DtypeRule
from pumice.checkpoint.memory import available_memory
from pumice.errors import UsageError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(name: str) -> torch.device:
    """``auto`` takes CUDA, then Apple's MPS, then the CPU. Raises UsageError for what this machine lacks."""
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(device for device, there in present.items() if there))
    kind, separator, number = name.partition(":")
    if kind not in present or (separator and not (number.isascii() and number.isdigit())):
        raise UsageError(f"device must be auto, cpu, mps or cuda, found {name!r}")
    if not present[kind]:
        found = ", ".join(device for device, there in present.items() if there)
        raise UsageError(f"this machine has no {kind} device that PyTorch can use", hint=f"usable here: {found}")
    return torch.device(name)


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
