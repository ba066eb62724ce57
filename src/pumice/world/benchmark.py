"""The held-out benchmark: questions about scenes that training can never contain, scored exactly."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from PIL.Image import Image as PilImage

from pumice.boxes import Box, has_area, iou, written_boxes
from pumice.errors import UsageError
from pumice.world.draw import draw_scene, grey_picture
from pumice.world.questions import ask_about
from pumice.world.scene import make_scene
from pumice.world.wording import QuestionKind

Answerer: TypeAlias = Callable[[Sequence[tuple[PilImage, str]]], Iterable[str]]

KINDS: tuple[QuestionKind, ...] = (
    "objects", "count", "colour", "position", "yes_no", "dice_sum", "reading", "box",
)  # fmt: skip
PER_SCENE = 2
IOU = 0.5
Z95 = 1.959963984540054  # the 97.5 % point of the normal distribution


@dataclass(frozen=True)
class HeldOut:
    """One question of the benchmark. ``index`` is the held-out scene's; ``box`` is the true box of a box question."""

    index: int
    kind: QuestionKind
    question: str
    answer: str
    box: Box | None = None


@dataclass(frozen=True)
class Row:
    """How many answers to one kind of question were right."""

    kind: str
    correct: int
    total: int

    @property
    def accuracy(self) -> float:
        """Share of right answers, 0 if none were asked."""
        return self.correct / self.total if self.total else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the accuracy."""
        return wilson(self.correct, self.total)


@dataclass(frozen=True)
class Report:
    """One row for each kind that was asked, and every wrong answer beside its question."""

    rows: tuple[Row, ...]
    wrong: tuple[tuple[HeldOut, str], ...] = ()

    @property
    def overall(self) -> Row:
        """All kinds together."""
        return Row("overall", sum(row.correct for row in self.rows), sum(row.total for row in self.rows))

    def table(self) -> str:
        """The rows as plain text, accuracies and their 95 % intervals in per cent."""
        lines = [f"{'kind':<10} {'right':>6} {'of':>6} {'%':>6}   95 % interval"]
        for row in (*self.rows, self.overall):
            low, high = row.interval
            lines.append(
                f"{row.kind:<10} {row.correct:>6} {row.total:>6} {100 * row.accuracy:>6.1f}"
                f"   {100 * low:.1f} to {100 * high:.1f}"
            )
        return "\n".join(lines)


def held_out_questions(per_kind: int) -> list[HeldOut]:
    """``per_kind`` questions of each kind, at most two of a kind about one scene; always the same ones."""
    found: list[HeldOut] = []
    counts: Counter[str] = Counter()
    index = 0
    while any(counts[kind] < per_kind for kind in KINDS):
        scene = make_scene("held_out", index)
        here: Counter[str] = Counter()
        for qa in ask_about(scene, random.Random(f"benchmark:{index}")):
            if qa.kind in KINDS and counts[qa.kind] < per_kind and here[qa.kind] < PER_SCENE:
                counts[qa.kind] += 1
                here[qa.kind] += 1
                box = parse_box(qa.answer) if qa.kind == "box" else None
                found.append(HeldOut(index, qa.kind, qa.question, qa.answer, box))
        index += 1
    return found


def run_benchmark(
    questions: Sequence[HeldOut], answerer: Answerer, *, side: int, blind: bool = False, batch: int = 64
) -> Report:
    """Ask every question about its picture of ``side`` x ``side`` pixels; ``blind`` shows grey ones instead.

    Pictures are drawn ``batch`` questions at a time.

    Raises:
        UsageError: the answerer gives more or fewer answers than it was asked questions.
    """
    answers: list[str] = []
    for start in range(0, len(questions), batch):
        asked = questions[start : start + batch]
        pictures = {one.index: grey_picture(side) if blind else _picture(one.index, side) for one in asked}
        given = list(answerer([(pictures[one.index], one.question) for one in asked]))
        if len(given) != len(asked):
            raise UsageError(f"expected {len(asked)} answers, one for each question, found {len(given)}")
        answers += given
    return score(questions, answers)


def score(questions: Sequence[HeldOut], answers: Sequence[str]) -> Report:
    """The report on answers that are already there, one for each question in order."""
    correct: Counter[str] = Counter()
    wrong = []
    for one, answer in zip(questions, answers, strict=True):
        if is_correct(one.kind, one.answer, answer):
            correct[one.kind] += 1
        else:
            wrong.append((one, answer))
    totals = Counter[str](one.kind for one in questions)
    rows = tuple(Row(kind, correct[kind], totals[kind]) for kind in KINDS if totals[kind])
    return Report(rows, tuple(wrong))


def is_correct(kind: QuestionKind, expected: str, answer: str) -> bool:
    """The same text apart from space around it; for a box an overlap (IoU) of more than one half."""
    if kind != "box":
        return answer.strip() == expected.strip()
    truth, guess = parse_box(expected), parse_box(answer)
    # Boxes of two decimals often overlap by exactly one half, which rounding must not lift above it.
    return truth is not None and guess is not None and iou(truth, guess) > IOU + 1e-9


def parse_box(text: str) -> Box | None:
    """The first "[x0, y0, x1, y1]" of the text; None if there is none or it has no area."""
    first = next(written_boxes(text), None)
    return first if first is not None and has_area(first) else None


def wilson(correct: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (E. B. Wilson, JASA 22, 1927); (0, 1) if nothing was counted."""
    if total == 0:
        return 0.0, 1.0
    share, weight = correct / total, Z95 * Z95 / total
    middle = (share + weight / 2) / (1 + weight)
    half = Z95 * math.sqrt(share * (1 - share) / total + weight / (4 * total)) / (1 + weight)
    return max(0.0, middle - half), min(1.0, middle + half)


def _picture(index: int, side: int) -> PilImage:
    return draw_scene(make_scene("held_out", index), side)
