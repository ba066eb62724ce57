"""A set of annotations behind one door, whatever its files look like."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pumice.annotations.scene import Scene

SourceKind: TypeAlias = Literal["coco", "caps-boxes", "captions", "regions", "world"]


@dataclass(frozen=True)
class Source:
    """Scenes, in the same order every time; iterating it again begins again.

    count: how many there are. left_out: what was found and is of no use, in words, and how often. draw: a scene's
    picture as PNG, where pictures are not files but drawn; a function that other processes can be given.
    """

    kind: SourceKind
    count: int
    scenes: Callable[[], Iterator[Scene]]
    left_out: Mapping[str, int] = field(default_factory=dict)
    draw: Callable[[Scene], bytes] | None = None

    def __iter__(self) -> Iterator[Scene]:
        return self.scenes()
