"""The learning rate as a pure function of progress."""

from __future__ import annotations

import math


def rate_at(step: int, steps: int, *, warmup: float, final: float) -> float:
    """Share of the peak rate at ``step`` (from 0) of ``steps``: a rise over ``warmup``, then a cosine to ``final``."""
    rising = warmup * steps
    if step < rising:
        return (step + 1) / (rising + 1)
    progress = (step - rising) / max(1.0, steps - rising)
    return final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
