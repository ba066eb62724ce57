"""Devices and number formats by name, and clear words for those that are not there."""

from __future__ import annotations

import pytest
import torch

from pumice.engine import dtype
from pumice.engine.dtype import choose_dtype, cpu_dtype
from pumice.errors import UsageError
from pumice.model.device import choose_device


def test_the_cpu_is_always_there() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("cpu:0") == torch.device("cpu:0")


def test_auto_takes_what_is_there() -> None:
    best = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert choose_device("auto").type == best


@pytest.mark.parametrize("name", ["tpu", "", "cpu:", "cpu:x", "cuda:first", "cuda:-1", "auto:0", "CPU", "cpu:²"])
def test_unknown_devices(name: str) -> None:
    with pytest.raises(UsageError, match="auto, cpu, mps or cuda") as error:
        choose_device(name)
    assert repr(name) in str(error.value)


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_missing_devices_say_what_is_usable(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = torch.cuda if kind == "cuda" else torch.backends.mps
    monkeypatch.setattr(module, "is_available", lambda: False)
    with pytest.raises(UsageError, match=f"no {kind} device") as error:
        choose_device(kind)
    assert error.value.hint is not None and "cpu" in error.value.hint


def test_formats() -> None:
    cpu = torch.device("cpu")
    assert choose_dtype("float32", cpu) is torch.float32
    assert choose_dtype("bfloat16", cpu) is torch.bfloat16
    assert choose_dtype("float16", torch.device("mps")) is torch.float16
    assert choose_dtype("auto", cpu) is cpu_dtype
    assert choose_dtype("auto", torch.device("mps")) is torch.float16
    with pytest.raises(UsageError, match="'fp8'"):
        choose_dtype("fp8", cpu)


def test_a_small_model_is_exact_on_a_cpu_and_a_large_one_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dtype, "available_memory", lambda _: 16 << 30)
    assert cpu_dtype(torch.float16, 1 << 30) is torch.float32
    assert cpu_dtype(torch.float16, (1 << 30) + 1) is torch.float16
    assert cpu_dtype(torch.bfloat16, (1 << 30) + 1) is torch.bfloat16
    assert cpu_dtype(torch.float32, 7 << 30) is torch.bfloat16
