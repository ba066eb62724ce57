"""Judges of ``pumice evaluate``: who is asked, how often, for how much, and whose verdicts count."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evaluate import from_world
from fakes import ScriptedEngine
from paid.teacher_server import Teacher, teaching
from pumice.cli.main import main

MARKS = {"Two dice": "8 7\nBoth are fine.", "a hat": "9 3\nThe second is wrong.", "a sign": "I cannot say."}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return from_world.write(tmp_path_factory.mktemp("data"))


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine(answers=[["Yes", "."]])


def evaluate(engine: ScriptedEngine | None, *words: str | Path) -> int:
    return main(["evaluate", *map(str, words)], engine)


def judge(messages: Any) -> str:
    """Reviews, of which one cannot be read."""
    words = str(messages[-1]["content"])
    return next(review for answer, review in MARKS.items() if answer in words)


@pytest.fixture
def wild(tmp_path: Path, data: Path) -> Path:
    """LLaVA-Bench with three questions about two pictures."""
    folder = tmp_path / "data" / "llava-bench-in-the-wild"
    (folder / "images").mkdir(parents=True)
    questions, references, contexts = [], [], []
    for number, (answer, category) in enumerate(zip(MARKS, ("conv", "detail", "complex"), strict=True)):
        image = f"{number // 2:03}.jpg"
        (folder / "images" / image).write_bytes((data / "pope" / "val2014" / "0.jpg").read_bytes())
        questions.append({"question_id": number, "image": image, "text": "What is it?", "category": category})
        references.append({"question_id": number, "text": f"It is {answer}."})
        contexts.append({"image": image, "caption": "A table."})
    for name, rows in (("questions", questions), ("answers_gpt4", references), ("context", contexts)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "data"


@pytest.fixture
def teacher() -> Iterator[Teacher]:
    with teaching(judge, faults={"error": 0.3}, key="secret") as running:
        yield running


def test_a_judge_is_asked_once_and_what_it_cannot_say_is_missing(
    wild: Path,
    teacher: Teacher,
    engine: ScriptedEngine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PUMICE_API_KEY", "secret")
    words = ("llava-bench", "--data", wild, "-o", tmp_path / "out", "--json")
    assert evaluate(engine, *words) == 2
    assert "llava-bench is not scored: " in capsys.readouterr().err
    judging = ("--judge", teacher.url, "--judge-model", "gpt-4o", "--runs", "2", "--budget", "1")
    assert evaluate(engine, *words, *judging) == 0
    said = capsys.readouterr()
    assert "6 verdicts to ask for, for about $0.0" in said.err
    result = json.loads(said.out)["results"][0]
    figures = {each["name"]: each["value"] for each in result["metrics"]}
    assert figures["overall"] == pytest.approx(100 * (7 + 3) / (8 + 9))
    assert any("read" in note for note in result["notes"])
    assert result["made_with"].items() >= {"judge": teacher.url, "judge_model": "gpt-4o-2026", "judge_runs": 2}.items()
    answered = teacher.books.answered.total()
    for more in (judging, ()):  # verdicts are kept, and count without a judge, too
        assert evaluate(None, *words, *more) == 0
        again = json.loads(capsys.readouterr().out)["results"][0]
        assert {each["name"]: each["value"] for each in again["metrics"]} == figures
        assert (again["made_with"]["judge_model"], again["made_with"]["judge_runs"]) == ("gpt-4o-2026", 2)
    assert teacher.books.answered.total() == answered
    answers = tmp_path / "out" / "llava-bench" / "answers.jsonl"
    theirs = ("score", "llava-bench", answers, "--data", wild, "-o", tmp_path / "theirs", "-q", *judging)
    assert evaluate(None, *theirs) == 0
    assert "llava" in capsys.readouterr().out.lower()
    assert teacher.books.answered.total() == 2 * answered  # another folder, another ledger


def test_kept_verdicts_count_for_the_answers_that_they_are_on_alone(
    wild: Path,
    teacher: Teacher,
    engine: ScriptedEngine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PUMICE_API_KEY", "secret")
    judging = ("--judge", teacher.url, "--judge-model", "gpt-4o")
    assert evaluate(engine, "llava-bench", "--data", wild, "-o", tmp_path / "out", "-q", *judging) == 0

    def scored(text: str, *more: str | Path) -> tuple[int, str]:
        answers = tmp_path / "answers.jsonl"
        answers.write_text("".join(json.dumps({"question_id": at, "text": text}) + "\n" for at in range(3)))
        code = evaluate(None, "score", "llava-bench", answers, "--data", wild, *more)
        said = capsys.readouterr()
        return code, said.out + said.err

    assert scored("Yes.", "-o", tmp_path / "out")[0] == 0, "the same words"
    assert "nothing was said yet" in scored("No.", "-o", tmp_path / "out")[1], "others"
    monkeypatch.chdir(tmp_path / "out")
    assert "nothing was said yet" in scored("Yes.")[1], "no folder was named"
    reviews, kept = tmp_path / "reviews.jsonl", tmp_path / "out" / "llava-bench" / "verdicts.jsonl"
    reviews.write_text(kept.read_text().replace("8 7", "10 1").replace("9 3", "10 1"))
    assert (
        evaluate(None, "score", "llava-bench", reviews, "--data", wild, "-o", tmp_path / "out", "--json", *judging) == 0
    )
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["metrics"][0]["value"] == pytest.approx(10), (
        "what comes with verdicts is neither judged nor overruled"
    )
    assert teacher.books.answered.total() == 3


def test_a_budget_ends_judging_before_it_is_exceeded(
    wild: Path,
    teacher: Teacher,
    engine: ScriptedEngine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PUMICE_API_KEY", "secret")
    words = ("llava-bench", "--data", wild, "-o", tmp_path / "out", "--judge", teacher.url, "--judge-model", "gpt-4o")
    assert evaluate(engine, *words, "--budget", "0.0001") != 0
    assert "budget of $0.00010 is too small for one request" in capsys.readouterr().err
    assert not teacher.books.answered.total()
    assert evaluate(None, *words, "--budget", "1", "-q") == 0


def test_answers_of_a_larger_run_are_not_paid_for(
    wild: Path, teacher: Teacher, engine: ScriptedEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUMICE_API_KEY", "secret")
    words = ("llava-bench", "--data", wild, "-o", tmp_path / "out", "-q")
    judging = ("--judge", teacher.url, "--judge-model", "gpt-4o")
    assert evaluate(engine, *words) == 2, "nothing was judged yet"
    assert evaluate(engine, *words, "--limit", "1", *judging) == 0
    few = teacher.books.answered.total()
    assert 0 < few < len(MARKS)
    assert evaluate(engine, *words, *judging) == 0
    assert teacher.books.answered.total() == len(MARKS)
