"""The benchmark: fixed questions, exact scoring, honest intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL.Image import Image as PilImage

from pumice.boxes import iou
from pumice.errors import UsageError
from pumice.world.benchmark import (
    KINDS,
    HeldOut,
    Report,
    Row,
    held_out_questions,
    is_correct,
    parse_box,
    run_benchmark,
    score,
    wilson,
)
from pumice.world.draw import draw_scene, grey_picture
from pumice.world.scene import make_scene


@pytest.fixture(scope="module")
def questions() -> list[HeldOut]:
    return held_out_questions(30)


def test_the_questions_are_fixed_and_spread(questions: list[HeldOut]) -> None:
    assert questions == held_out_questions(30)
    assert Counter(one.kind for one in questions) == dict.fromkeys(KINDS, 30)
    assert max(Counter((one.index, one.kind) for one in questions).values()) == 2
    assert all((one.box is not None) == (one.kind == "box") for one in questions)


def test_right_answers_score_full_marks_and_see_the_scene(questions: list[HeldOut]) -> None:
    by_question = {(one.index, one.question): one.answer for one in questions}
    pending = iter(questions)

    def answerer(asked: Sequence[tuple[PilImage, str]]) -> Iterable[str]:
        assert len(asked) <= 50
        for picture, question in asked:
            one = next(pending)
            assert question == one.question
            assert picture.tobytes() == draw_scene(make_scene("held_out", one.index), 96).tobytes()
            yield f" {by_question[one.index, question]}\n"

    report = run_benchmark(questions, answerer, side=96, batch=50)
    assert report.overall == Row("overall", 240, 240)
    assert not report.wrong


def test_the_blind_baseline_sees_grey(questions: list[HeldOut]) -> None:
    def answerer(asked: Sequence[tuple[PilImage, str]]) -> Iterable[str]:
        assert all(picture.tobytes() == grey_picture(96).tobytes() for picture, _ in asked)
        return ["Yes"] * len(asked)

    report = run_benchmark(questions, answerer, side=96, blind=True)
    assert all(row.correct == 0 for row in report.rows if row.kind != "yes_no")
    assert len(report.wrong) == 240 - report.overall.correct


def test_a_missing_answer_is_refused(questions: list[HeldOut]) -> None:
    with pytest.raises(UsageError, match="expected 3 answers, one for each question, found 1"):
        run_benchmark(questions[:3], lambda asked: ["Yes"], side=96)


@pytest.mark.parametrize(
    ("kind", "expected", "answer", "right"),
    [
        ("count", "There are 2 cups.", " There are 2 cups.\n", True),
        ("count", "There are 2 cups.", "There are 2 cups", False),
        ("yes_no", "Yes", "yes", False),
        ("box", "[0.10, 0.10, 0.30, 0.30]", "[0.12, 0.10, 0.30, 0.32]", True),
        ("box", "[0.10, 0.10, 0.30, 0.30]", "It is at [0.1,0.1,0.3,0.3].", True),
        ("box", "[0.10, 0.10, 0.30, 0.30]", "[0.10, 0.10, 0.20, 0.30]", False),
        ("box", "[0.10, 0.10, 0.30, 0.30]", "[0.60, 0.10, 0.80, 0.30]", False),
        ("box", "[0.10, 0.10, 0.30, 0.30]", "[0.10, 0.10, 0.30]", False),
        ("box", "[0.10, 0.10, 0.30, 0.30]", "[0.30, 0.10, 0.10, 0.30]", False),
        ("box", "[0.10, 0.10, 0.30, 0.30]", "top left", False),
    ],
)
def test_what_counts_as_right(kind: str, expected: str, answer: str, right: bool) -> None:
    assert is_correct(kind, expected, answer) is right  # type: ignore[arg-type]


EDGES = st.tuples(*[st.integers(min_value=0, max_value=100)] * 4)


@given(EDGES, EDGES)
def test_boxes_parse_back_and_overlap_is_symmetric(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    boxes = [parse_box(f"[{', '.join(f'{edge / 100:.2f}' for edge in edges)}]") for edges in (one, other)]
    for edges, box in zip((one, other), boxes, strict=True):
        assert (box is not None) == (edges[0] < edges[2] and edges[1] < edges[3])
        assert box is None or box == tuple(edge / 100 for edge in edges)
    first, second = boxes
    if first and second:
        assert iou(first, second) == pytest.approx(iou(second, first))
        assert 0 <= iou(first, second) <= 1 + 1e-12
        assert iou(first, first) == pytest.approx(1)


# Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3.
@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_agrees_with_published_values(correct: int, total: int, low: float, high: float) -> None:
    assert wilson(correct, total) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(min_value=1, max_value=10**6), st.data())
def test_wilson_encloses_the_share(total: int, data: st.DataObject) -> None:
    correct = data.draw(st.integers(min_value=0, max_value=total))
    low, high = wilson(correct, total)
    assert 0 <= low <= correct / total + 1e-12
    assert correct / total - 1e-12 <= high <= 1


def test_nothing_asked_says_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert Report(()).overall == Row("overall", 0, 0)


def test_the_table_lists_every_kind(questions: list[HeldOut]) -> None:
    report = score(questions, [one.answer if one.kind == "colour" else "?" for one in questions])
    lines = report.table().splitlines()
    assert [line.split()[0] for line in lines[1:]] == [*KINDS, "overall"]
    assert "30     30  100.0   88.6 to 100.0" in report.table()
    assert lines[-1].split()[1:3] == ["30", "240"]
