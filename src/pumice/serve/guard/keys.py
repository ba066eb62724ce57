"""API keys: shown once, kept as hashes, gone within a second of being revoked."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import re
import secrets
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal, TypeAlias, cast, get_args

from pumice.errors import UsageError
from pumice.serve.guard.secret_files import data_folder, sole_writer, write_private

_log = logging.getLogger(__name__)

Permission: TypeAlias = Literal["infer", "admin"]
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_FILE = "keys.json"


@dataclass(frozen=True)
class Key:
    """What is known of a key; the key itself is not.

    sha256: of the key, in hex. scopes: what it opens; admin opens all. created, revoked: UTC, ISO 8601.
    """

    name: str
    sha256: str
    scopes: tuple[Permission, ...]
    created: str
    revoked: str | None = None

    @property
    def id(self) -> str:
        """Names the key in a session, and tells nothing about it."""
        return self.sha256[:16]

    def may(self, scope: Permission) -> bool:
        return scope in self.scopes or "admin" in self.scopes


class Keys:
    """The keys in a file. Whoever asks gets what the file says now; a change needs no restart.

    folder: holds ``keys.json``; default ``data_folder()``.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.file = (folder or data_folder()) / _FILE
        self._held: tuple[Key, ...] = ()
        self._stamp: tuple[int, ...] | None = None
        self._existed = False

    def create(self, name: str, scope: str = "infer") -> str:
        """A new key under a name. It is returned this once.

        Raises:
            UsageError: the name is taken or no name, the scope is none, or the file cannot be written.
        """
        if _NAME.fullmatch(name) is None:
            raise UsageError(
                f"expected a name of letters, digits, '.', '_' and '-', at most 64 of them, found {name!r}",
                hint="call it after who or what uses it",
            )
        if scope not in get_args(Permission):
            raise UsageError(f"a key's scope is infer or admin, found {scope!r}")
        with sole_writer(self.file):
            known = _read(self.file)
            if any(each.name == name and each.revoked is None for each in known):
                raise UsageError(f"there is a key {name!r} already", hint="revoke it first, or choose another name")
            secret = fresh_key()
            key = Key(name, _hash(secret.encode("ascii")), (cast(Permission, scope),), _now())
            _write(self.file, (*known, key))
        return secret

    def revoke(self, name: str) -> Key:
        """Ends a key. Raises UsageError if there is none of that name."""
        with sole_writer(self.file):
            known = _read(self.file)
            active = [each for each in known if each.name == name and each.revoked is None]
            if not active:
                raise UsageError(f"there is no key {name!r} in use", hint="`pumice keys list` shows them")
            ended = replace(active[0], revoked=_now())
            _write(self.file, tuple(ended if each is active[0] else each for each in known))
        return ended

    def all(self) -> tuple[Key, ...]:
        """Every key there was, in order of creation."""
        self._refresh()
        return self._held

    @property
    def exist(self) -> bool:
        """Whether there is or was a key. A server that was locked stays locked when its last key is revoked."""
        self._refresh()
        return self._existed

    @property
    def usable(self) -> bool:
        """Whether there is a key that opens something."""
        return any(each.revoked is None for each in self.all())

    def find(self, secret: bytes) -> Key | None:
        """The key in use that ``secret`` is. Takes as long for a wrong one as for a right one."""
        digest, found = _hash(secret), None
        for each in self.all():
            if hmac.compare_digest(each.sha256, digest) and each.revoked is None:
                found = each
        return found

    def by_id(self, id_: str) -> Key | None:
        """The key in use with this ``id``."""
        return next((each for each in self.all() if each.revoked is None and hmac.compare_digest(each.id, id_)), None)

    def _refresh(self) -> None:
        """Reads the file again if it is another one than before. A damaged one does not open a running server."""
        stamp = _stamp(self.file)
        if stamp == self._stamp:
            return
        try:
            held = _read(self.file)
        except UsageError as error:
            if self._stamp is None:
                raise
            _log.error("the keys stay as they were: %s", error)
        else:
            self._held = held
            self._existed = self._existed or bool(held)
        self._stamp = stamp


def fresh_key() -> str:
    """A key that nobody has had before."""
    return f"pumice-{secrets.token_urlsafe(32)}"


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _hash(secret: bytes) -> str:
    return hashlib.sha256(secret).hexdigest()


def _stamp(file: Path) -> tuple[int, ...]:
    """Differs when the file does: it is never written in place."""
    try:
        about = os.stat(file)
    except OSError:
        return ()
    return about.st_ino, about.st_mtime_ns, about.st_size


def _read(file: Path) -> tuple[Key, ...]:
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))["keys"]
        return tuple(_key(entry) for entry in entries)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or error}", hint="check the permissions") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{file} is not a file of keys", hint="move it away and create the keys anew") from error


def _key(entry: dict[str, object]) -> Key:
    scopes = entry["scopes"]
    if not isinstance(scopes, list) or not all(isinstance(entry[name], str) for name in ("name", "sha256", "created")):
        raise TypeError
    key = Key(**{**entry, "scopes": tuple(scopes)})  # type: ignore[arg-type]
    if re.fullmatch(r"[0-9a-f]{64}", key.sha256) is None or not set(scopes) <= set(get_args(Permission)):
        raise ValueError
    return key


def _write(file: Path, keys: tuple[Key, ...]) -> None:
    write_private(file, json.dumps({"keys": [asdict(each) for each in keys]}, indent=2) + "\n")
