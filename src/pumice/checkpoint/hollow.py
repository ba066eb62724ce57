"""Models without weights: names and shapes, and places for what a checkpoint holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class _Unset(TorchFunctionMode):
    """Leaves out the random numbers that modules begin with."""

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


@contextmanager
def hollow() -> Iterator[None]:
    """Within, modules are built with shapes alone.

    PyTorch's meta device has Python do what little arithmetic there is, and imports its compiler for it, which takes
    longer than reading a small model.
    """
    with torch.device("meta"), _Unset():
        yield
