"""Other people's data sets into LLaVA's records: a CSV, a folder of captions, COCO's captions, LLaVA's JSON and JSONL.

What a person typed stays words: a typed ``<image>`` is escaped, and only the picture itself becomes a placeholder.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias

from pumice.data.apart import apart
from pumice.data.parsing import parse
from pumice.data.pictures import is_outside
from pumice.data.rules import PLACEHOLDER, escape
from pumice.errors import UsageError
from pumice.files import fresh_file, unreadable
from pumice.images.formats import accepted_format

Source: TypeAlias = Literal["csv", "captions", "coco", "llava"]
Value: TypeAlias = dict[str, object]

DELIMITERS = ",;\t|"
_HEAD = 4096  # bytes that tell what a file is
_COCO = re.compile(rb'\{\s*"(info|licenses|images|annotations)"\s*:\s*[\[{]')  # how such a file begins


@dataclass(frozen=True)
class Choices:
    """images: the folder where pictures must be, and that paths become relative to; None keeps paths as they are.

    skip_missing: leave out what has no picture there. merge: a CSV's rows about one picture become one record of
    several turns. apart: and the other way round, for records. prompt: the question before a caption. overwrite:
    replace the target.
    """

    images: Path | None = None
    skip_missing: bool = False
    merge: bool = False
    apart: bool = False
    prompt: str = "Describe the image."
    overwrite: bool = False


@dataclass
class Count:
    """records: written. skipped: rows or captions without their picture."""

    records: int = 0
    skipped: int = 0


def convert(source: Path, target: Path, kind: Source | None = None, choices: Choices = Choices()) -> Count:
    """Write ``source`` as records to ``target``, a JSON list or, where that ends in ``.jsonl``, one record a line.

    kind: what the source is; None tells it by its content.
    Raises: UsageError naming the file and line that cannot be converted; then the target is as it was.
    """
    if target.suffix not in (".json", ".jsonl"):
        raise UsageError(f"the target is written as .json or .jsonl, found {target.name!r}")
    chosen = kind or _told(source)
    count = Count()
    if choices.merge and chosen != "csv":
        raise UsageError("--merge is for the rows of a CSV file")
    if choices.apart and chosen != "llava":
        raise UsageError("--apart is for LLaVA's records", hint="convert into records first")
    if choices.skip_missing and (choices.images is None or chosen == "captions"):
        raise UsageError("--skip-missing needs to know where pictures are", hint="name the folder with --images")
    if chosen == "csv":
        records = _from_csv(source, choices, count)
    elif chosen == "captions":
        records = _from_captions(source, choices)
    elif chosen == "coco":
        records = _from_coco(source, choices, count)
    elif choices.images is not None:
        raise UsageError("LLaVA's records keep their pictures' paths", hint="leave --images out")
    else:
        records = _from_llava(source, in_parts=choices.apart)
    with fresh_file(target, overwrite=choices.overwrite) as file:
        count.records = _write(records, file, as_list=target.suffix == ".json")
        if not count.records:
            missing = f", for none of {count.skipped} pictures is there" if count.skipped else ""
            raise UsageError(f"{source}: nothing to convert in it{missing}")
    return count


def _told(source: Path) -> Source:
    """A folder holds captions; a file that begins like JSON holds COCO's or records; anything else is a table."""
    if source.is_dir():
        return "captions"
    head = _head(source).removeprefix(b"\xef\xbb\xbf").lstrip()
    if _COCO.match(head):
        return "coco"
    return "llava" if head.startswith((b"[", b"{")) else "csv"


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except OSError as error:
        raise unreadable(path, error) from error


def _write(records: Iterable[Value], file: BinaryIO, *, as_list: bool) -> int:
    """A record a line also in a list, so that line numbers say something."""
    opening, between, closing = (b"[\n", b",\n", b"\n]\n") if as_list else (b"", b"\n", b"\n")
    count = 0
    for count, record in enumerate(records, start=1):
        file.write(opening if count == 1 else between)
        # Half a surrogate pair is no UTF-8; its escape in Python is its escape in JSON.
        file.write(json.dumps(record, ensure_ascii=False).encode("utf-8", "backslashreplace"))
    file.write(closing)
    return count


def _from_llava(source: Path, *, in_parts: bool) -> Iterator[Value]:
    for raw in parse(source):
        if raw.faults or not isinstance(raw.value, dict):
            why = raw.faults[0].found if raw.faults else f"expected an object, found {type(raw.value).__name__}"
            raise UsageError(f"{raw.place(source)}: {why}", hint="pumice data doctor lists every fault of a file")
        if "conversations" not in raw.value:
            raise UsageError(
                f"{raw.place(source)}: expected a record with 'conversations', found {[*raw.value]!s:.80}",
                hint="make a CSV with the columns image, question and answer out of other data, and convert that",
            )
        yield from apart(raw.value) if in_parts else (raw.value,)


def _from_csv(source: Path, choices: Choices, count: Count) -> Iterator[Value]:
    merged: dict[str, Value] = {}
    for number, (line, row) in enumerate(_rows(source), start=1):
        image = row.get("image", "").strip()
        if image and _is_left_out(image, choices, count):
            continue
        if image and choices.images is not None:
            image = _within(image, choices.images, f"{source}:{line}")
        record = _record(row.get("id") or str(number), image, row["question"], row["answer"])
        if not (choices.merge and image):
            yield record
        elif image in merged:
            turns = merged[image]["conversations"]
            assert isinstance(turns, list)
            more = _record("", "", row["question"], row["answer"])["conversations"]
            assert isinstance(more, list)
            turns += more
        else:
            merged[image] = record
    yield from merged.values()


