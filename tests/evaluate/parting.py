"""Work for the processes of ``tests/cli/test_parts.py``, which have to be able to import it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from pumice.errors import ModelError


def report(folder: str, index: int, done: Callable[[int], None]) -> None:
    """Three things done, the second of which fails; what the process was given is written down."""
    for failed in (0, 1, 1):
        done(failed)
    names = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")
    Path(folder, f"{index} {os.getpid()}").write_text(" ".join(os.environ.get(name, "-") for name in names))


def refuse(index: int, done: Callable[[int], None]) -> None:
    """The second part has no model; the first would go on for longer than a test may take."""
    if index == 1:
        raise ModelError("no model at 'nowhere'", hint="look elsewhere")
    time.sleep(600)


class ForeignError(Exception):
    """Cannot be made from its message alone, as pickle tries to."""

    def __init__(self, status: int, where: str) -> None:
        super().__init__(f"{status} at {where}")


def fail_strangely(index: int, done: Callable[[int], None]) -> None:
    """With an error that cannot be sent."""
    raise ForeignError(500, "home")


def die(index: int, done: Callable[[int], None]) -> None:
    """As if the system had taken the memory back."""
    os.kill(os.getpid(), signal.SIGKILL)


def go_on(folder: str, index: int, done: Callable[[int], None]) -> None:
    """Until nobody listens any more."""
    Path(folder, f"{os.getpid()}").touch()
    while True:
        done(0)
        time.sleep(0.01)
