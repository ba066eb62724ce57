"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pumice.errors import UsageError


def require_folder(target: Path) -> None:
    """Raises UsageError if the folder that ``target`` is to stand in is not there: a typo must not hide a result."""
    if not target.absolute().parent.is_dir():
        raise UsageError(
            f"{target} cannot be written: there is no folder {target.parent}", hint="make it, or correct it"
        )


@contextmanager
def fresh_file(target: Path, *, overwrite: bool = False) -> Iterator[BinaryIO]:
    """A file to write into, which takes the name ``target`` once the block ends without an error.

    A crash leaves the old file or the new one under the name, never a part of one.

    Raises:
        UsageError: the target exists (unless ``overwrite`` and a file), or the disk refuses.
    """
    if target.exists() and not target.is_file():
        raise UsageError(f"{target} is there already and no file", hint="choose another name")
    if target.exists() and not overwrite:
        raise UsageError(f"{target} exists already", hint="choose another name, or add --overwrite to replace it")
    work = target.parent / f".{target.name}.{secrets.token_hex(4)}.partial"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with work.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        work.replace(target)
    except OSError as error:
        raise UsageError(
            f"{target} cannot be written: {error.strerror or error}", hint="check the free space and the permissions"
        ) from error
    finally:
        with suppress(OSError):
            work.unlink()
