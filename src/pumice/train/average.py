"""A running average of the weights: steadier than the last step's, and kept where the optimizer keeps its moments.

There it is saved and resumed like them, and a step that was not applied does not count.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

_NAME = "average"


def keep_average(optimizer: torch.optim.Optimizer, decay: float) -> None:
    """From now on, after every step: average = ``decay`` x average + (1 - ``decay``) x weight.

    It begins with a weight's value after its first step.
    """

    @torch.no_grad()
    def update(_optimizer: torch.optim.Optimizer, _args: Any, _kwargs: Any) -> None:
        for parameter, state in optimizer.state.items():
            if _NAME in state:
                state[_NAME].lerp_(parameter, 1.0 - decay)
            else:
                state[_NAME] = parameter.detach().clone()

    optimizer.register_step_post_hook(update)


@torch.no_grad()
def use_average(optimizer: torch.optim.Optimizer) -> None:
    """Put the averages in the weights' places, where there are any."""
    for parameter, state in optimizer.state.items():
        if _NAME in state:
            parameter.copy_(state[_NAME])


@contextmanager
def averaged(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Within this context the averages stand in the weights' places; afterwards all is bit for bit as before."""
    _swap(optimizer)
    try:
        yield
    finally:
        _swap(optimizer)


@torch.no_grad()
def _swap(optimizer: torch.optim.Optimizer) -> None:
    for parameter, state in optimizer.state.items():
        if _NAME in state:
            kept = parameter.clone()
            parameter.copy_(state[_NAME])
            state[_NAME].copy_(kept)
