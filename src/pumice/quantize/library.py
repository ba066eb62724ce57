"""The native library: found, loaded and described to ctypes. Everything works without it, only slower."""

from __future__ import annotations

import ctypes
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import c_char_p, c_int32, c_int64, c_void_p
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

INTERFACE = 5
NAMES = ("pumice_native.so", "pumice_native.dylib", "pumice_native.dll")

_FUNCTIONS: dict[str, tuple[type | None, tuple[type, ...]]] = {
    "pumice_interface": (c_int32, ()),
    "pumice_path": (c_char_p, ()),
    "pumice_paths": (c_char_p, ()),
    "pumice_choose_path": (c_int32, (c_char_p,)),
    "pumice_set_threads": (None, (c_int32,)),
    "pumice_threads": (c_int32, ()),
    "pumice_encode": (c_int32, (c_int32, c_void_p, c_int64, c_int64, c_int32, c_void_p, c_void_p)),
    "pumice_packed_bytes": (c_int64, (c_int32, c_int64, c_int64, c_int32)),
    "pumice_pack": (c_int32, (c_int32, c_void_p, c_void_p, c_int64, c_int64, c_int32, c_void_p)),
    "pumice_linear": (
        c_int32,
        (c_int32, c_void_p, c_int64, c_int64, c_int32, c_void_p, c_int64, c_void_p, c_void_p),
    ),
    "pumice_decode": (c_int32, (c_void_p, c_void_p)),
}


@dataclass(frozen=True)
class Native:
    """The loaded library; ``call`` is its functions by name."""

    path: Path
    call: ctypes.CDLL

    @property
    def instructions(self) -> str:
        """The machine instructions in use, such as ``avx512-vnni``."""
        return str(self.call.pumice_path().decode())

    @property
    def choices(self) -> list[str]:
        """All that this build and this processor have, best first."""
        return str(self.call.pumice_paths().decode()).split(",")

    @contextmanager
    def using(self, instructions: str) -> Iterator[None]:
        """For a while with one of ``choices``: for tests and measurements."""
        before = self.instructions
        if self.call.pumice_choose_path(instructions.encode()) != 0:
            raise ValueError(f"expected one of {self.choices}, found {instructions!r}")
        try:
            yield
        finally:
            self.call.pumice_choose_path(before.encode())


@lru_cache(maxsize=1)
def native() -> Native | None:
    """The library of this installation, or None if it was built without one."""
    for path in _places():
        if path.is_file():
            return _opened(path)
    return None


def _places() -> Iterator[Path]:
    """Beside this file, or, for an editable installation, where the built files of the package lie."""
    installed = Path(sysconfig.get_path("platlib")) / "pumice" / "quantize"
    for folder in (Path(__file__).parent, installed):
        yield from (folder / name for name in NAMES)


def _opened(path: Path) -> Native | None:
    try:
        library = ctypes.CDLL(str(path))
        if library.pumice_interface() != INTERFACE:
            return None  # left over from another version
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError):
        return None
    return Native(path, library)
