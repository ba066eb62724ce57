"""What ``pumice batch`` is to answer: the questions of a JSONL file, or one about every picture of a folder or glob."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pumice.cli.mentions import ENDINGS
from pumice.cli.wording import found
from pumice.errors import UsageError
from pumice.near import did_you_mean, nearest

_HEAD = 32  # bytes that tell what a file is
_FIELDS = ("id", "image", "images", "prompt", "system")
_LINE = '{"id": "1", "image": "a.jpg", "prompt": "What is this?"}'


@dataclass(frozen=True)
class Task:
    """One question. images: as they were named; places: where they are, a path or a URL each."""

    id: str | int
    images: tuple[str, ...]
    places: tuple[str, ...]
    prompt: str
    system: str | None


def read_tasks(source: str, prompt: str | None, *, system: str | None, recursive: bool) -> list[Task]:
    """Everything that ``source`` names, checked as a whole, in the order in which it will be answered.

    prompt, system: for whatever has none of its own. Raises UsageError: there is nothing to do, an id stands there
    twice, or a line makes no sense.
    """
    path = Path(source)
    if path.is_dir():
        tasks = _of_files(_pictures_in(path, recursive), path, prompt, system)
    elif path.is_file() and not _is_picture(path):
        tasks = list(_of_lines(path, prompt, system))
    else:
        named = [source] if path.is_file() else sorted(glob.glob(source, recursive=True))
        tasks = _of_files([Path(name) for name in named if not os.path.isdir(name)], None, prompt, system)
    if not tasks:
        hint = "expected a folder of pictures, a pattern in quotes such as 'photos/*.jpg', or a JSONL file"
        raise UsageError(f"nothing to do: '{source}' names no pictures or questions", hint=hint)
    return tasks


def _of_files(files: Iterable[Path], folder: Path | None, prompt: str | None, system: str | None) -> list[Task]:
    if not prompt:
        raise UsageError("pictures need a question", hint='pumice batch photos -o out.jsonl "Describe the picture."')
    tasks = []
    for file in files:
        name = (file.relative_to(folder) if folder else file).as_posix()
        tasks.append(Task(name, (name,), (os.path.join(os.curdir, file),), prompt, system))
    return tasks


def _pictures_in(folder: Path, recursive: bool) -> list[Path]:
    """Files that are pictures or are called so, sorted; hidden ones are left out."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [each for each in folders if recursive and not each.startswith(".")]
        files = (Path(place) / name for name in names if not name.startswith("."))
        found += [file for file in files if file.suffix.lower() in ENDINGS or _is_picture(file)]
    return sorted(found)


def _is_picture(path: Path) -> bool:
    from pumice.images.formats import accepted_format

    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return accepted_format(file.read(_HEAD)) is not None
    except OSError:
        return False


def _of_lines(path: Path, prompt: str | None, system: str | None) -> Iterator[Task]:
    seen: dict[str, tuple[int, bool]] = {}  # for each id its line, and whether it stands there
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {(error.strerror or 'not readable').lower()}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is neither a picture nor UTF-8 text") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            raw = json.loads(line)
            task = _of_line(raw, number, path.parent, prompt, system)
        except (ValueError, RecursionError, UsageError) as error:
            hint = (isinstance(error, UsageError) and error.hint) or f"expected a line like {_LINE}"
            raise UsageError(f"{path}, line {number}: {error}", hint=hint) from None
        here = number, "id" in raw
        first = seen.setdefault(str(task.id), here)
        if first != here:
            raise _same_id(path, task.id, first, here)
        yield task


def _same_id(path: Path, name: str | int, *places: tuple[int, bool]) -> UsageError:
    """``name`` is the id in both places: a line's number, and whether the id stands there or is that number."""
    numbers = sorted(number for number, _ in places)
    bare = next((number for number, written in places if not written), None)
    if bare is None:
        text, hint = f"the id {name!r} stands in lines {numbers[0]} and {numbers[1]}", "give every line its own"
    else:
        other = next(number for number in numbers if number != bare)
        text = f"line {bare} has no id and so has its number, and line {other} has the same id: {name!r}"
        hint = "give every line an id, or none"
    return UsageError(f"{path}: {text}", hint=hint)


def _of_line(raw: object, number: int, folder: Path, prompt: str | None, system: str | None) -> Task:
    if not isinstance(raw, dict):
        raise UsageError(f"expected an object, found {found(raw)}")
    for key in raw:
        if key not in _FIELDS:
            hint = did_you_mean(nearest(key, _FIELDS), f"a line may have {', '.join(_FIELDS)}")
            raise UsageError(f"unknown field {key!r}", hint=hint)
    name = raw.get("id", number)
    if isinstance(name, bool) or not isinstance(name, str | int):
        raise UsageError(f"id must be a text or a whole number, found {found(name)}")
    images = _images(raw)
    question, own_system = _text(raw, "prompt") or prompt, _text(raw, "system")
    if not question or not question.strip():
        raise UsageError("there is no prompt, neither in the line nor on the command line")
    places = tuple(_place(each, folder) for each in images)
    return Task(name, tuple(map(_shown, images)), places, question, system if own_system is None else own_system)


def _images(raw: Mapping[str, object]) -> tuple[str, ...]:
    if raw.get("image") is not None and raw.get("images") is not None:
        raise UsageError("image and images exclude each other")
    single, several = raw.get("image"), raw.get("images")
    listed = [single] if single is not None else [] if several is None else several
    if not isinstance(listed, list) or not all(isinstance(each, str) and each for each in listed):
        raise UsageError("image must be a path or URL, and images a list of them")
    return tuple(listed)


def _text(raw: Mapping[str, object], key: str) -> str | None:
    value = raw.get(key)
    if value is not None and not isinstance(value, str):
        raise UsageError(f"{key} must be a text, found {found(value)}")
    return value


def _is_inline(image: str) -> bool:
    return image[:5].lower() == "data:"


def _shown(image: str) -> str:
    return image.partition(",")[0] + ",..." if _is_inline(image) else image


def _place(image: str, folder: Path) -> str:
    """A path in a file counts from where the file is."""
    from pumice.images.load import is_url

    return image if is_url(image) or _is_inline(image) else os.path.join(os.curdir, folder, image)
