"""The benchmarks by name, in the order of the paper's table."""

from __future__ import annotations

from collections.abc import Mapping

from pumice.evaluate.task import Task
from pumice.evaluate.tasks import gqa, mme, pope, scienceqa, textvqa, vizwiz, vqav2

TASKS: Mapping[str, Task] = {
    "vqav2": vqav2.TASK,
    "gqa": gqa.TASK,
    "vizwiz": vizwiz.TASK,
    "scienceqa": scienceqa.TASK,
    "textvqa": textvqa.TASK,
    "pope": pope.TASK,
    "mme": mme.TASK,
}
