"""Where a model runs or learns."""

from __future__ import annotations

import torch

from pumice.errors import UsageError


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
