"""The folder of a run: what was asked for, how far it is, and the lock that keeps two runs out of each other's files.

run.json         the arguments that decide the output; another run's are refused, but for more scenes of the same source
progress.json    how far it is; replaced whole at every commit
records.json, provenance.jsonl, rejections.jsonl, times.jsonl, report.html, ledger.sqlite, images/
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias

from filelock import FileLock, Timeout

from pumice.datagen.samples import Json
from pumice.datagen.tally import Tally
from pumice.datagen.writing import REBUILT
from pumice.errors import UsageError
from pumice.files import fresh_file

RECORDS, PROVENANCE, REJECTIONS, TIMES = "records.json", "provenance.jsonl", "rejections.jsonl", "times.jsonl"
GROWING = (RECORDS, PROVENANCE, REJECTIONS, TIMES)
REPORT, LEDGER, IMAGES = "report.html", "ledger.sqlite", "images"
_RUN, _PROGRESS, _LOCK = "run.json", "progress.json", ".lock"
# What may grow while a run goes on: what was made of the first scenes stays the beginning.
_COUNT = "source.count"
#: How a folder stands to what is asked for: nothing is in it; this run; this run with fewer scenes.
_Stand: TypeAlias = Literal["new", "same", "shorter"]


@dataclass(frozen=True)
class Progress:
    """How far a run is. scenes: dealt with. lengths: of the growing files, in bytes. finished: nothing is left."""

    scenes: int = 0
    lengths: Mapping[str, int] = field(default_factory=dict)
    finished: bool = False


@contextmanager
def opened(folder: Path, arguments: Mapping[str, Json]) -> Iterator[bool]:
    """The folder, for this process alone; made and marked with the arguments if it is new, which the block is told.

    Raises: UsageError if it holds something else, a run with other arguments, or one that is at work.
    """
    _stand(folder, arguments)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / _LOCK)
        lock.acquire(timeout=0)
    except Timeout:
        raise UsageError(f"another process is generating into {folder} just now", hint="wait for its end") from None
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror or error}", hint="check its place") from error
    try:
        stand = _stand(folder, arguments)
        if stand == "shorter":  # in this order, so that a process that is killed in between leaves nothing undone
            progress, tally = read_progress(folder)
            write_progress(folder, replace(progress, finished=False), tally)
        if stand != "same":
            with fresh_file(folder / _RUN, overwrite=True) as file:
                file.write(json.dumps(dict(arguments), indent=1, sort_keys=True).encode() + b"\n")
        yield stand == "new"
    finally:
        lock.release()


def _stand(folder: Path, arguments: Mapping[str, Json]) -> _Stand:
    """Raises UsageError if the folder is anything but new or this run's."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file, expected a folder", hint="name a new folder")
    try:
        before = json.loads((folder / _RUN).read_text(encoding="utf-8"))
    except FileNotFoundError:
        if folder.is_dir() and any(each.name != _LOCK for each in folder.iterdir()):
            raise UsageError(
                f"{folder} is not empty, and no run of pumice generate is in it", hint=_another(folder)
            ) from None
        return "new"
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder / _RUN} cannot be read: {error}", hint=_another(folder)) from error
    if not isinstance(before, dict):
        raise UsageError(f"{folder / _RUN} is not what pumice generate writes", hint=_another(folder))
    before, now = _flat(before), _flat(json.loads(json.dumps(dict(arguments))))
    changed = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    if changed == [_COUNT] and _more(before[_COUNT], now[_COUNT]):
        return "shorter"
    if changed:
        what = "; ".join(f"{name} was {_shown(before.get(name))}, now {_shown(now.get(name))}" for name in changed)
        raise UsageError(
            f"{folder} holds a run with other arguments: {what}",
            hint=f"give the same ones to go on with it, --count may be larger; or {_another(folder)}",
        )
    return "same"


def _more(before: object, now: object) -> bool:
    """Of scenes; None are all."""
    return isinstance(before, int) and (now is None or (isinstance(now, int) and now > before))


def _another(folder: Path) -> str:
    """What to do about a folder that cannot be gone on with; what was paid for is not lost."""
    books = folder / LEDGER
    kept = f" and add --ledger {books}, so that nothing is paid for twice" if books.is_file() else ""
    return f"name a new folder{kept}"


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
        raise UsageError(f"{path} cannot be read: {error}", hint=REBUILT) from error


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
