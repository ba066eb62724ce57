"""The folder of a run: what was asked for, how far it is, and the lock that keeps two runs out of each other's files.

run.json         the arguments that decide the output; another run's are refused
progress.json    how far it is; replaced whole at every commit
records.json, provenance.jsonl, rejections.jsonl, times.jsonl, report.html, ledger.sqlite, images/
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from pumice.datagen.samples import Json
from pumice.datagen.tally import Tally
from pumice.errors import UsageError
from pumice.files import fresh_file

RECORDS, PROVENANCE, REJECTIONS, TIMES = "records.json", "provenance.jsonl", "rejections.jsonl", "times.jsonl"
GROWING = (RECORDS, PROVENANCE, REJECTIONS, TIMES)
REPORT, LEDGER, IMAGES = "report.html", "ledger.sqlite", "images"
_RUN, _PROGRESS, _LOCK = "run.json", "progress.json", ".lock"


@dataclass(frozen=True)
class Progress:
    """How far a run is. scenes: dealt with. lengths: of the growing files, in bytes. finished: nothing is left."""

    scenes: int = 0
    lengths: Mapping[str, int] = field(default_factory=dict)
    finished: bool = False


@contextmanager
def opened(folder: Path, arguments: Mapping[str, Json]) -> Iterator[None]:
    """The folder, for this process alone; made and marked with the arguments if it is new.

    Raises: UsageError if it holds something else, a run with other arguments, or one that is at work.
    """
    _require_same(folder, arguments)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / _LOCK)
        lock.acquire(timeout=0)
    except Timeout:
        raise UsageError(f"another process is generating into {folder} just now", hint="wait for its end") from None
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror or error}", hint="check its place") from error
    try:
        if _require_same(folder, arguments):
            with fresh_file(folder / _RUN) as file:
                file.write(json.dumps(dict(arguments), indent=1, sort_keys=True).encode() + b"\n")
        yield
    finally:
        lock.release()


def _require_same(folder: Path, arguments: Mapping[str, Json]) -> bool:
    """Whether the folder is new. Raises UsageError if it is anything but this run's."""
    try:
        before = json.loads((folder / _RUN).read_text(encoding="utf-8"))
    except FileNotFoundError:
        if folder.is_dir() and any(each.name != _LOCK for each in folder.iterdir()):
            raise UsageError(
                f"{folder} is not empty, and no run of pumice generate is in it", hint="name a new folder"
            ) from None
        return True
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder / _RUN} cannot be read: {error}", hint="name a new folder") from error
    if not isinstance(before, dict):
        raise UsageError(f"{folder / _RUN} is not what pumice generate writes", hint="name a new folder")
    before, now = _flat(before), _flat(json.loads(json.dumps(dict(arguments))))
    changed = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    if changed:
        what = "; ".join(f"{name} was {_shown(before.get(name))}, now {_shown(now.get(name))}" for name in changed)
        raise UsageError(
            f"{folder} holds a run with other arguments: {what}",
            hint="give the same ones to go on with it, or name a new folder",
        )
    return False


def _flat(values: Mapping[str, object], name: str = "") -> dict[str, object]:
    """Nested arguments by their whole names, ``source.first``."""
    flat: dict[str, object] = {}
    for key, value in values.items():
        whole = f"{name}.{key}" if name else key
        flat |= _flat(value, whole) if isinstance(value, dict) else {whole: value}
    return flat


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else text[:119] + "…"


def read_progress(folder: Path) -> tuple[Progress, Tally]:
    """How far the run in the folder is; at its beginning if nothing was committed.

    Raises: UsageError for a file that is damaged.
    """
    path = folder / _PROGRESS
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        progress = Progress(int(found["scenes"]), dict(found["lengths"]), bool(found["finished"]))
        return progress, Tally.from_json(found["tally"])
    except FileNotFoundError:
        return Progress(), Tally()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} cannot be read: {error}", hint="name a new folder") from error


def write_progress(folder: Path, progress: Progress, tally: Tally) -> None:
    """Whole or not at all, and on the disk when this returns. Raises UsageError if the disk refuses."""
    found = {
        "scenes": progress.scenes,
        "lengths": dict(progress.lengths),
        "finished": progress.finished,
        "tally": tally.as_json(),
    }
    with fresh_file(folder / _PROGRESS, overwrite=True) as file:
        file.write(json.dumps(found).encode())


def sweep(folder: Path) -> None:
    """Removes what a killed process left of files that it was about to put in place."""
    for left in folder.glob(".*.partial"):
        left.unlink(missing_ok=True)


def keep_picture(folder: Path, name: str, data: bytes) -> None:
    """A picture under its name in the folder of pictures; there is none or the whole of it."""
    path = folder / IMAGES / name
    if path.is_file() and path.stat().st_size == len(data):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    work = path.with_name(f".{path.name}.partial")
    work.write_bytes(data)
    os.replace(work, path)
