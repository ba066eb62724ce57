"""Files that appear whole or not at all, and what was meant by the name of one that is not there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pumice.errors import UsageError
from pumice.near import did_you_mean, nearest

_MOST_NEIGHBOURS = 5000


def require_folder(target: Path) -> None:
    """Raises UsageError if the folder that ``target`` is to stand in is not there: a typo must not hide a result."""
    if not target.absolute().parent.is_dir():
        raise UsageError(
            f"{target} cannot be written: there is no folder {target.parent}", hint="make it, or correct it"
        )


@contextmanager
def fresh_file(target: Path, *, overwrite: bool = False, private: bool = False) -> Iterator[BinaryIO]:
    """A file to write into, which takes the name ``target`` once the block ends without an error.

    A crash leaves the old file or the new one under the name, never a part of one.

    private: nobody but its owner may read it, not even while it is written.

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
        with open(work, "xb", opener=_private if private else None) as file:
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


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def similar_file(path: str) -> str | None:
    """A file beside the missing one whose name is close to it, spelt the way the user spelt the path.

    Raises: OSError if its folder cannot be listed.
    """
    folder, wanted = os.path.split(path)
    with os.scandir(folder or ".") as entries:
        names = [entry.name for entry, _ in zip(entries, range(_MOST_NEIGHBOURS), strict=False) if entry.is_file()]
    by_lower = {name.lower(): name for name in names}
    close = nearest(wanted.lower(), by_lower)
    return None if close is None else os.path.join(folder, by_lower[close])


def unreadable(path: Path, error: OSError, what: str = "") -> UsageError:
    """The error to raise for a file that cannot be opened; its hint says what may have been meant.

    what: the kind of file, put before its name.
    """
    hint = "check the permissions"
    if isinstance(error, IsADirectoryError):
        hint = "name a file in it"
    elif isinstance(error, FileNotFoundError):
        try:
            similar = similar_file(str(path))
        except OSError:
            hint = f"there is no folder {str(path.parent)!r}"
        else:
            hint = did_you_mean(similar, f"no file in {str(path.parent)!r} has a similar name", shown=repr)
    kind = f"{what} " if what else ""
    return UsageError(f"cannot read {kind}{str(path)!r}: {error.strerror or error}", hint=hint)
