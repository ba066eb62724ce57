"""Captions alone: a CSV or TSV file with a column of pictures and one of captions, or a folder of pictures and texts.

image,caption                      photos/1.jpg
1.jpg,A dog runs.                  photos/1.txt    one caption a line
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from pumice.annotations.sources.fields import relative
from pumice.annotations.sources.shelf import Shelf
from pumice.annotations.sources.source import Source
from pumice.errors import UsageError
from pumice.files import unreadable

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif"})
_IMAGE = ("image", "file", "filename", "file_name", "image_path", "image_name", "image_file", "path", "filepath", "img")
_CAPTION = ("caption", "text", "captions", "sentence", "description", "comment", "title")
_DELIMITERS = ",\t;|"
_LONGEST = 1 << 20  # characters of a cell
_QUOTES = 'a cell that begins with a quote ends with one, and quotes within it are doubled: "A ""big"" dog."'
_WITHOUT = "rows without a picture or a caption"


def open_captions(paths: Sequence[Path]) -> Source:
    """All pictures in the order of the rows, or of their names; rows of one picture are put together.

    Raises: UsageError with file and line for what cannot be read.
    """
    shelf = Shelf("captions")
    for path in paths:
        if path.is_dir():
            _folder(shelf, path)
        else:
            _table(shelf, path)
    count = shelf.complete()
    if not count:
        raise UsageError(f"no picture has a caption in {', '.join(map(str, paths))}")
    left_out = {
        what.replace("about which nothing is said", "without a caption"): n for what, n in shelf.left_out.items()
    }
    return Source("captions", count, partial(shelf.scenes, {}, {}), left_out)


def _table(shelf: Shelf, path: Path) -> None:
    limit = csv.field_size_limit(_LONGEST)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            delimiter, image, caption = _columns(path, file.readline())
            file.seek(0)
            rows = csv.reader(file, delimiter=delimiter, strict=True)
            next(rows)
            for row in rows:
                place = f"{path}:{rows.line_num}"
                name, words = (row[at].strip() if at < len(row) else "" for at in (image, caption))
                if not row:
                    continue
                if not name or not words:
                    shelf.left_out[_WITHOUT] += 1
                    continue
                name = relative(name, place)
                shelf.picture(name, name, (None, None), place)
                shelf.caption(name, words)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text: {error.reason}") from None
    except csv.Error as error:
        raise UsageError(f"{path}:{rows.line_num}: this is no table: {error}", hint=_QUOTES) from None
    except OSError as error:
        raise unreadable(path, error) from error
    finally:
        csv.field_size_limit(limit)


def _columns(path: Path, header: str) -> tuple[str, int, int]:
    """The delimiter, and the numbers of the columns with pictures and captions."""
    for delimiter in _DELIMITERS:
        names = [name.strip().lower() for name in next(csv.reader([header], delimiter=delimiter), [])]
        image = next((names.index(name) for name in _IMAGE if name in names), None)
        caption = next((names.index(name) for name in _CAPTION if name in names), None)
        if image is not None and caption is not None:
            return delimiter, image, caption
    raise UsageError(
        f"{path}: expected a first line that names a column of pictures and one of captions, found"
        f" {header.strip()[:80]!r}",
        hint=f"call them {_IMAGE[0]} and {_CAPTION[0]}",
    )


def _folder(shelf: Shelf, folder: Path) -> None:
    texts = 0
    for path in _files(folder):
        if path.suffix.lower() == ".txt":
            texts += 1
        if path.suffix.lower() not in PICTURES:
            continue
        name = path.relative_to(folder).as_posix()
        shelf.picture(name, name, (None, None), str(path))
        words = next(filter(Path.is_file, (path.with_suffix(".txt"), Path(f"{path}.txt"))), None)
        if words is None:
            continue
        texts -= 1
        try:
            for line in words.read_text(encoding="utf-8-sig").splitlines():
                if line.strip():
                    shelf.caption(name, line)
        except UnicodeDecodeError as error:
            raise UsageError(f"{words} is not UTF-8 text: {error.reason}") from None
        except OSError as error:
            raise unreadable(words, error) from error
    if texts > 0:
        shelf.left_out["texts without a picture"] += texts


def _files(folder: Path) -> Iterator[Path]:
    """All files below the folder, sorted by their names within each."""
    for where, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(where, name) for name in sorted(names))
