"""What the bot remembers: conversations in a SQLite file, pictures beside it under the hash of their content.

Everything is forgotten some time after a conversation's last message, and the pictures together never take more than
a fixed room; the longest unused go first. A crash loses at most the answer that was being written.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pumice.errors import UsageError
from pumice.serve.slack.events import Place

_TABLES = """
CREATE TABLE IF NOT EXISTS threads (
    id INTEGER PRIMARY KEY, team TEXT, channel TEXT, thread TEXT, starter TEXT, used REAL,
    UNIQUE (team, channel, thread));
CREATE TABLE IF NOT EXISTS turns (
    id INTEGER PRIMARY KEY, thread INTEGER REFERENCES threads (id) ON DELETE CASCADE,
    role TEXT, text TEXT, pictures TEXT);
CREATE INDEX IF NOT EXISTS turns_of_thread ON turns (thread);
CREATE TABLE IF NOT EXISTS waiting (
    team TEXT, channel TEXT, user TEXT, thread TEXT, pictures TEXT, since REAL, PRIMARY KEY (team, channel, user));
CREATE TABLE IF NOT EXISTS seen (name TEXT PRIMARY KEY, since REAL);
CREATE TABLE IF NOT EXISTS unfinished (
    team TEXT, channel TEXT, thread TEXT, ts TEXT, PRIMARY KEY (channel, ts));
