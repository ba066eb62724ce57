"""The benchmarks by name: those of the paper's table, in its order, then what is beyond it."""

from __future__ import annotations

from collections.abc import Mapping

from pumice.evaluate.beyond import chair, counting, grounding, position, typographic, world
from pumice.evaluate.task import Task
from pumice.evaluate.tasks import (
    gqa,
    llava_bench,
    mm_vet,
    mmbench,
    mme,
    pope,
    q_bench,
    scienceqa,
    seed_bench,
    textvqa,
    vizwiz,
    vqav2,
)

TASKS: Mapping[str, Task] = {
    "vqav2": vqav2.TASK,
    "gqa": gqa.TASK,
    "vizwiz": vizwiz.TASK,
    "scienceqa": scienceqa.TASK,
    "textvqa": textvqa.TASK,
    "pope": pope.TASK,
    "mme": mme.TASK,
    "mmbench": mmbench.MMBENCH,
    "mmbench-cn": mmbench.MMBENCH_CN,
    "seed-bench": seed_bench.SEED_BENCH,
    "llava-bench": llava_bench.LLAVA_BENCH,
    "mm-vet": mm_vet.MM_VET,
    "q-bench": q_bench.Q_BENCH,
    "world": world.TASK,
    "counting": counting.TASK,
    "position": position.TASK,
    "grounding": grounding.TASK,
    "chair": chair.TASK,
    "typographic": typographic.TASK,
}
