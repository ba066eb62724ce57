"""Which layers become integers, and of how many bits. A plan is stored in the folder of a quantised checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from pumice.errors import UsageError

Bits: TypeAlias = Literal[4, 8]
GROUPS = (32, 64, 128)


@dataclass(frozen=True)
class Format:
    """Integers of ``bits`` bits; every ``group`` columns of a row share one float16 scale."""

    bits: Bits
    group: int = 32

    def __post_init__(self) -> None:
        if self.bits not in (4, 8):
            raise UsageError(f"weights can have 4 or 8 bits, found {self.bits!r}")
        if self.group not in GROUPS:
            raise UsageError(f"a group has {', '.join(map(str, GROUPS))} columns, found {self.group!r}")

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether a weight of this shape, rows and columns, divides into groups."""
        return len(shape) == 2 and shape[1] % self.group == 0

    def nbytes(self, shape: Sequence[int]) -> int:
        """Bytes of a weight [rows, columns] in this format, scales included."""
        rows, columns = shape
        return rows * columns * self.bits // 8 + rows * (columns // self.group) * 2


class LayerPlan(Protocol):
    """Says which layers become integers."""

    def for_layer(self, name: str, shape: Sequence[int]) -> Format | None:
        """The format of the linear layer ``name``, whose weight has this shape; None leaves it as it is."""


@dataclass(frozen=True)
class Plan:
    """A format for each kind of layer; None leaves it as it is.

    language: the projections and MLPs of the decoder. head: the output projection, which decides between 32,000
    tokens and forgives least. vision: the same layers of the vision tower.
    """

    language: Format
    head: Format | None = None
    vision: Format | None = None

    def for_layer(self, name: str, shape: Sequence[int]) -> Format | None:
        """The format of the linear layer ``name``, whose weight has this shape."""
        if name == "language.lm_head":
            chosen = self.head
        elif name.startswith("language.layers."):
            chosen = self.language
        elif name.startswith("vision.layers."):
            chosen = self.vision
        else:
            return None
        return chosen if chosen is not None and chosen.fits(shape) else None


def standard_plan(bits: Bits, *, group: int = 32, vision_bits: Bits | None = None) -> Plan:
    """``bits`` for the language model, never fewer than 8 for its head, and ``vision_bits`` for the tower."""
    tower = None if vision_bits is None else Format(vision_bits)
    return Plan(Format(bits, group), Format(8), tower)
