"""The native library without Python: under sanitizers, and on an emulated processor of another kind."""

from __future__ import annotations

import json
import os
import shlex
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


@pytest.mark.slow
@pytest.mark.timeout(300)  # on a busy machine compiling alone takes minutes
def test_random_shapes_under_sanitizers(tmp_path: Path) -> None:
    program, library = build(tmp_path, "-DPUMICE_SANITIZE=ON")
    said = run(program, library, "1", "40", UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1")
    assert "portable: 40 shapes tried" in said


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not (shutil.which(ARM) and shutil.which(EMULATOR)), reason=f"needs {ARM} and {EMULATOR}")
def test_arm(tmp_path: Path) -> None:
    options = ("-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64", f"-DCMAKE_CXX_COMPILER={ARM}")
    program, library = build(tmp_path, *options)
    said = run(EMULATOR, "-L", "/usr/aarch64-linux-gnu", "-cpu", "max", program, library, "2", "30")
    assert "neon-dotprod: 30 shapes tried" in said and "portable: 30 shapes tried" in said


def test_paths_share_no_function(tmp_path: Path) -> None:
    """Of functions that several paths have, the linker would keep one, whatever instructions it was compiled for. An
    optimiser that puts every call in line hides that; without one it shows."""
    subprocess.run(
        ["cmake", "-S", SOURCE, "-B", tmp_path, "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON"], check=True, capture_output=True
    )
    found = []
    for each in json.loads((tmp_path / "compile_commands.json").read_text()):
        if Path(each["file"]).name.startswith("path_"):
            made = tmp_path / f"{len(found)}.o"
            run(*shlex.split(each["command"]), "-O0", "-o", made)
            found.append(run("nm", "-C", made))
    assert len(found) > 1
    shared = [line for names in found for line in names.splitlines() if " W " in line or " V " in line or " u " in line]
    assert not shared, shared
