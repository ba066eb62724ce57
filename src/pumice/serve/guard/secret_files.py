"""Where the servers of one user keep what nobody else may read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from pumice.errors import UsageError
from pumice.files import fresh_file

FOLDER_VARIABLE = "PUMICE_DATA_DIR"


def data_folder() -> Path:
    """The variable's folder, or the user's own folder for data of programs. It may not exist yet."""
    from platformdirs import user_data_path

    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named).expanduser() if named else user_data_path("pumice")


@contextmanager
def sole_writer(file: Path) -> Iterator[None]:
    """Holds back every other process that wants to change ``file``; its folder is made if need be."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(file.with_name(f".{file.name}.lock"), timeout=10, mode=0o600):
            yield
    except TimeoutError:
        raise UsageError(f"{file} is being written by another process", hint="try again") from None
    except OSError as error:
        raise UsageError(
            f"{file} cannot be written: {error.strerror or error}", hint="check the permissions"
        ) from error


def write_private(file: Path, text: str) -> None:
    """Puts ``text`` in place of the file's content at once, readable for its owner alone."""
    with fresh_file(file, overwrite=True, private=True) as out:
        out.write(text.encode("utf-8"))


def kept_secret(file: Path, make: Callable[[], str]) -> str:
    """The file's only line; where there is no file yet, what ``make`` gives is written first."""
    with sole_writer(file):
        try:
            text = file.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            text = make()
            write_private(file, text + "\n")
    if not text:
        raise UsageError(f"{file} is empty", hint="remove it; a new one is made")
    return text
