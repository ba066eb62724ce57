"""The machine that an estimate is for, and the estimate in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from pumice.checkpoint.memory import available_memory, gib
from pumice.errors import UsageError
from pumice.train.estimate import PROGRAM, Estimate, PartSize
from pumice.train.meter import duration, measured_peak
from pumice.train.recipe import Recipe

#: The share of the best possible speed that training reaches where nobody has measured it.
UTILISATION = 0.35
#: Bytes of a GPU's memory that its driver and libraries take.
_CONTEXT = 512 << 20


@dataclass(frozen=True)
class Device:
    """Of one GPU, as its maker says: operations a second with bfloat16 and float32 products, bytes of memory."""

    bfloat16: float
    float32: float
    memory: int


#: By the names that ``--device`` takes.
DEVICES: Mapping[str, Device] = {
    "a100-40gb": Device(312e12, 19.5e12, 40 << 30),
    "a100-80gb": Device(312e12, 19.5e12, 80 << 30),
    "h100": Device(989e12, 67e12, 80 << 30),
    "h200": Device(989e12, 67e12, 141 * 10**9),
    "l40s": Device(362e12, 91.6e12, 48 << 30),
    "rtx-4090": Device(165e12, 82.6e12, 24 << 30),
}


@dataclass(frozen=True)
class Machine:
    """peak: operations a second of one process at best; utilisation: the share of it that training reaches.

    price: of an hour, all processes together. memory: bytes that a process may have, None if unknown. device: the name
    of the GPUs, None for CPUs.
    """

    peak: float
    utilisation: float = UTILISATION
    price: float | None = None
    memory: int | None = None
    device: str | None = None

    def seconds(self, found: Estimate) -> float:
        return found.operations / (self.peak * self.utilisation * found.processes)

    def cost(self, found: Estimate) -> float | None:
        return None if self.price is None else self.price * self.seconds(found) / 3600

    def needed(self, found: Estimate) -> int:
        """Bytes that a process needs; of a GPU's memory, where no batches wait and the allocator leaves few gaps."""
        return found.peak if self.device is None else _CONTEXT + found.training - found.waiting


def make_machine(
    recipe: Recipe, device: str | None, peak: float | None, utilisation: float | None, price: float | None
) -> Machine:
    """device: one of ``DEVICES``; None is this machine's CPU, which is measured unless ``peak`` or the recipe tells.

    Raises: UsageError for an unknown device.
    """
    share = utilisation or UTILISATION
    if device is None:
        cpu = torch.device("cpu")
        best = peak or recipe.peak_flops or measured_peak(cpu, getattr(torch, recipe.dtype))
        return Machine(best, share, price, available_memory(cpu))
    if device not in DEVICES:
        raise UsageError(f"unknown device {device!r}", hint=f"known are {', '.join(DEVICES)}")
    known = DEVICES[device]
    best = known.float32 if recipe.dtype == "float32" else known.bfloat16
    return Machine(peak or best, share, price, known.memory, device)


def describe(found: Estimate, machine: Machine) -> str:
    """For people to read, a line each."""
    lines = [f"{'part':<10} {'weights':>9} {'learning':>9}"]
    everything = PartSize("all", sum(p.weights for p in found.parts), sum(p.learning for p in found.parts))
    for part in (*found.parts, everything):
        lines.append(f"{part.name:<10} {_short(part.weights):>9} {_short(part.learning):>9}")
    words = f", {found.length:.0f} tokens each, at most {found.longest}" if found.longest else ""
    source = f"{found.looked_at} looked at" if found.looked_at else "as you say; none was read"
    shared = "" if found.processes == 1 else f", shared by {found.processes} processes"
    needed = machine.needed(found)
    lines += [
        f"data       {found.rows} rows{words} ({source})",
        f"steps      {found.steps} of {found.batch} rows, {found.epochs} times over the data{shared}",
        f"tokens     {_short(found.tokens)}, and {_short(found.images)} pictures",
        f"memory     {gib(needed)}{'' if found.processes == 1 else ' of each process'}{_verdict(needed, machine)}",
        *(f"  {name:<12} {gib(size)}" for name, size in _memory(found, machine) if size),
        f"operations {found.operations:.2e}, forward and backward",
        f"time       {duration(machine.seconds(found))} at {machine.utilisation:.0%} of "
        f"{'' if found.processes == 1 else f'{found.processes} x '}{_speed(machine.peak)}",
    ]
    cost = machine.cost(found)
    if cost is not None:
        lines.append(f"cost       {cost:.2f} at {machine.price:.2f} an hour")
    return "\n".join(lines)


def _memory(found: Estimate, machine: Machine) -> list[tuple[str, int]]:
    """What the memory is for."""
    held, on_cpu = found.rehearsal, machine.device is None
    if on_cpu and found.loading > found.training + held.gaps:
        return [("program", PROGRAM), ("weights", held.weights), ("their files", found.loading - held.weights)]
    return [
        ("program", PROGRAM if on_cpu else _CONTEXT),
        ("weights", held.weights),
        ("gradients", held.gradients),
        ("moments", held.moments),
        ("activations", found.training - found.waiting - held.peak + held.activations),
        ("batches", held.batch + (found.waiting if on_cpu else 0)),
        ("gaps", held.gaps if on_cpu else 0),
    ]


def _verdict(needed: int, machine: Machine) -> str:
    if machine.memory is None:
        return ""
    where = "free here" if machine.device is None else f"of {machine.device}"
    return f"; {gib(machine.memory)} {where}{'' if needed <= machine.memory else ': too little'}"


def summary(found: Estimate, machine: Machine) -> dict[str, Any]:
    """For programs to read. Memory in bytes, time in seconds."""
    return {
        **asdict(found),
        "peak": machine.needed(found),
        "program": PROGRAM if machine.device is None else _CONTEXT,
        "seconds": machine.seconds(found),
        "cost": machine.cost(found),
        "machine": asdict(machine),
    }


def _speed(peak: float) -> str:
    return f"{peak / 1e12:.0f} TFLOP/s" if peak >= 1e13 else f"{peak / 1e9:.0f} GFLOP/s"


def _short(number: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.1f} {letter}"
    return f"{number:.0f}"
