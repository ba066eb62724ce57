"""Sorts annotations by picture, in whatever order and from however many files they come.

They wait in a database that SQLite keeps in a temporary file of its own, and removes: memory does not grow with them.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pumice.annotations.scene import Region, Scene, Thing
from pumice.annotations.sources.fields import clipped
from pumice.boxes import Box
from pumice.errors import UsageError

_CACHE_KIB = 32 << 10
_BATCH = 5000  # rows
_LISTS_KEPT = 256
_TABLES = """
    CREATE TABLE picture (key TEXT PRIMARY KEY, file TEXT, width INTEGER, height INTEGER, looked TEXT);
    CREATE TABLE caption (key TEXT, id TEXT, text TEXT);
    CREATE TABLE thing (key TEXT, id TEXT, category TEXT, colour TEXT, crowd INTEGER, x REAL, y REAL, w REAL, h REAL);
    CREATE TABLE region (key TEXT, phrase TEXT, x REAL, y REAL, w REAL, h REAL);
"""
_CAPTIONS = "SELECT text, id FROM caption WHERE key = ? ORDER BY rowid"
_THINGS = "SELECT id, category, colour, crowd, x, y, w, h FROM thing WHERE key = ? ORDER BY rowid"
_REGIONS = "SELECT phrase, x, y, w, h FROM region WHERE key = ? ORDER BY rowid"
# LVIS names the folder of a picture, COCO's captions of the same picture do not.
_SAME_FILE = """
    file = excluded.file OR substr(file, -length(excluded.file) - 1) = '/' || excluded.file
    OR substr(excluded.file, -length(file) - 1) = '/' || file
