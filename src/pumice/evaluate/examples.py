"""Answers that a score suffers from most, with their pictures, for a report."""

from __future__ import annotations

import hashlib
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pumice.errors import PumiceError
from pumice.evaluate.statistic import Clusters, Row, Scored
from pumice.images.load import load_image
from pumice.page import Html, cards, facts, paragraph, picture, preformatted

_WIDEST = 360  # pixels of a picture on the page, and the highest that it may be
_LONGEST = 700  # characters of an answer


def costliest(scored: Scored) -> list[Row]:
    """The rows without which the headline would be better, those that matter most first.

    Whatever the metric is: for a share these are the wrong answers, for F1, pairs or a judge's ratio those that weigh
    most. Equals come in an order that depends on their ids alone and goes round the kinds of questions.
    """
    alone = Clusters([replace(row, cluster=str(place)) for place, row in enumerate(scored.rows)])
    metric = scored.metric(scored.headline)
    gains = metric.compute(alone.without_each()) - metric.compute(alone.all())  # [rows]
    gains = np.broadcast_to(-gains if metric.smaller_is_better else gains, len(scored.rows))
    found = [
        (round(float(gain) / metric.scale, 12), row)
        for gain, row in zip(gains, scored.rows, strict=True)
        if gain > 1e-9 * metric.scale and row.correct is not True
    ]
    turns: dict[tuple[float, str], int] = defaultdict(int)
    ordered = []
    for gain, row in sorted(found, key=lambda each: (-each[0], _shuffled(each[1]))):
        ordered.append(((-gain, turns[gain, row.group], _shuffled(row)), row))
        turns[gain, row.group] += 1
    return [row for _, row in sorted(ordered, key=lambda each: each[0])]


def chosen(rows: Sequence[Row], count: int) -> list[Row]:
    """The first ``count`` of them, at most one a picture as long as there are others."""
    seen: set[str] = set()
    first: list[Row] = []
    again: list[Row] = []
    for row in rows:
        (again if row.cluster in seen else first).append(row)
        seen.add(row.cluster)
    return [*first, *again][:count]


def example_cards(rows: Sequence[Row], pictures: Mapping[str, Path]) -> Html:
    """A card for each: picture, question, what was expected, what was said. pictures: by ``Row.cluster``."""
    return cards([_card(row, pictures.get(row.cluster)) for row in rows])


def _card(row: Row, path: Path | None) -> list[Html]:
    shown = _picture(path) if path is not None else None
    missing = "" if path is None else f"(the picture {path.name} cannot be shown)"
    said = {
        "question": row.asked,
        "expected": row.expected,
        "answer": row.answer or "(nothing)",
        "scorer": row.note,
        "kind": row.group,
        "id": row.question_id,
    }
    head = [shown] if shown is not None else [paragraph(missing)] if missing else []
    return [*head, facts((name, preformatted(_short(text))) for name, text in said.items() if text)]


def _picture(path: Path) -> Html | None:
    """Small, as JPEG; None if it cannot be read: a report is no place to fail."""
    try:
        small = load_image(path).copy()
    except PumiceError:
        return None
    small.thumbnail((_WIDEST, _WIDEST))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=80)
    return picture(file.getvalue(), path.name, small.width)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} … ({len(text) - _LONGEST} more characters)"


def _shuffled(row: Row) -> str:
    return hashlib.sha256(f"{row.question_id}\n{row.asked}".encode("utf-8", "surrogatepass")).hexdigest()
