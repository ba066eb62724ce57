"""A judge that really listens, and misbehaves: unreadable verdicts, errors, a budget, repeats, a process killed."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmark_files import write_json, write_lines
from evaluate.judge_process import ask, ask_all
from paid.processes import started
from paid.teacher_server import OF_WORDS, teaching
from pumice.errors import UsageError
from pumice.evaluate.judge import Judge, may_ask, plan
from pumice.evaluate.questions import Answer
from pumice.evaluate.tasks.llava_bench import LLAVA_BENCH
from pumice.evaluate.tasks.mm_vet import MM_VET
from pumice.evaluate.tasks.mmbench import MMBENCH
from pumice.evaluate.verdicts import VerdictFile, said
from pumice.paid.answers import BudgetError

NUMBER = 40
Messages = Sequence[Mapping[str, Any]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of LLaVA-Bench and of MM-Vet, side by side."""
    categories = ("conv", "detail", "complex")
    write_lines(
        tmp_path / "questions.jsonl",
        (
            {
                **{"question_id": number, "image": f"{number // 3}.jpg", "text": f"Question {number}?"},
                "category": categories[number % 3],
            }
            for number in range(NUMBER)
        ),
    )
    contexts = [{"image": f"{number}.jpg", "caption": f"What {number}.jpg shows."} for number in range(NUMBER)]
    write_lines(tmp_path / "context.jsonl", contexts)
    references = [{"question_id": number, "text": f"Reference {number}."} for number in range(NUMBER)]
    write_lines(tmp_path / "answers_gpt4.jsonl", references)
    truth = {
        f"v1_{number}": {
            **{"imagename": f"{number}.png", "question": f"Question {number}?"},
            **{"answer": f"{number}<AND>more<OR>less", "capability": ["rec", "ocr"][number % 2 :]},
        }
        for number in range(NUMBER)
    }
    write_json(tmp_path / "mm-vet.json", truth)
    return tmp_path


def answers(prefix: str = "") -> tuple[Answer, ...]:
    return tuple(Answer(f"{prefix}{number}", f"Prediction {number}.") for number in range(NUMBER))


def words(messages: Messages) -> str:
    return str(messages[-1]["content"])


def test_a_review_has_the_structure_that_the_paper_gives_it(folder: Path) -> None:
    seen: list[Messages] = []

    def reply(messages: Messages) -> str:
        seen.append(messages)
        return "8 6\nGood."

    with teaching(reply) as judge:
        found = ask("llava-bench", answers()[4:5], folder, judge.url)
    (system, user), expected = seen[0], "[Context]\nWhat 1.jpg shows.\n\n[Question]\nQuestion 4?\n\n"
    assert system["role"] == "system"
    expected += "[Assistant 1]\nReference 4.\n\n[End of Assistant 1]\n\n"
    expected += "[Assistant 2]\nPrediction 4.\n\n[End of Assistant 2]\n\n[System]\n"
    assert user["content"].startswith(expected)
    assert LLAVA_BENCH.score(found, folder, "official").value() == 75
    (line,) = (folder / "verdicts.jsonl").read_text().splitlines()
    assert json.loads(line).items() >= {"question_id": "4", "category": "llava_bench_detail", "run": 1}.items()


def test_the_original_s_own_rules_are_used_where_they_are(folder: Path) -> None:
    write_json(folder / "rule.json", {"llava_bench_conv": {"role": "Assistant", "prompt": "Their own words."}})
    judge = Judge("teacher")
    requests = plan("llava-bench", answers()[:2], folder, "llava", judge, folder / "none.jsonl")
    ends = [str(request.messages[-1]["content"]).split("[System]\n")[1] for request in requests]
    assert ends[0] == "Their own words.\n\n"
    assert "1 to 10" in ends[1]


def test_unreadable_verdicts_and_errors_are_missing_and_counted(folder: Path) -> None:
    """Refusals, nonsense and silence among the words; failures, cut lines and a moderator on the way to them."""
    on_the_way = {"error": 0.1, "limited": 0.1, "cut": 0.05, "empty": 0.05, "drop": 0.05, "forbidden": 0.1}
    faults = {"refusal": 0.1, "nonsense": 0.1, "null": 0.1, **on_the_way}
    with teaching(lambda messages: "10 5\nFine.", faults=faults, seed=3) as judge:
        found = ask("llava-bench", answers(), folder, judge.url, judge=Judge("teacher", runs=2))
        books = judge.books
    spoilt = sum(books.faults[kind] for kind in OF_WORDS)
    failed = books.faults["forbidden"]
    assert spoilt > 5 and failed > 3 and books.faults["error"] > 3
    scored = LLAVA_BENCH.score(found, folder, "official")
    assert scored.value() == 50
    readable = sum(len(row.values) for row in scored.rows) // 2
    assert readable == 2 * NUMBER - spoilt - failed
    assert f"{spoilt} verdicts of the judge could not be read and are missing." in scored.about
    assert f"{failed} verdicts of the judge never came and are missing." in scored.about
    llava = LLAVA_BENCH.score(found, folder, "llava")
    assert llava.value() < 50  # minus one in place of what could not be read
    assert llava.value("marks of the model") < 50 - 10 * spoilt / (2 * NUMBER)


