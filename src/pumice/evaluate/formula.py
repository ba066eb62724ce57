"""Metrics as data: arithmetic upon sums over questions, so that a metric can be written down and computed anew.

    accuracy = 100 * mean("right")
    f1 = 200 * total("tp") / (2 * total("tp") + total("fp") + total("fn"))
    perception = added([100 * mean("right", each) + 100 * mean("both", each) for each in GROUPS])

What is not linear in the questions (F1, ratios of judges, MME's pairs) keeps its shape in every resample, and a file of
results tells how each of its figures is computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, cast, get_args

import numpy as np
from numpy.typing import NDArray

from pumice.errors import UsageError

Array: TypeAlias = NDArray[np.float64]
Operation: TypeAlias = Literal["number", "total", "count", "+", "-", "*", "/"]
#: As in a file of results: ["/", ["total", "right", null], ["count", "right", null]], ["number", 2.0].
Written: TypeAlias = list[object]


class Sums(Protocol):
    """Sums over questions, one for each resample: what a formula is computed from."""

    def total(self, value: str, group: str | None) -> Array:
        """The sum of a value over the rows of a group that have it (None: over all rows). [R]"""

    def count(self, value: str, group: str | None) -> Array:
        """How many rows these are. [R]"""


@dataclass(frozen=True)
class Formula:
    """A number, a sum, or an operation upon two formulas. ``+ - * /`` make new ones."""

    operation: Operation
    parts: tuple[Formula, ...] = ()
    value: str = ""
    group: str | None = None
    constant: float = 0.0

    def compute(self, sums: Sums) -> Array:
        """One result for each resample [R]; NaN where a divisor is 0."""
        if self.operation == "number":
            return np.array([self.constant])
        if self.operation == "total":
            return sums.total(self.value, self.group)
        if self.operation == "count":
            return sums.count(self.value, self.group)
        left, right = (part.compute(sums) for part in self.parts)
        if self.operation == "+":
            return left + right
        if self.operation == "-":
            return left - right
        if self.operation == "*":
            return left * right
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(right == 0, np.nan, left / right)

    def sums(self) -> set[tuple[str, str | None]]:
        """The values that it adds up or counts, each with the group."""
        own = {(self.value, self.group)} if self.operation in ("total", "count") else set()
        return own.union(*(part.sums() for part in self.parts))

    def __add__(self, other: Formula | float) -> Formula:
        return Formula("+", (self, _formula(other)))

    def __radd__(self, other: float) -> Formula:
        return Formula("+", (_formula(other), self))

    def __sub__(self, other: Formula | float) -> Formula:
        return Formula("-", (self, _formula(other)))

    def __rsub__(self, other: float) -> Formula:
        return Formula("-", (_formula(other), self))

    def __mul__(self, other: Formula | float) -> Formula:
        return Formula("*", (self, _formula(other)))

    def __rmul__(self, other: float) -> Formula:
        return Formula("*", (_formula(other), self))

    def __truediv__(self, other: Formula | float) -> Formula:
        return Formula("/", (self, _formula(other)))

    def written(self) -> Written:
        """For a file; ``read`` is the way back."""
        if self.operation == "number":
            return ["number", self.constant]
        if self.operation in ("total", "count"):
            return [self.operation, self.value, self.group]
        return [self.operation, *(part.written() for part in self.parts)]


def read(written: object) -> Formula:
    """The formula that ``written`` wrote. Raises UsageError for anything else."""
    match written:
        case ["number", int() | float() as constant]:
            return Formula("number", constant=float(constant))
        case ["total" | "count" as operation, str() as value, (None | str()) as group]:
            return Formula(cast(Operation, operation), value=value, group=group)
        case [str() as operation, left, right] if operation in get_args(Operation)[3:]:
            return Formula(cast(Operation, operation), (read(left), read(right)))
    raise UsageError(f"expected a formula such as ['total', 'right', null], found {written!r}")


def number(constant: float) -> Formula:
    """A constant."""
    return Formula("number", constant=float(constant))


def total(value: str, group: str | None = None) -> Formula:
    """The sum of a value over the rows that have it; of one group, or of all."""
    return Formula("total", value=value, group=group)


def count(value: str, group: str | None = None) -> Formula:
    """How many rows have a value."""
    return Formula("count", value=value, group=group)


def mean(value: str, group: str | None = None) -> Formula:
    """The mean of a value over the rows that have it: what is missing is in neither sum."""
    return total(value, group) / count(value, group)


def added(formulas: Sequence[Formula]) -> Formula:
    """The sum of one or more, such as the scores of MME's subtasks."""
    first, *others = formulas
    return sum(others, first)


def average(formulas: Sequence[Formula]) -> Formula:
    """The mean of one or more, each counting the same, such as F1 of POPE's three categories."""
    return added(formulas) / len(formulas)


def _formula(other: Formula | float) -> Formula:
    return other if isinstance(other, Formula) else number(other)
