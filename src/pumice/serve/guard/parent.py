"""How a process ends with the one that has started it, however that went."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable

#: Tells a child that it ends with whoever holds the other end of its standard input.
SUPERVISED = "PUMICE_SUPERVISED"


def end_with_parent(end: Callable[[], object]) -> None:
    """In a child of a supervisor: calls ``end``, in a thread of its own, once the parent is gone."""
    if os.environ.get(SUPERVISED) != "1":
        return

    def wait() -> None:
        with contextlib.suppress(OSError):
            while os.read(sys.stdin.fileno(), 1):
                pass
        end()

    threading.Thread(target=wait, name="pumice-parent", daemon=True).start()
