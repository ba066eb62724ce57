"""Memory is asked for before it is used."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import tiny
from pumice.checkpoint import memory
from pumice.checkpoint.load import load_model
from pumice.checkpoint.save import save_checkpoint
from pumice.errors import MemoryLimitError

CPU = torch.device("cpu")


def pretend(monkeypatch: pytest.MonkeyPatch, folder: Path, free: int) -> None:
    """A machine with ``free`` kB of memory left, in no container."""
    (folder / "meminfo").write_text(f"MemTotal: 99999999 kB\nMemAvailable:  {free} kB\n")
    monkeypatch.setattr(memory, "_MEMINFO", folder / "meminfo")
    monkeypatch.setattr(memory, "_CGROUP", folder / "no-cgroup")


def test_a_model_that_does_not_fit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    save_checkpoint(tiny.model(), tiny.processor(), tmp_path / "model")
    size = sum(tensor.nbytes for tensor in tiny.model().state_dict().values())
    pretend(monkeypatch, tmp_path, size // 1024 - 1)
    with pytest.raises(MemoryLimitError, match=r"needs 0\.\d MiB .* only 0\.\d MiB are free") as caught:
        load_model(tmp_path / "model")
    assert caught.value.exit_code == 6 and "--dtype" in str(caught.value.hint)
    load_model(tmp_path / "model", dtype=torch.bfloat16)  # half the size fits
    pretend(monkeypatch, tmp_path, size // 1024 + 1)
    load_model(tmp_path / "model")


def test_a_container_has_less_than_its_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pretend(monkeypatch, tmp_path, 1 << 30)
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    for name, value in (("max", "5000"), ("current", "3000"), ("stat", "anon 1\ninactive_file 500\n")):
        (tmp_path / f"memory.{name}").write_text(value)
    assert memory.available_memory(CPU) == 2500
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.available_memory(CPU) == 1 << 40


def test_a_platform_that_says_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pretend(monkeypatch, tmp_path, 1)
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "absent")
    monkeypatch.delattr(memory.os, "sysconf")
    assert memory.available_memory(CPU) is None
    memory.require_memory(1 << 60, CPU, "anything")


def test_this_machine_has_some_memory() -> None:
    available = memory.available_memory(CPU)
    assert available is None or available > 1 << 20


def test_torch_running_out_of_memory_is_told() -> None:
    with pytest.raises(MemoryLimitError, match="memory ran out while loading x"), memory.allocation_errors("loading x"):
        torch.empty(1 << 60, dtype=torch.uint8)
    with pytest.raises(RuntimeError, match="other"), memory.allocation_errors("loading x"):
        raise RuntimeError("other")


def test_figures_for_people() -> None:
    assert memory.gib(13 << 30) == "13.0 GiB" and memory.gib(3 << 20) == "3.0 MiB"