"""
# COCO's files of keypoints repeat the boxes of its instances; files are named twice by mistake, too.
_TWICE = {
    table: f"""
        DELETE FROM {table} WHERE EXISTS (
            SELECT 1 FROM {table} AS same WHERE same.rowid < {table}.rowid AND same.key = {table}.key
            AND same.id = {table}.id AND {" AND ".join(f"same.{name} IS {table}.{name}" for name in content.split())})
    """
    for table, content in (("caption", "text"), ("thing", "category colour x y w h"))
}
_INSIDE = "w > 0 AND h > 0 AND x < width AND y < height AND x + w > 0 AND y + h > 0"


@dataclass(frozen=True)
class Marked:
    """A thing as it comes: box as left, top, width, height in pixels; category: its name or number."""

    category: str
    box: tuple[float, ...]
    id: str | None = None
    crowd: bool = False
    colour: str | None = None


class Shelf:
    """Takes annotations, then gives scenes, in the order in which the pictures came."""

    def __init__(self, source: str) -> None:
        self.left_out: Counter[str] = Counter()
        self._source = source
        # An empty name is a private database on disk; whoever iterates may be another thread than who filled it.
        self._rows = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._rows.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self._rows.execute("PRAGMA journal_mode = OFF")
        self._rows.executescript(_TABLES)
        self._rows.execute("BEGIN")
        self._waiting: dict[str, list[tuple[object, ...]]] = {}

    def picture(
        self, key: str, file: str, size: tuple[int | None, int | None], place: object, looked: str = ""
    ) -> None:
        """A picture; again is no harm, under another name it is.

        looked: keys of ``scenes``' table of what was looked for, with spaces between; those of every time count.

        Raises: UsageError if the key stands for another picture.
        """
        added = self._rows.execute(
            "INSERT INTO picture VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET"
            " file = CASE WHEN length(excluded.file) > length(file) THEN excluded.file ELSE file END,"
            " width = coalesce(width, excluded.width), height = coalesce(height, excluded.height),"
            f" looked = looked || ' ' || excluded.looked WHERE {_SAME_FILE}",
            (key, file, *size, looked),
        )
        if added.rowcount == 0:
            (other,) = self._rows.execute("SELECT file FROM picture WHERE key = ?", (key,)).fetchone()
            raise UsageError(
                f"{place}: picture {key} is {file!r} here, and {other!r} before", hint="name files of one data set"
            )

    def knows(self, key: str) -> bool:
        """Whether the picture came already."""
        return self._rows.execute("SELECT 1 FROM picture WHERE key = ?", (key,)).fetchone() is not None

    def caption(self, key: str, text: str, id: str | None = None) -> None:
        """Words about a picture, which may come later."""
        words = " ".join(text.split())
        if words:
            self._add("caption", (key, id, words))
        else:
            self.left_out["empty captions"] += 1

    def thing(self, key: str, thing: Marked) -> None:
        """A thing in a picture, which may come later."""
        self._add("thing", (key, thing.id, thing.category, thing.colour, thing.crowd, *thing.box))

    def region(self, key: str, phrase: str, box: tuple[float, ...]) -> None:
        """A phrase about a part of a picture, which may come later; the box as in ``Marked``."""
        words = " ".join(phrase.split())
        if words:
            self._add("region", (key, words, *box))
        else:
            self.left_out["empty phrases"] += 1

    def complete(self) -> int:
        """Nothing more comes. The number of scenes; what is of no use is counted in ``left_out`` and removed.

        Raises: UsageError if a picture with boxes has no size.
        """
        for table in list(self._waiting):
            self._flush(table)
        query = self._rows.execute
        for table in ("caption", "thing", "region"):
            query(f"CREATE INDEX of_{table} ON {table} (key)")
            if table in _TWICE:
                self._note(f"{table}s that came twice", query(_TWICE[table]).rowcount)
            gone = query(f"DELETE FROM {table} WHERE key NOT IN (SELECT key FROM picture)").rowcount
            self._note(f"{table}s of pictures that are not listed", gone)
        for table in ("thing", "region"):
            sized = f"FROM {table} JOIN picture USING (key)"
            lost = query(f"SELECT key {sized} WHERE width IS NULL OR height IS NULL LIMIT 1").fetchone()
            if lost:
                raise UsageError(
                    f"picture {lost[0]} has boxes, but neither width nor height",
                    hint="name the file that says how large pictures are as well",
                )
            outside = f"SELECT {table}.rowid {sized} WHERE NOT ({_INSIDE})"
            gone = query(f"DELETE FROM {table} WHERE rowid IN ({outside})").rowcount
            self._note("boxes without an area in their picture", gone)
        said = " AND ".join(f"key NOT IN (SELECT key FROM {table})" for table in ("caption", "thing", "region"))
        self._note("pictures about which nothing is said", query(f"DELETE FROM picture WHERE {said}").rowcount)
        query("COMMIT")
        (count,) = query("SELECT count(*) FROM picture").fetchone()
        return int(count)

    def without(self, table: str) -> int:
        """Pictures that have no row in the table ("caption", "thing")."""
        found = self._rows.execute(f"SELECT count(*) FROM picture WHERE key NOT IN (SELECT key FROM {table})")
        return int(found.fetchone()[0])

    def categories(self) -> Iterator[tuple[str, int]]:
        """The categories of all things as they came, and how many there are of each."""
        yield from self._rows.execute("SELECT category, count(*) FROM thing GROUP BY category ORDER BY category")

    def scenes(self, names: Mapping[str, str], sought: Mapping[str, frozenset[str]]) -> Iterator[Scene]:
        """The scenes. names: of categories by what they came as; things of others are left out.

        sought: the categories that were looked for in a picture, by the keys in its ``looked``.
        """

        @lru_cache(maxsize=_LISTS_KEPT)  # in most sources it is the same for all pictures
        def closed(looked: str) -> frozenset[str]:
            return frozenset().union(*(sought.get(each, ()) for each in looked.split()))

        pictures = self._rows.execute("SELECT key, file, width, height, looked FROM picture ORDER BY rowid")
        for key, file, width, height, looked in pictures:
            captions = self._of(_CAPTIONS, key)
            things = tuple(
                Thing(names[category], _shares(box, width, height), colour, bool(crowd), id)
                for id, category, colour, crowd, *box in self._of(_THINGS, key)
                if category in names
            )
            regions = self._of(_REGIONS, key)
            yield Scene(
                id=key,
                image=file,
                width=width,
                height=height,
                captions=tuple(text for text, _ in captions),
                things=things,
                regions=tuple(Region(phrase, _shares(box, width, height)) for phrase, *box in regions),
                source=self._source,
                closed=closed(looked),
                caption_ids=tuple(id for _, id in captions if id is not None),
            )

    def _of(self, query: str, key: str) -> list[Any]:
        return self._rows.execute(query, (key,)).fetchall()

    def _add(self, table: str, row: tuple[object, ...]) -> None:
        rows = self._waiting.setdefault(table, [])
        rows.append(row)
        if len(rows) >= _BATCH:
            self._flush(table)

    def _flush(self, table: str) -> None:
        rows = self._waiting.pop(table, [])
        if rows:
            self._rows.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)

    def _note(self, what: str, times: int) -> None:
        if times:
            self.left_out[what] += times


def _shares(box: Sequence[float], width: int, height: int) -> Box:
    x, y, w, h = box
    return clipped((x / width, y / height, (x + w) / width, (y + h) / height))
