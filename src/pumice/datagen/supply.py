"""Where a run takes its scenes from: a source of annotations, a part of it, and how to know it again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

from pumice.annotations.scene import Scene
from pumice.annotations.sources.source import Source, SourceKind
from pumice.annotations.sources.table import open_source
from pumice.datagen.samples import Json
from pumice.errors import UsageError

_PIECE = 1 << 20


@dataclass(frozen=True)
class Supply:
    """Scenes ``first`` up to ``first + count`` of a source; all from ``first`` if ``count`` is None."""

    kind: SourceKind
    files: tuple[Path, ...] = ()
    first: int = 0
    count: int | None = None

    def __post_init__(self) -> None:
        """Raises UsageError for what makes no source."""
        if self.kind == "world" and self.count is None:
            raise UsageError("the world has no end", hint="say with --count how many scenes of it to take")
        if self.kind == "world" and self.files:
            raise UsageError(f"the world has no files, found {self.files[0]}", hint="leave them out")
        if self.kind != "world" and not self.files:
            raise UsageError(f"annotations of the kind {self.kind} need a file", hint="name it behind the kind")

    @cached_property
    def _source(self) -> Source:
        if self.kind == "world":
            assert self.count is not None
            return open_source("world", numbers=range(self.first, self.first + self.count))
        return open_source(self.kind, self.files)

    @property
    def _skipped(self) -> int:
        return 0 if self.kind == "world" else self.first

    @property
    def total(self) -> int:
        """Scenes that it gives. Raises UsageError if the annotations cannot be read, or end before ``first``."""
        there = self._source.count - self._skipped
        if there <= 0:
            raise UsageError(f"there are {self._source.count} scenes, and none from number {self.first} on")
        return there if self.count is None else min(there, self.count)

    @property
    def left_out(self) -> Mapping[str, int]:
        """What was found in the files and is of no use, in words, and how often."""
        return self._source.left_out

    @property
    def draw(self) -> Callable[[Scene], bytes] | None:
        """Draws a scene's picture as PNG, where pictures are no files."""
        return self._source.draw

    def scenes(self, done: int) -> Iterator[Scene]:
        """Those behind the first ``done``. Raises UsageError if the annotations cannot be read."""
        return islice(self._source, self._skipped + done, self._skipped + self.total)

    def as_json(self) -> dict[str, Json]:
        """What decides its scenes: the contents of its files, not their places. Raises UsageError."""
        return {"kind": self.kind, "first": self.first, "count": self.count, "files": _digest(self.files)}


def _digest(files: Sequence[Path]) -> str:
    """Of contents; of a folder, of the names and sizes of all that is in it. As twelve hexadecimal digits."""
    digest = hashlib.sha256()
    for path in files:
        try:
            if path.is_dir():
                for each in sorted(path.rglob("*")):
                    size = each.stat().st_size if each.is_file() else -1
                    digest.update(f"{each.relative_to(path).as_posix()}\0{size}\0".encode("utf-8", "surrogateescape"))
            else:
                with path.open("rb") as file:
                    while piece := file.read(_PIECE):
                        digest.update(piece)
                digest.update(b"\0")
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror or error}", hint="check its name") from error
    return digest.hexdigest()[:12]
