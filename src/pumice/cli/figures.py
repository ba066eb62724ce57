"""Figures of evaluations as people read them: tables on a terminal, columns in a log."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pumice.errors import UsageError
from pumice.evaluate.bootstrap import Interval
from pumice.evaluate.compare import POWER, Comparison, Difference
from pumice.evaluate.results import Figure, Result
from pumice.evaluate.task import Task

if TYPE_CHECKING:
    from pumice.cli.evaluating import Compared

_NONE = "–"
_MODELS = ("7B", "13B")
_SMALLEST_P = 0.001


def print_results(results: Sequence[Result], *, everything: bool) -> None:
    """A line for each benchmark's main figure, published ones beside it. everything: a line for every figure."""
    table = _Table(("benchmark", "figure", "value", "95 % interval", "questions", "missing", *_published_heads()))
    for result in results:
        title = f"{result.title} ({result.control})" if result.control else result.title
        for figure in result.figures if everything else (result.headline,):
            main = figure.name == result.headline.name
            counts = (f"{result.questions:,}", f"{result.missing:,}") if main else ("", "")
            published = _published(result) if main else ("",) * len(_MODELS)
            table.add(
                title if main else "", figure.name, _value(figure), _interval(figure.interval), *counts, *published
            )
    table.print(numbers={2, 4, 5, 6, 7})
    for result in results:
        for figure in result.figures if everything else (result.headline,):
            if figure.interval.unknown:
                print(f"{result.place.name}, {figure.name}: no interval, for {figure.interval.unknown}")
        for note in result.notes:
            print(f"{result.place.name}: {note}")


def print_comparisons(found: Sequence[Compared], *, everything: bool) -> None:
    """A line for each main difference; below, what it was computed from. everything: a line for every difference."""
    table = _Table(("benchmark", "figure", "first", "second", "difference", "95 % interval", "p", "detectable"))
    for one in found:
        for each in one.comparison.differences:
            if everything or each.metric == one.headline:
                table.add(one.name, *_difference(each))
    table.print(numbers={2, 3, 4, 6, 7})
    for one in found:
        print(f"{one.name}: {'; '.join(_about(one.comparison))}")
    print(f"detectable: a true difference of this size would be found in {POWER:.0%} of such comparisons")


def _about(comparison: Comparison) -> Iterator[str]:
    yield f"{comparison.questions:,} questions about {comparison.pictures:,} pictures"
    if comparison.left_out:
        yield f"{comparison.left_out} pictures of one run alone are left out"
    if comparison.mcnemar is not None:
        tested = comparison.mcnemar
        only = f"right in the first alone: {tested.only_first}, in the second alone: {tested.only_second}"
        yield f"{only} (McNemar, p {'' if tested.p < _SMALLEST_P else '= '}{_p(tested.p)})"
    unknown = {each.metric: each.interval.unknown for each in comparison.differences if each.interval.unknown}
    if len(unknown) == len(comparison.differences) and len(set(unknown.values())) == 1:
        yield f"no intervals, for {next(iter(unknown.values()))}"


def print_tasks(tasks: Sequence[tuple[Task, Path | None]]) -> None:
    """Every benchmark with the files that it needs; with a folder, whether they are there."""
    for task, folder in tasks:
        print(f"{task.name}  {task.title}; scored as {', '.join(task.profiles)} (default: {task.default_profile})")
        for file in task.files:
            found = [] if folder is None else file.all(folder)
            mark = "" if folder is None else "found    " if found else "missing  "
            print(f"    {mark}{found[0] if found else Path(task.folder, file.names[0])}: {file.what}")
            if not found:
                print(f"{' ' * (4 + len(mark))}from {file.source}")


def names_of(folders: Sequence[Path]) -> list[str]:
    """What runs are called: the ends of their paths, as long as it takes. Raises UsageError for one given twice."""
    paths = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, paths)) + 1):
        names = ["/".join(path[-length:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    raise UsageError("a folder is named twice", hint="name each run once")


class _Table:
    """Lines under a head; wide as they need where nobody watches, so that nothing is cut."""

    def __init__(self, head: Sequence[str]) -> None:
        self._head = head
        self._lines: list[Sequence[str]] = []

    def add(self, *cells: str) -> None:
        """One line."""
        self._lines.append(cells)

    def print(self, *, numbers: set[int]) -> None:
        """To stdout. numbers: columns that are set to the right."""
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        console = Console()
        if not console.is_terminal:
            console = Console(width=1000)
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for place, head in enumerate(self._head):
            table.add_column(head, justify="right" if place in numbers else "left")
        for cells in self._lines:
            table.add_row(*(Text(cell) for cell in cells))
        console.print(table)


def _published_heads() -> tuple[str, ...]:
    return tuple(f"1.5-{model}" for model in _MODELS)


def _published(result: Result) -> tuple[str, ...]:
    return tuple(_number(result.published.get(model, math.nan)) for model in _MODELS)


def _value(figure: Figure) -> str:
    return _number(figure.value) + (" ↓" if figure.metric.smaller_is_better else "")


def _interval(interval: Interval) -> str:
    return _NONE if math.isnan(interval.low) else f"{_number(interval.low)} to {_number(interval.high)}"


def _difference(each: Difference) -> tuple[str, ...]:
    value = _NONE if math.isnan(each.value) else f"{each.value:+,.1f}"
    figures = (_number(each.first), _number(each.second), value)
    return (each.metric, *figures, _interval(each.interval), _p(each.p), _number(each.detectable))


def _number(value: float) -> str:
    return _NONE if math.isnan(value) else f"{value:,.1f}"


def _p(value: float) -> str:
    return _NONE if math.isnan(value) else f"< {_SMALLEST_P}" if value < _SMALLEST_P else f"{value:.3f}"
