"""From a scorer's rows to a result: figures with intervals, what was published beside them; comparisons as facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pumice.evaluate.bootstrap import LEVEL, intervals
from pumice.evaluate.compare import Comparison, Difference
from pumice.evaluate.layout import Place
from pumice.evaluate.questions import JSON, Question
from pumice.evaluate.results import Figure, Result, number_or_none
from pumice.evaluate.statistic import Clusters, Scored
from pumice.evaluate.task import Task


def only(scored: Scored, asked: Sequence[Question], of: int, missing: int) -> Scored:
    """The part of a result that is about some pictures, for a run that asked no others.

    of: questions of the benchmark. missing: of those that were asked. Metrics of parts without a picture become
    undefined. What the scorer's ``notes`` say of all questions does not hold, and is left out.
    """
    pictures = {question.image_key for question in asked}
    rows = tuple(row for row in scored.rows if row.cluster in pictures)
    said = [f"Only {len(asked)} of {of} questions were asked."]
    if missing:
        said.append(f"{missing} of them have no answer.")
    return replace(scored, rows=rows, missing=missing, notes=tuple(said))


def summarise(scored: Scored, task: Task, place: Place, made_with: Mapping[str, JSON]) -> Result:
    """Every metric with its interval. made_with: as in ``Result``."""
    clusters = Clusters(scored.rows)
    found = intervals(scored)
    figures = {
        metric.name: Figure(metric, float(metric.compute(clusters.all())[0]), found[metric.name])
        for metric in scored.metrics
    }
    return Result(
        place=place,
        title=task.title,
        profile=scored.profile,
        headline=figures[scored.headline],
        figures=tuple(figures.values()),
        questions=len(scored.rows),
        pictures=len(clusters),
        missing=scored.missing,
        level=LEVEL,
        notes=(*scored.about, *scored.notes),
        published=task.published,
        made_with=made_with,
    )


def comparison_facts(comparison: Comparison) -> dict[str, object]:
    """For ``--json``. What is undefined is null."""
    tested = comparison.mcnemar
    return {
        "task": comparison.task,
        "questions": comparison.questions,
        "pictures": comparison.pictures,
        "left_out": comparison.left_out,
        "metrics": [_difference_facts(each) for each in comparison.differences],
        "mcnemar": tested and {"only_first": tested.only_first, "only_second": tested.only_second, "p": tested.p},
    }


def _difference_facts(each: Difference) -> dict[str, object]:
    return {
        "name": each.metric,
        "first": number_or_none(each.first),
        "second": number_or_none(each.second),
        "difference": number_or_none(each.value),
        "low": number_or_none(each.interval.low),
        "high": number_or_none(each.interval.high),
        "unknown": each.interval.unknown,
        "p": number_or_none(each.p),
        "detectable": number_or_none(each.detectable),
    }
