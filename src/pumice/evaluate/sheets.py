"""Tables in files, as MMBench's tools write and read them: TSV with pictures in base64, and Excel workbooks."""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import BinaryIO, TypeAlias, cast

from pumice.errors import PumiceError, UsageError
from pumice.files import fresh_file, unreadable

Record: TypeAlias = dict[str, str]

# A picture in base64 is one field; the csv module stops at 128 KiB unless told otherwise, once for the whole process.
_LONGEST_FIELD = 2**30
# What pandas reads as "no value", and the original's scripts beside it.
_NOTHING = {"", "nan", "none", "null", "na", "n/a", "#n/a", "#na", "<na>", "-nan"}
# What XML, and so a workbook, cannot hold.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")


def is_missing(text: str) -> bool:
    """Whether a cell holds no value, in the reading of pandas and of the original's scripts."""
    return text.strip().lower() in _NOTHING


def records(path: Path) -> Iterator[Record]:
    """The rows of a table, each from column to text, "" where a cell is empty; by the file's ending TSV, CSV or XLSX.

    Raises: UsageError for a file that is no such table.
    """
    ending = path.suffix.lower()
    if ending in (".xlsx", ".xlsm"):
        return _workbook(path)
    if ending in (".tsv", ".csv", ".txt"):
        return _delimited(path, "," if ending == ".csv" else "\t")
    raise UsageError(f"{path} is no table: expected a name with .tsv, .csv or .xlsx at its end")


def write_workbook(path: Path, header: Sequence[str], rows: Iterable[Sequence[str | int]]) -> None:
    """A workbook of one sheet, as pandas' ``to_excel(index=False)`` makes it. Text stays text: "=1+1" is no formula.

    Raises: UsageError if the file cannot be written.
    """
    openpyxl = _openpyxl()
    from openpyxl.cell import WriteOnlyCell  # type: ignore[import-untyped]

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Sheet1")
    for row in (header, *rows):
        cells = []
        for value in row:
            cell = WriteOnlyCell(sheet, value=_CONTROL.sub("", value) if isinstance(value, str) else value)
            if isinstance(value, str) and value:
                cell.data_type = "s"
            cells.append(cell)
        sheet.append(cells)
    with fresh_file(path, overwrite=True) as file:
        book.save(file)


def _delimited(path: Path, delimiter: str) -> Iterator[Record]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            csv.field_size_limit(_LONGEST_FIELD)
            reader = csv.reader(file, delimiter=delimiter)
            header = next(reader, None)
            if not header:
                raise UsageError(f"{path} is empty: expected a line with the names of its columns")
            for row in reader:
                if len(row) > len(header):
                    raise UsageError(
                        f"{path}, line {reader.line_num}: expected {len(header)} columns, found {len(row)}",
                        hint="is the file complete, and are its columns separated by tabs?",
                    )
                if row:
                    yield dict(zip(header, row + [""] * (len(header) - len(row)), strict=True))
    except OSError as error:
        raise unreadable(path, error, "the table") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no table of text: {error}", hint="download it again, whole") from error


def _workbook(path: Path) -> Iterator[Record]:
    openpyxl = _openpyxl()
    try:
        with path.open("rb") as file:
            yield from _first_sheet(openpyxl, file, path)
    except PumiceError:
        raise
    except OSError as error:
        raise unreadable(path, error, "the workbook") from error
    except Exception as error:  # a damaged archive, its XML, what is missing in it: openpyxl promises no kind of error
        raise UsageError(f"{path} is no workbook of Excel: {error}", hint="download it again, whole") from error


def _first_sheet(openpyxl: ModuleType, file: BinaryIO, path: Path) -> Iterator[Record]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about styles, which other tools leave out
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
    rows = book.worksheets[0].iter_rows(values_only=True)
    header = [_text(cell) for cell in next(rows, ())]
    if not header:
        raise UsageError(f"{path} is empty: expected a row with the names of its columns")
    for row in rows:
        cells = [_text(cell) for cell in row]
        if any(cells):
            yield dict(zip(header, cells + [""] * (len(header) - len(cells)), strict=False))


def _text(cell: object) -> str:
    """A cell as text; 3.0 is 3, as pandas reads a column of whole numbers."""
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)


def _openpyxl() -> ModuleType:
    try:
        import openpyxl  # type: ignore[import-untyped]
    except ImportError:
        raise PumiceError("workbooks of Excel need openpyxl", hint="pip install 'pumice[eval]'") from None
    return cast(ModuleType, openpyxl)
