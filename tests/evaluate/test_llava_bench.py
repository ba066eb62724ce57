"""LLaVA-Bench: published reviews give the published figures; verdicts that say nothing are missing, or -1 as once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmark_files import write_lines
from pumice.errors import UsageError
from pumice.evaluate.bootstrap import intervals
from pumice.evaluate.questions import Answer
from pumice.evaluate.task import PROFILES
from pumice.evaluate.tasks.llava_bench import LLAVA_BENCH

# Published: 72.5, the mean of the three (reference/training.md, section 6).
RUNS = {"run1": 72.83, "run2": 72.74, "run3": 72.07}


def review(number: int, content: str, **more: object) -> dict[str, object]:
    category = ("llava_bench_conv", "llava_bench_detail")[number % 2]
    return {"id": number + 1, "question_id": number, "category": category, "content": content, **more}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    questions = [
        {"question_id": number, "image": f"00{number // 2}.jpg", "text": f"Question {number}?", "category": category}
        for number, category in enumerate(("conv", "detail") * 3)
    ]
    return write_lines(tmp_path / "bench" / "questions.jsonl", questions).parent


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("profile", PROFILES)
def test_each_published_run_gives_its_figure(published: Path, run: str, profile: str) -> None:
    answers = LLAVA_BENCH.answers(published / "llava_bench" / f"reviews-llava-v1.5-13b-{run}.jsonl")
    scored = LLAVA_BENCH.score(answers, published / "llava_bench", LLAVA_BENCH.require(profile))
    assert scored.value() == pytest.approx(RUNS[run], abs=0.005)
    assert len(scored.rows) == 60


def test_a_folder_of_reviews_is_one_judge_asked_several_times(published: Path) -> None:
    scored = LLAVA_BENCH.score(LLAVA_BENCH.answers(published / "llava_bench"), published, "official")
    assert scored.value() == pytest.approx(LLAVA_BENCH.published["13B"], abs=0.05)
    assert [round(scored.value(f"run {run}"), 2) for run in (1, 2, 3)] == list(RUNS.values())
    assert any("72.8, 72.7, 72.1; 72.5 ± 0.4" in note for note in scored.about)
    known = intervals(scored, resamples=500)["overall"]
    assert known.low < scored.value() < known.high


def test_marks_are_those_of_the_original_s_summary(published: Path) -> None:
    scored = LLAVA_BENCH.score(
        LLAVA_BENCH.answers(published / "llava_bench" / "reviews-llava-v1.5-13b-run1.jsonl"), published, "llava"
    )
    ratio = scored.value("marks of the model") / scored.value("marks of the reference")
    assert 100 * ratio == pytest.approx(scored.value())


def test_answers_that_no_judge_has_seen_have_no_score(published: Path) -> None:
    answers = LLAVA_BENCH.answers(published / "llava_bench" / "answers-llava-v1.5-13b.jsonl")
    assert answers[0].text.startswith("The famous sight")
    with pytest.raises(UsageError, match="scored by what a judge says") as error:
        LLAVA_BENCH.score(answers, published, "official")
    assert "--judge" in str(error.value.hint)


def test_unreadable_verdicts_are_missing_and_minus_one_only_for_those_who_want_it(tmp_path: Path, folder: Path) -> None:
    contents = ["8 4\nGood.", "10 5", "I cannot say.", "", "9 9", "8/10 2/10"]
    path = write_lines(tmp_path / "reviews.jsonl", [review(number, each) for number, each in enumerate(contents)])
    answers = LLAVA_BENCH.answers(path)

    def ratio(*pairs: tuple[float, float]) -> float:
        reference, model = np.mean(pairs, axis=0)
        return float(100 * model / reference)

    none = (-1, -1)
    official = LLAVA_BENCH.score(answers, folder, "official")
    assert official.value() == pytest.approx(ratio((8, 4), (10, 5), (9, 9), (8, 2)))
    assert official.value("conv") == pytest.approx(ratio((8, 4), (9, 9)))
    assert any("2 verdicts of the judge could not be read and are missing" in note for note in official.about)
    assert all(value >= 0 for row in official.rows for value in row.values.values())
    llava = LLAVA_BENCH.score(answers, folder, "llava")
    assert llava.value() == pytest.approx(ratio((8, 4), (10, 5), none, none, (9, 9), none))
    assert any("3 verdicts" in note and "-1" in note for note in llava.about)
    lmms = LLAVA_BENCH.score(answers, folder, "lmms-eval")
    assert lmms.value() == pytest.approx(ratio((8, 4), (10, 5), none, none, (9, 9), (8, 10)))
    assert len({row.cluster for row in official.rows}) == 3  # six questions about three pictures


def test_pairs_that_the_original_had_read_count_as_they_are_noted(tmp_path: Path, folder: Path) -> None:
    lines = [review(0, "words", tuple=[8, 4]), review(1, "10 5", tuple=[-1, -1]), review(2, "no", tuple=[-1, -1])]
    answers = LLAVA_BENCH.answers(write_lines(tmp_path / "reviews.jsonl", lines))
    official, llava = (LLAVA_BENCH.score(answers, folder, profile) for profile in ("official", "llava"))
    assert official.value("marks of the model") == pytest.approx(45)  # (4 + 5) / 2, the third missing
    assert llava.value("marks of the model") == pytest.approx(10 * (4 - 1 - 1) / 3)
    bare = [{key: value for key, value in line.items() if key != "content"} for line in lines]
    alone = LLAVA_BENCH.score(LLAVA_BENCH.answers(write_lines(tmp_path / "bare.jsonl", bare)), folder, "lmms-eval")
    assert alone.value("marks of the model") == llava.value("marks of the model")


def test_missing_extra_and_repeated_reviews_are_counted_and_said(tmp_path: Path, folder: Path) -> None:
    lines = [review(0, "8 4"), review(1, "8 4"), review(1, "8 8"), review(77, "8 1")]
    scored = LLAVA_BENCH.score(LLAVA_BENCH.answers(write_lines(tmp_path / "r.jsonl", lines)), folder, "official")
    assert scored.value() == pytest.approx(75)  # of the repeated ones the last
    assert scored.missing == 4
    notes = " ".join(scored.notes)
    assert "4 of 6 questions have no answer and are left out" in notes
    assert "1 answers are to none" in notes


def test_a_run_that_misses_a_verdict_is_averaged_over_the_others(tmp_path: Path, folder: Path) -> None:
    write_lines(tmp_path / "all" / "1.jsonl", [review(number, "10 5") for number in range(6)])
    write_lines(tmp_path / "all" / "2.jsonl", [review(0, "10 6"), review(1, "none")])
    scored = LLAVA_BENCH.score(LLAVA_BENCH.answers(tmp_path / "all"), folder, "official")
    assert (scored.value("run 1"), scored.value("run 2")) == (50, 60)
    assert scored.value() == pytest.approx(55)
    assert any("4 verdicts of the judge never came" in note for note in scored.about)


def test_questions_are_asked_as_they_stand(folder: Path) -> None:
    questions = list(LLAVA_BENCH.questions(folder))
    assert [each.prompt for each in questions[:2]] == ["Question 0?", "Question 1?"]
    assert next(questions[2].conversation.images()).source == folder / "images" / "001.jpg"


def test_a_folder_without_reviews_and_lines_without_a_question_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no reviews"):
        LLAVA_BENCH.answers(tmp_path)
    with pytest.raises(UsageError, match="review 1: expected 'question_id'"):
        LLAVA_BENCH.answers(write_lines(tmp_path / "reviews.jsonl", [{"content": "8 7", "tuple": [8, 7]}]))
    with pytest.raises(UsageError, match="scored by what a judge"):
        LLAVA_BENCH.score([Answer("0", "text")], tmp_path, "official")
