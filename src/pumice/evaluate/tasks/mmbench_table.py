"""MMBench's table: a TSV whose rows are questions with their pictures in base64, the rotations of their options
included.

    for row in entries(path): row.index, row.options, row.answer, row.picture

The editions differ: some leave a rotation's picture to the row that it names, some have no right answers.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pumice.errors import UsageError
from pumice.evaluate import sheets

LETTERS = "ABCD"
# What stands in the column of pictures and is shorter is the index of the row that has the picture.
_LONGEST_INDEX = 64


@dataclass(frozen=True)
class Entry:
    """One row. options: letter to text. answer: the right letter, "" where it is secret. cells: the other columns.

    cluster: the picture in a few characters; "" if the row came without one.
    """

    index: int
    options: Mapping[str, str]
    answer: str
    cluster: str
    cells: Mapping[str, str]

    @property
    def question(self) -> str:
        """The words of the question behind its hint, without options."""
        hint, question = self.cells.get("hint", ""), self.cells.get("question", "")
        return question if sheets.is_missing(hint) else f"{hint}\n{question}"

    @property
    def ability(self) -> str:
        """The coarser kind of question."""
        return self.cells.get("l2-category", self.cells.get("L2-category", ""))


def entry(row: Mapping[str, str], place: str, cluster: str = "") -> Entry:
    """A row as an entry, its picture left out. place: for messages. Raises UsageError for a row without an index."""
    try:
        index = int(float(row["index"]))
    except (KeyError, ValueError, OverflowError) as error:
        raise UsageError(f"{place} has a row without an index: expected a column 'index' of whole numbers") from error
    answer = row.get("answer", "").strip()
    return Entry(
        index=index,
        options=options_of(row),
        answer="" if sheets.is_missing(answer) else answer,
        cluster=cluster,
        cells={name: text for name, text in row.items() if name != "image"},
    )


def entries(path: Path) -> Iterator[Entry]:
    """The rows of a table, their pictures left out."""
    clusters: dict[str, str] = {}
    for row in sheets.records(path):
        picture = row.get("image", "")
        cluster = clusters.get(picture.strip(), "") if _is_index(picture) else _cluster(picture)
        clusters[row.get("index", "")] = cluster
        yield entry(row, str(path), cluster)


def illustrated(path: Path) -> Iterator[tuple[Entry, bytes]]:
    """The rows of a table with their pictures, one at a time: a table is larger than what is wanted in memory."""
    named = {row["image"].strip() for row in sheets.records(path) if _is_index(row.get("image", ""))}
    shared = {row["index"]: row["image"] for row in sheets.records(path) if row["index"] in named} if named else {}
    for row in sheets.records(path):
        picture = row.get("image", "")
        picture = shared.get(picture.strip(), picture)
        try:
            data = base64.b64decode(picture, validate=True)
        except (binascii.Error, ValueError) as error:
            raise UsageError(f"{path}: the picture of question {row.get('index')} is no base64: {error}") from error
        if not data:
            raise UsageError(f"{path}: question {row.get('index')} has no picture: expected base64 in column 'image'")
        yield entry(row, str(path), _cluster(picture)), data


def options_of(row: Mapping[str, str]) -> dict[str, str]:
    """The options of a row by letter, up to the first that is empty, as the original reads them."""
    options: dict[str, str] = {}
    for letter in LETTERS:
        if sheets.is_missing(row.get(letter, "")):
            break
        options[letter] = row[letter]
    return options


def columns(rows: Iterable[Mapping[str, str]]) -> list[str]:
    """The names of a table's columns, in order."""
    return list(next(iter(rows), {}))


def _is_index(picture: str) -> bool:
    return len(picture) <= _LONGEST_INDEX and picture.strip().isdigit()


def _cluster(picture: str) -> str:
    return hashlib.sha256(picture.encode()).hexdigest()[:16] if picture else ""
