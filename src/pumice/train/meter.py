"""How fast it goes and what it takes: tokens and pictures a second, use of the machine, time left, memory."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import torch

from pumice.data.batch import Batch
from pumice.train.arithmetic import Work, size_of, sum_of
from pumice.train.patches import PatchBatch

_SIDE = 1024
_TRIES = 5

#: Names and values for a line of the log.
Figures: TypeAlias = Mapping[str, float | None]


@dataclass
class _Tally:
    """What was done since ``started``, in seconds of a clock that stands still while training does."""

    started: float
    tokens: int = 0
    images: int = 0
    operations: float = 0.0


class Meter:
    """Counts steps and what is in them. Of several processes one counts, and takes the others to do as much."""

    def __init__(
        self,
        work: Work,
        peak: float,
        device: torch.device,
        processes: int = 1,
        looked: Callable[[], int] | None = None,
    ) -> None:
        """peak: operations a second that one process could do at best; 0 if nobody knows. device: whose memory.

        looked: tells how many tiles the tower has seen so far, where it does not see all.
        """
        self._work, self._peak, self._device, self._processes = work, peak, device, processes
        self._looked, self._known = looked, 0
        self._paused = 0.0
        self._began = self._clock()
        self._tally = _Tally(self._began)
        self._first = self._step = self._steps = 0

    def begin(self, done: int, steps: int) -> None:
        """``done`` of ``steps`` steps were made earlier; the clock runs from now on."""
        self._first = self._step = done
        self._steps = steps
        self._began = self._clock()
        self._tally = _Tally(self._began)

    def count(self, batches: Sequence[Batch | PatchBatch]) -> None:
        """One more step is done, of ``batches`` that went through the model one after the other."""
        self._step += 1
        size = sum_of(map(size_of, batches))
        if self._looked is not None:
            size = replace(size, tiles=self._looked() - self._known)
            self._known += size.tiles
        self._tally.tokens += size.tokens
        self._tally.images += size.images
        self._tally.operations += self._work.operations(size)

    def pause(self, seconds: float) -> None:
        """That much was spent on something else than training."""
        self._paused += seconds
        self._known = 0 if self._looked is None else self._looked()

    def figures(self) -> Figures:
        """Rates since the last ``restart``, the time left in seconds, and the most memory there was, in bytes."""
        now = self._clock()
        passed, tally = max(now - self._tally.started, 1e-9), self._tally
        done = self._step - self._first
        each = (now - self._began) / max(1, done)
        use = tally.operations / passed / self._peak if self._peak else None
        return {
            "tokens_per_s": round(tally.tokens * self._processes / passed),
            "images_per_s": round(tally.images * self._processes / passed, 2),
            "mfu": None if use is None else round(use, 4),
            "seconds_left": round((self._steps - self._step) * each, 1) if done else None,
            "memory_bytes": peak_memory(self._device),
        }

    def restart(self) -> None:
        """Rates are counted from now on."""
        self._tally = _Tally(self._clock())

    def _clock(self) -> float:
        return time.monotonic() - self._paused


def peak_memory(device: torch.device) -> int | None:
    """The most bytes that this process has held, on a CUDA ``device`` there; None where nothing tells."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        # Not getrusage: after a fork and exec it still counts what the parent held.
        match = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text("ascii"), re.MULTILINE)
        if match is not None:
            return int(match[1]) * 1024
    except OSError:
        pass  # not Linux
    try:
        import resource
    except ImportError:
        return None  # Windows
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def measured_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of ``device`` at what it does best, the product of two matrices. Takes moments."""
    side = _SIDE if device.type == "cpu" else 8 * _SIDE
    matrix = torch.full((side, side), 0.5, dtype=dtype, device=device)
    fastest = float("inf")
    with torch.no_grad():
        for _ in range(_TRIES):
            begun = time.perf_counter()
            float(torch.mm(matrix, matrix)[0, 0])  # reading a number waits for the device
            fastest = min(fastest, time.perf_counter() - begun)
    return 2.0 * side**3 / fastest


def duration(seconds: float) -> str:
    """For people: days, hours and minutes, minutes, or seconds."""
    minutes = round(seconds / 60)
    if minutes >= 48 * 60:
        return f"{minutes / 60 / 24:.1f} days"
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min" if minutes >= 10 else f"{seconds:.0f} s"