"""
_SEEN_S = 86400.0  # Slack repeats an event for an hour at most


@dataclass(frozen=True)
class Turn:
    """What one side said. pictures: hashes of what came with it."""

    role: str
    text: str
    pictures: tuple[str, ...] = ()


class Store:
    """One folder. All methods belong to the thread in which it was made. They raise OSError or sqlite3.Error.

    now: seconds since 1970, since what is written must mean the same after a restart.
    """

    def __init__(self, folder: Path, *, keep_s: float, picture_room: int = 512 << 20) -> None:
        """Raises UsageError if the folder cannot be used. picture_room: bytes of all pictures together."""
        self._keep_s = keep_s
        self._room = picture_room
        self._pictures = folder / "pictures"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._pictures.mkdir(mode=0o700, exist_ok=True)
            self._base = sqlite3.connect(folder / "conversations.sqlite", timeout=5, isolation_level=None)
            self._base.executescript(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;" + _TABLES
            )
        except (OSError, sqlite3.Error) as error:
            hint = "give another one with --data, or move it away"
            raise UsageError(f"the folder {folder} cannot be used: {error}", hint=hint) from error
        self._held = {each.name: each.stat().st_size for each in self._pictures.iterdir() if each.is_file()}

    def close(self) -> None:
        """Ends the use of the file."""
        self._base.close()

    def claim(self, name: str, now: float) -> bool:
        """True for exactly one caller of each name, restarts included."""
        done = self._base.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (name, now))
        return done.rowcount == 1

    def knows(self, place: Place) -> bool:
        """Whether the bot takes part in this thread."""
        return self._thread(place) is not None

    def turns(self, place: Place) -> list[Turn]:
        """What was said, oldest first."""
        rows = self._base.execute(
            "SELECT role, text, pictures FROM turns WHERE thread = ? ORDER BY id", (self._thread(place),)
        )
        return [Turn(role, text, tuple(json.loads(pictures))) for role, text, pictures in rows]

    def add(self, place: Place, user: str, turns: list[Turn], now: float) -> None:
        """Writes down ``turns``, all or none; the first ones make ``user`` the thread's starter."""
        self._base.execute("BEGIN IMMEDIATE")
        try:
            self._base.execute(
                "INSERT INTO threads (team, channel, thread, starter, used) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (team, channel, thread) DO UPDATE SET used = excluded.used",
                (place.team, place.channel, place.thread, user, now),
            )
            thread = self._thread(place)
            self._base.executemany(
                "INSERT INTO turns (thread, role, text, pictures) VALUES (?, ?, ?, ?)",
                [(thread, each.role, each.text, json.dumps(each.pictures)) for each in turns],
            )
            self._base.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._base.execute("ROLLBACK")
            raise

    def forget(self, place: Place) -> bool:
        """Forgets what was said in one thread, but not that the bot takes part in it; False if there was nothing."""
        return self._base.execute("DELETE FROM turns WHERE thread = ?", (self._thread(place),)).rowcount > 0

    def forget_started(self, team: str, channel: str, user: str) -> bool:
        """The same for all threads in ``channel`` that ``user`` has started, and for pictures that wait."""
        mine = (team, channel, user)
        self._base.execute("DELETE FROM waiting WHERE team = ? AND channel = ? AND user = ?", mine)
        threads = "SELECT id FROM threads WHERE team = ? AND channel = ? AND starter = ?"
        return self._base.execute(f"DELETE FROM turns WHERE thread IN ({threads})", mine).rowcount > 0

    def let_wait(self, place: Place, user: str, pictures: tuple[str, ...], now: float) -> None:
        """Pictures that came without a question; those of a user's last such message in a channel count."""
        values = (place.team, place.channel, user, place.thread, json.dumps(pictures), now)
        self._base.execute("INSERT OR REPLACE INTO waiting VALUES (?, ?, ?, ?, ?, ?)", values)

    def take_waiting(self, place: Place, user: str, since: float) -> tuple[str, ...]:
        """Pictures that wait for a question of ``user`` and came after ``since``. They wait no longer."""
        mine = (place.team, place.channel, user)
        row = self._base.execute(
            "SELECT pictures, since FROM waiting WHERE team = ? AND channel = ? AND user = ?", mine
        ).fetchone()
        self._base.execute("DELETE FROM waiting WHERE team = ? AND channel = ? AND user = ?", mine)
        return tuple(json.loads(row[0])) if row and row[1] >= since else ()

    def put_picture(self, data: bytes) -> str:
        """Keeps a picture; its name is the hash of its bytes."""
        name = hashlib.sha256(data).hexdigest()
        if name in self._held:
            os.utime(self._pictures / name)
            return name
        work = self._pictures / f".{name}.{secrets.token_hex(4)}"
        try:
            work.write_bytes(data)
            work.replace(self._pictures / name)
        finally:
            with suppress(OSError):
                work.unlink()
        self._held[name] = len(data)
        self._make_room(keep=name)
        return name

    def picture(self, name: str) -> bytes | None:
        """The bytes of a picture; None once it was forgotten."""
        with suppress(OSError):
            data = (self._pictures / name).read_bytes()
            os.utime(self._pictures / name)
            return data
        return None

    def begin_reply(self, place: Place, ts: str) -> None:
        """Notes a message that is being written, to be ended after a crash."""
        values = (place.team, place.channel, place.thread, ts)
        self._base.execute("INSERT OR IGNORE INTO unfinished VALUES (?, ?, ?, ?)", values)

    def end_reply(self, place: Place, ts: str) -> None:
        """The message is complete."""
        self._base.execute("DELETE FROM unfinished WHERE channel = ? AND ts = ?", (place.channel, ts))

    def unfinished(self) -> list[tuple[Place, str]]:
        """Messages that a crash has left as they were: their threads, and their ``ts``."""
        rows = self._base.execute("SELECT team, channel, thread, ts FROM unfinished")
        return [(Place(team, channel, thread), ts) for team, channel, thread, ts in rows]

    def sweep(self, now: float) -> None:
        """Forgets what is too old, and the pictures that nothing refers to."""
        self._base.execute("DELETE FROM threads WHERE used < ?", (now - self._keep_s,))
        self._base.execute("DELETE FROM waiting WHERE since < ?", (now - self._keep_s,))
        self._base.execute("DELETE FROM seen WHERE since < ?", (now - _SEEN_S,))
        rows = self._base.execute("SELECT pictures FROM turns UNION ALL SELECT pictures FROM waiting")
        used = {name for (pictures,) in rows for name in json.loads(pictures)}
        for name in set(self._held) - used:
            # An hour of grace: what has just come is written down only when its answer is complete.
            if self._age(name, now) > min(3600.0, self._keep_s):
                self._drop(name)

    def _thread(self, place: Place) -> int | None:
        row = self._base.execute(
            "SELECT id FROM threads WHERE team = ? AND channel = ? AND thread = ?",
            (place.team, place.channel, place.thread),
        ).fetchone()
        return int(row[0]) if row else None

    def _make_room(self, keep: str) -> None:
        if sum(self._held.values()) <= self._room:
            return
        for name in sorted(set(self._held) - {keep}, key=lambda each: -self._age(each, 0.0)):
            self._drop(name)
            if sum(self._held.values()) <= self._room:
                return

    def _age(self, name: str, now: float) -> float:
        try:
            return now - (self._pictures / name).stat().st_mtime
        except OSError:
            return now

    def _drop(self, name: str) -> None:
        with suppress(OSError):
            (self._pictures / name).unlink()
        self._held.pop(name, None)
