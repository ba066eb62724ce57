"""How much memory there is, asked before a model is loaded, so that the machine does not find out half-way."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from pumice.errors import MemoryLimitError

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")
_HINT = "close other programs, or choose a smaller model or a smaller --dtype"


def available_memory(device: torch.device) -> int | None:
    """Bytes that can be had on a device; None if the platform does not say."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    amounts = [amount for amount in (_system(), _container()) if amount is not None]
    return min(amounts, default=None)


def require_memory(needed: int, device: torch.device, what: str) -> None:
    """Raises MemoryLimitError, with both figures, if ``needed`` bytes for ``what`` are more than there are."""
    available = available_memory(device)
    if available is not None and needed > available:
        raise MemoryLimitError(
            f"{what} needs {gib(needed)} of memory on {device}, but only {gib(available)} are free", hint=_HINT
        )


@contextmanager
def allocation_errors(what: str) -> Iterator[None]:
    """Turns the ways in which torch says that memory ran out into a MemoryLimitError."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise MemoryLimitError(f"memory ran out while {what}", hint=_HINT) from error
    except RuntimeError as error:
        text = str(error)
        if "allocate memory" not in text and "out of memory" not in text:
            raise
        raise MemoryLimitError(f"memory ran out while {what}", hint=_HINT) from error


def gib(size: int) -> str:
    """Bytes for people."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**28 else f"{size / 2**20:.1f} MiB"


def _system() -> int | None:
    try:
        match = re.search(r"^MemAvailable:\s+(\d+) kB", _MEMINFO.read_text("ascii"), re.MULTILINE)
        if match is not None:
            return int(match[1]) * 1024
    except OSError:
        pass  # not Linux
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None  # Windows has no sysconf, macOS no such figure


def _container() -> int | None:
    """What a container's own limit leaves; pages of files that can be dropped count as free."""
    try:
        limit = (_CGROUP / "memory.max").read_text("ascii").strip()
        if limit == "max":
            return None
        used = int((_CGROUP / "memory.current").read_text("ascii"))
        match = re.search(r"^inactive_file (\d+)$", (_CGROUP / "memory.stat").read_text("ascii"), re.MULTILINE)
        return max(0, int(limit) - used + (int(match[1]) if match else 0))
    except (OSError, ValueError):
        return None
