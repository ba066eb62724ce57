"""The benchmarks by name."""

from __future__ import annotations

from collections.abc import Mapping

from pumice.evaluate.task import Task

TASKS: Mapping[str, Task] = {}