def test_what_failed_is_asked_again_and_nothing_else(folder: Path) -> None:
    with teaching(lambda messages: "10 5", faults={"error": 1.0}, most_faults=100) as judge:
        found = ask("llava-bench", answers()[:3], folder, judge.url)
        assert all(verdict.error for answer in found for verdict in said(answer).values())
        judge.faults = {}
        found = ask("llava-bench", answers()[:4], folder, judge.url)
        before = judge.books.asked.total()
        again = ask("llava-bench", answers()[:4], folder, judge.url)
        assert (again, judge.books.asked.total()) == (found, before)
    assert LLAVA_BENCH.score(found, folder, "official").value() == 50
    assert LLAVA_BENCH.answers(folder / "verdicts.jsonl")  # the file can be scored like anyone's
    alone = LLAVA_BENCH.score(LLAVA_BENCH.answers(folder / "verdicts.jsonl"), folder, "official")
    assert alone.value("overall") == 50


def test_repeats_are_asked_each_and_their_spread_is_said(folder: Path) -> None:
    dice = random.Random(1)
    with teaching(lambda messages: f"10 {dice.choice([4, 5, 6])}") as judge:
        found = ask("llava-bench", answers(), folder, judge.url, judge=Judge("teacher", runs=3))
        assert judge.books.answered.total() == 3 * NUMBER
    scored = LLAVA_BENCH.score(found, folder, "official")
    runs = [scored.value(f"run {run}") for run in (1, 2, 3)]
    assert len(set(runs)) > 1
    assert scored.value() == pytest.approx(sum(runs) / 3)
    assert any(note.startswith("3 runs of the judge") and "±" in note for note in scored.about)


def test_grades_are_asked_for_again_as_the_benchmark_s_evaluator_does(folder: Path) -> None:
    """Question 7 is never graded, question 8 at the third try, all others at once."""
    tries: dict[str, int] = {}

    def reply(messages: Messages) -> str:
        row = words(messages).split("\n\n")[-1].splitlines()[-1 if "number" not in words(messages) else -2]
        name = row.split(" | ")[0]
        assert f"| {name.split()[1][:-1]} <AND> more <OR> less | " in words(messages)
        tries[name] = tries.get(name, 0) + 1
        return "Well" if name == "Question 7?" or (name == "Question 8?" and tries[name] < 3) else "0.5"

    with teaching(reply) as judge:
        found = ask("mm-vet", answers("v1_")[:10], folder, judge.url)
    assert tries == {f"Question {number}?": {7: 5, 8: 3}.get(number, 1) for number in range(10)}
    official, llava = (MM_VET.score(found, folder, profile) for profile in ("official", "llava"))
    assert official.value() == 50
    assert any("1 verdicts of the judge could not be read" in note for note in official.about)
    assert llava.value() == pytest.approx(45)  # nought for the one that could not be read
    kept = VerdictFile(folder / "verdicts.jsonl")
    assert [kept.find(f"v1_{number}", 1).tries for number in (6, 7, 8)] == [1, 5, 3]  # type: ignore[union-attr]


def test_papers_parameters_are_the_profile_s_and_the_caller_s_go_before(folder: Path) -> None:
    def parameters(profile: Any, **own: Any) -> Mapping[str, Any]:
        judge = Judge(parameters=own)
        return plan("mm-vet", answers("v1_")[:1], folder, profile, judge, folder / "none")[0].body

    assert parameters("llava").items() >= {"model": "gpt-4-0613", "temperature": 0.0, "max_tokens": 3}.items()
    assert parameters("official")["max_tokens"] > 3
    assert "max_tokens" not in parameters("official", max_completion_tokens=900)
    (review,) = plan("llava-bench", answers()[:1], folder, "llava", Judge(), folder / "none")
    assert review.body.items() >= {"model": "gpt-4-0314", "temperature": 0.2, "max_tokens": 1024}.items()


