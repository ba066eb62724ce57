"""Results on disk: written once by whoever scores, read by comparisons and reports, which need no benchmark's files.

for result in read_results(Path("out")):
    print(result.title, result.headline.value, result.headline.interval.low, result.headline.interval.high)
scored = result.scored()      # with its rows, for compare()
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pumice.errors import UsageError
from pumice.evaluate.bootstrap import Interval
from pumice.evaluate.formula import read as read_formula
from pumice.evaluate.layout import RESULT, Place
from pumice.evaluate.questions import JSON, written
from pumice.evaluate.statistic import Metric, Row, Scored
from pumice.files import fresh_file, unreadable

T = TypeVar("T")
_FORMAT = 1
#: What comes of reading a file that somebody else has written; of brackets without end, too.
_DAMAGE = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
_HINT = "score the answers again: pumice evaluate score TASK ANSWERS -o OUT"


@dataclass(frozen=True)
class Figure:
    """A metric with its value (NaN: undefined) and interval."""

    metric: Metric
    value: float
    interval: Interval

    @property
    def name(self) -> str:
        """The metric's."""
        return self.metric.name


@dataclass(frozen=True)
class Result:
    """One benchmark's figures.

    headline: the figure that is compared with ``published`` (by model, "7B" and "13B"). control: as for ``Place``.
    questions, pictures: rows and clusters. made_with: ``run.json``, empty for answers that somebody else made.
    level: of all intervals.
    """

    place: Place
    title: str
    profile: str
    headline: Figure
    figures: tuple[Figure, ...]
    questions: int
    pictures: int
    missing: int
    level: float
    notes: tuple[str, ...] = ()
    published: Mapping[str, float] = field(default_factory=dict)
    made_with: Mapping[str, JSON] = field(default_factory=dict)

    @property
    def task(self) -> str:
        """The benchmark's name."""
        return self.place.task

    @property
    def control(self) -> str:
        """As for ``Place``."""
        return self.place.control

    def scored(self) -> Scored:
        """With its rows, which are read now. Raises UsageError if their file is gone."""
        metrics = tuple(each.metric for each in self.figures)
        rows = tuple(self._lines(_row))
        return Scored(self.task, self.profile, self.headline.name, rows, metrics, self.missing, self.notes)

    def picture_files(self) -> dict[str, Path]:
        """Where the pictures are, by ``Row.cluster``, as far as it was known when the answers were scored."""
        return {cluster: path for cluster, path in self._lines(_picture) if path is not None}

    def _lines(self, read: Callable[[dict[str, Any]], T]) -> Iterator[T]:
        """Line by line: a large benchmark's rows are hundreds of megabytes. A line ends with a line feed and nothing
        else; text of Unicode has other ends of lines, which answers may hold."""
        try:
            with self.place.rows.open("rb") as file:
                for line in file:
                    yield read(json.loads(line))
        except OSError as error:
            raise unreadable(self.place.rows, error, "the rows of a result") from error
        except _DAMAGE as error:
            raise UsageError(f"{self.place.rows} is damaged: {error!r}", hint=_HINT) from error


def write_result(result: Result, rows: Sequence[Row], pictures: Mapping[str, Path]) -> None:
    """Both files, the figures last. pictures: where they are, by ``Row.cluster``."""
    with fresh_file(result.place.rows, overwrite=True) as file:
        for row in rows:
            file.write(written(_line(row, pictures.get(row.cluster))) + b"\n")
    with fresh_file(result.place.result, overwrite=True) as file:
        file.write(written(as_facts(result), indent=1) + b"\n")


def as_facts(result: Result) -> dict[str, object]:
    """For a file, and for ``--json``. What is undefined is null."""
    return {
        "format": _FORMAT,
        "task": result.task,
        "control": result.control,
        "title": result.title,
        "profile": result.profile,
        "headline": result.headline.name,
        "metrics": [_figure_facts(each) for each in result.figures],
        "questions": result.questions,
        "pictures": result.pictures,
        "missing": result.missing,
        "level": result.level,
        "notes": list(result.notes),
        "published": dict(result.published),
        "made_with": dict(result.made_with),
    }


def read_results(folder: Path) -> tuple[Result, ...]:
    """All results in a run's folder, by name, controls behind what they belong to.

    Raises UsageError: there is none, or one was written by something else.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder", hint="name the folder that was given to pumice evaluate run with -o")
    found = sorted(folder.glob(f"*{RESULT}"), key=lambda path: path.name.removesuffix(RESULT))
    if not found:
        raise UsageError(f"{folder} holds no results (*{RESULT})", hint=_HINT)
    return tuple(read_result(path) for path in found)


def read_result(path: Path) -> Result:
    """One ``*.result.json``. Raises UsageError."""
    try:
        facts = json.loads(path.read_bytes())
        if facts["format"] != _FORMAT:
            raise UsageError(f"{path} is of format {facts['format']}, expected {_FORMAT}", hint=_HINT)
        return _result(facts, path)
    except OSError as error:
        raise unreadable(path, error, "the result") from error
    except json.JSONDecodeError as error:
        raise UsageError(f"{path} is no JSON: {error}", hint=_HINT) from error
    except _DAMAGE as error:
        raise UsageError(f"{path} is no result of pumice evaluate: {error!r}", hint=_HINT) from error


def _result(facts: dict[str, Any], path: Path) -> Result:
    figures = {each["name"]: _figure(each) for each in facts["metrics"]}
    return Result(
        place=Place(path.parent, facts["task"], facts["control"]),
        title=facts["title"],
        profile=facts["profile"],
        headline=figures[facts["headline"]],
        figures=tuple(figures.values()),
        questions=facts["questions"],
        pictures=facts["pictures"],
        missing=facts["missing"],
        level=facts["level"],
        notes=tuple(facts["notes"]),
        published=facts["published"],
        made_with=facts["made_with"],
    )


def _figure_facts(figure: Figure) -> dict[str, object]:
    interval = figure.interval
    return {
        "name": figure.name,
        "value": number_or_none(figure.value),
        "low": number_or_none(interval.low),
        "high": number_or_none(interval.high),
        "error": number_or_none(interval.error),
        "unknown": interval.unknown,
        "scale": figure.metric.scale,
        "smaller_is_better": figure.metric.smaller_is_better,
        "formula": figure.metric.formula.written(),
    }


def _figure(facts: Mapping[str, Any]) -> Figure:
    value, low, high, error = (
        math.nan if facts[name] is None else float(facts[name]) for name in ("value", "low", "high", "error")
    )
    metric = Metric(facts["name"], read_formula(facts["formula"]), float(facts["scale"]), facts["smaller_is_better"])
    return Figure(metric, value, Interval(low, high, error, facts["unknown"]))


def number_or_none(value: float) -> float | None:
    """A number as JSON has it: what is undefined is null."""
    return None if math.isnan(value) else value


def _line(row: Row, picture: Path | None) -> dict[str, object]:
    line: dict[str, object] = {"question_id": row.question_id, "cluster": row.cluster, "values": dict(row.values)}
    words = {name: getattr(row, name) for name in ("group", "asked", "answer", "expected", "note")}
    line |= {name: text for name, text in words.items() if text}
    if row.correct is not None:
        line["correct"] = row.correct
    if picture is not None:
        line["picture"] = str(picture)
    return line


def _row(line: Mapping[str, Any]) -> Row:
    return Row(**{name: value for name, value in line.items() if name != "picture"})


def _picture(line: Mapping[str, Any]) -> tuple[str, Path | None]:
    return str(line["cluster"]), Path(line["picture"]) if line.get("picture") else None