def _rows(source: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows with the line where each ends, by the names of the header's columns."""
    try:
        with source.open(encoding="utf-8-sig", newline="") as file:
            delimiter = _delimiter(file.readline(), source)
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            header = [name.strip().lower() for name in next(reader)]
            for row in reader:
                if not row:
                    continue
                if len(row) != len(header):
                    raise UsageError(
                        f"{source}:{reader.line_num}: expected {len(header)} columns, found {len(row)}",
                        hint="put a text that holds the separator or a line end into double quotes",
                    )
                yield reader.line_num, dict(zip(header, row, strict=True))
    except OSError as error:
        raise UsageError(f"cannot read {str(source)!r}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{source} is not in UTF-8", hint="save it as UTF-8; spreadsheets call that 'CSV UTF-8'"
        ) from error
    except csv.Error as error:
        raise UsageError(f"{source}:{reader.line_num}: not valid CSV: {error}") from error


def _delimiter(first: str, source: Path) -> str:
    for delimiter in DELIMITERS:
        names = {name.strip(' \t\r\n"').lower() for name in first.split(delimiter)}
        if {"question", "answer"} <= names:
            return delimiter
    raise UsageError(
        f"{source}:1: expected the columns image, question and answer, found {first.strip()!r:.80}",
        hint="the first line names the columns, and these three must be among them",
    )


def _record(name: str, image: str, question: str, answer: str) -> Value:
    asked = escape(question)
    pictured = {"image": image} if image else {}
    turns = [
        {"from": "human", "value": f"{PLACEHOLDER}\n{asked}" if image else asked},
        {"from": "gpt", "value": answer},
    ]
    return {"id": name, **pictured, "conversations": turns}


def _is_left_out(name: str, choices: Choices, count: Count) -> bool:
    """Whether a picture is missing and may be; counts it."""
    missing = choices.skip_missing and choices.images is not None and not _is_there(name, choices.images)
    count.skipped += missing
    return missing


def _is_there(name: str, images: Path) -> bool:
    return not is_outside(name, images) and os.path.isfile(images / name)


def _within(name: str, images: Path, place: str) -> str:
    """A picture's path relative to the folder of pictures, where it must be."""
    if not _is_there(name, images):
        raise UsageError(
            f"{place}: there is no picture {name!r} in {images}", hint="check --images, or add --skip-missing"
        )
    return Path(os.path.relpath(images / name, images)).as_posix()


def _from_coco(source: Path, choices: Choices, count: Count) -> Iterator[Value]:
    """One record for each caption, in the file's order."""
    told = _coco(source)
    names = {each.get("id"): each.get("file_name") for each in told["images"]}
    for number, each in enumerate(told["annotations"], start=1):
        name, caption, place = names.get(each.get("image_id")), each.get("caption"), f"{source}: annotation {number}"
        if not isinstance(caption, str):
            raise UsageError(f"{place} has no caption", hint="of COCO's files captions_*.json is the one to convert")
        if not isinstance(name, str):
            raise UsageError(f"{place} is about image_id {each.get('image_id')!r}, which 'images' does not name")
        if _is_left_out(name, choices, count):
            continue
        if choices.images is not None:
            name = _within(name, choices.images, place)
        yield _record(str(each.get("id", number)), name, choices.prompt, caption.strip())


def _coco(source: Path) -> dict[str, list[Value]]:
    """The two lists of objects that a file of captions consists of."""
    try:
        told = json.loads(source.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"cannot read {str(source)!r}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{source}: not valid JSON in UTF-8: {error}") from error
    lists: dict[str, list[Value]] = {}
    for name in ("images", "annotations"):
        values = told.get(name) if isinstance(told, dict) else None
        if not isinstance(values, list) or not all(isinstance(each, dict) for each in values):
            raise UsageError(f"{source}: expected COCO's captions, with a list of objects as {name!r}")
        lists[name] = values
    return lists


def _from_captions(source: Path, choices: Choices) -> Iterator[Value]:
    """One record for each picture with its text; both must be there, so that a misspelt name loses nothing."""
    if not source.is_dir():
        raise UsageError(f"captions are a folder of pictures with .txt files beside them, found {str(source)!r}")
    pictures, texts = _paired(source)
    lonely = sorted((pictures.keys() ^ texts.keys()), key=str)
    if lonely:
        what = "text" if lonely[0] in pictures else "picture"
        first = pictures.get(lonely[0]) or texts[lonely[0]]
        raise UsageError(
            f"{len(lonely)} files lack their companion: no {what} beside {first}",
            hint="a picture and its .txt have the same name but for the ending; move other files away",
        )
    for stem, picture in sorted(pictures.items(), key=str):
        try:
            caption = texts[stem].read_text(encoding="utf-8-sig").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read {texts[stem]}: {error}") from error
        if not caption:
            raise UsageError(f"{texts[stem]}: the caption is empty")
        name = _within(os.path.relpath(picture, choices.images or source), choices.images or source, str(picture))
        yield _record(stem.relative_to(source).as_posix(), name, choices.prompt, caption)


def _paired(folder: Path) -> tuple[dict[Path, Path], dict[Path, Path]]:
    """Pictures and texts by their path without ending. What is neither plays no part."""
    pictures: dict[Path, Path] = {}
    texts: dict[Path, Path] = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        stem = path.with_suffix("")
        if path.suffix.lower() == ".txt":
            texts[stem] = path
            continue
        is_picture = accepted_format(_head(path)) is not None
        if is_picture and stem in pictures:
            raise UsageError(f"{pictures[stem]} and {path} would share one caption", hint="rename one of them")
        if is_picture:
            pictures[stem] = path
    return pictures, texts