def test_a_budget_stops_the_judge_and_what_came_is_kept(folder: Path) -> None:
    with teaching(lambda messages: "10 5") as judge:
        with pytest.raises(BudgetError):
            ask("llava-bench", answers(), folder, judge.url, budget=0.025)
        kept = len((folder / "verdicts.jsonl").read_text().splitlines())
        assert 0 < kept < NUMBER
        left = plan("llava-bench", answers(), folder, "official", Judge("teacher"), folder / "verdicts.jsonl")
        assert len(left) == NUMBER - kept
        heard: list[tuple[int, int]] = []
        found = ask("llava-bench", answers(), folder, judge.url, progress=lambda *told: heard.append(told))
        assert judge.books.answered.total() == NUMBER  # what had been paid is not paid twice
    assert (heard[0], heard[-1]) == ((kept, NUMBER), (NUMBER, NUMBER))
    assert LLAVA_BENCH.score(found, folder, "official").value() == 50


def test_a_process_that_is_killed_goes_on_where_it_was(folder: Path) -> None:
    texts = {answer.question_id: answer.text for answer in answers()}
    with teaching(lambda messages: "10 5", latency_s=0.05) as judge:
        process = started(ask_all, "llava-bench", texts, folder, judge.url)
        end = time.monotonic() + 60
        while judge.books.answered.total() < NUMBER // 3 and time.monotonic() < end:
            time.sleep(0.01)
        process.kill()
        process.join()
        with (folder / "verdicts.jsonl").open("a") as file:
            file.write('{"question_id": "39", "run": 1, "con')  # as if it had been in the middle of a line
        found = ask("llava-bench", answers(), folder, judge.url)
        most = max(judge.books.asked.values())
    assert most <= 2  # only what was in flight when it ended is asked a second time
    assert LLAVA_BENCH.score(found, folder, "official").value() == 50
    assert all(len(said(answer)) == 1 for answer in found)
    lines = [json.loads(line) for line in (folder / "verdicts.jsonl").read_text().splitlines()]
    assert len({line["question_id"] for line in lines}) == len(lines) == NUMBER


def test_a_verdict_on_other_words_is_not_taken_for_one_on_these(folder: Path) -> None:
    with teaching(lambda messages: "10 9" if "Better" in words(messages) else "10 1") as judge:
        ask("llava-bench", answers()[:2], folder, judge.url)
        better = (Answer("0", "Better."), *answers()[1:2])
        found = ask("llava-bench", better, folder, judge.url)
        assert judge.books.answered.total() == 3
    assert LLAVA_BENCH.score(found, folder, "official").value() == 50


def test_letters_of_answers_that_no_rule_reads_are_asked_for(tmp_path: Path) -> None:
    header = "index\tquestion\tA\tB\tanswer\tcategory\timage"
    rows = [f"{number}\tWhat is it?\ta cat\ta dog\tB\tkind\tAAAA" for number in (1, 2, 3, 4)]
    (tmp_path / "mmbench_dev_en.tsv").write_text("\n".join([header, *rows]))
    texts = ("B", "It barks", "It sings", "It barks, or sings")
    given = tuple(Answer(str(number), text) for number, text in enumerate(texts, 1))

    def reply(messages: Messages) -> str:
        assert "A. a cat B. a dog" in words(messages)
        answer = words(messages).split("Answer: ")[-1]
        return "hm" if "or sings" in answer else "B" if "barks" in answer else "Z"

    with teaching(reply) as judge:
        found = ask("mmbench", given, tmp_path, judge.url)
        assert judge.books.answered.total() == 2 + 3  # two at once, one in vain, tried three times
    before, after = (MMBENCH.score(each, tmp_path, "official") for each in (given, found))
    assert (before.value(), after.value()) == (25, 50)
    assert any("3 of 4 answers name no option" in note for note in before.notes)


def test_a_line_that_is_no_verdict_is_said_with_the_file_s_name(tmp_path: Path) -> None:
    (tmp_path / "verdicts.jsonl").write_text('{"text": "an answer"}\n')
    with pytest.raises(UsageError, match=r"verdicts.jsonl is no file of verdicts"):
        VerdictFile(tmp_path / "verdicts.jsonl")


def test_only_some_benchmarks_have_to_do_with_a_judge(folder: Path) -> None:
    assert may_ask("mm-vet")
    assert may_ask("mmbench-cn") and not may_ask("gqa")
    with pytest.raises(UsageError, match="gqa needs no judge"):
        plan("gqa", answers(), folder, "official", Judge(), folder / "none")
    with pytest.raises(UsageError, match="at least once"):
        Judge(runs=0)
