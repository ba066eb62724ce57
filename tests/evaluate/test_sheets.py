"""Tables in files that are damaged in any way: told as such, whatever the library behind them says."""

from __future__ import annotations

import random
import zipfile
from pathlib import Path

import pytest

from pumice.errors import UsageError
from pumice.evaluate import sheets


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.xlsx"
    sheets.write_workbook(path, ["index", "prediction"], [(at, f"answer {at}") for at in range(50)])
    return path


@pytest.mark.filterwarnings("error")
def test_a_workbook_is_read_as_written(book: Path) -> None:
    assert list(sheets.records(book))[7] == {"index": "7", "prediction": "answer 7"}


@pytest.mark.parametrize("seed", range(60))
def test_damaged_bytes_are_no_workbook_or_read_all_the_same(book: Path, seed: int) -> None:
    data, dice = bytearray(book.read_bytes()), random.Random(seed)
    for _ in range(dice.choice([1, 5, 20])):
        data[dice.randrange(len(data))] = dice.randrange(256)
    book.write_bytes(data[: dice.choice([len(data), dice.randrange(len(data))])])
    try:
        assert list(sheets.records(book))
    except UsageError as error:
        assert "book.xlsx" in str(error)


@pytest.mark.parametrize("content", [b"", b"<a/>", b"<a><b"])
def test_a_sheet_that_is_no_sheet(book: Path, content: bytes) -> None:
    with zipfile.ZipFile(book) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(book, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, content if name.endswith("sheet1.xml") else part)
    with pytest.raises(UsageError, match=r"book.xlsx is (no workbook|empty)"):
        list(sheets.records(book))


def test_a_workbook_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the workbook"):
        list(sheets.records(tmp_path / "none.xlsx"))
