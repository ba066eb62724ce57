"""The native library without Python: under sanitizers, and on an emulated processor of another kind."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "native"
ARM = "aarch64-linux-gnu-g++"
EMULATOR = "qemu-aarch64"


def build(folder: Path, *options: str) -> tuple[Path, Path]:
    """The program and the library, compiled in ``folder``."""
    subprocess.run(["cmake", "-S", SOURCE, "-B", folder, *options], check=True, capture_output=True)
    made = subprocess.run(["cmake", "--build", folder, "--parallel"], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    return folder / "check", folder / "library" / "pumice_native.so"


def run(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_random_shapes_under_sanitizers(tmp_path: Path) -> None:
    program, library = build(tmp_path, "-DPUMICE_SANITIZE=ON")
    said = run(program, library, "1", "40", UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1")
    assert "portable: 40 shapes tried" in said


@pytest.mark.skipif(not (shutil.which(ARM) and shutil.which(EMULATOR)), reason=f"needs {ARM} and {EMULATOR}")
def test_arm(tmp_path: Path) -> None:
    options = ("-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64", f"-DCMAKE_CXX_COMPILER={ARM}")
    program, library = build(tmp_path, *options)
    said = run(EMULATOR, "-L", "/usr/aarch64-linux-gnu", "-cpu", "max", program, library, "2", "30")
    assert "neon-dotprod: 30 shapes tried" in said and "portable: 30 shapes tried" in said
