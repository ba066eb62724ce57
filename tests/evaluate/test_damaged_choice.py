"""Damaged files of benchmarks with letters and judges: an error that says so, or a score; never a traceback."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmark_files import write_json, write_lines
from evaluate.test_damaged import rewrite, use
from pumice.errors import PumiceError
from pumice.evaluate.judge import Judge, may_ask, plan
from pumice.evaluate.task import Task
from pumice.evaluate.tasks.table import TASKS

REVIEWS = [{"question_id": n, "category": "llava_bench_conv", "content": "8 7", "tuple": [8, 7]} for n in (0, 1)]
GRADES = {f"v1_{n}": {"model": ["m", "m"], "content": ["0.5", "1"], "score": [0.5, 1.0]} for n in (0, 1)}


def mmbench(folder: Path) -> Path:
    folder.mkdir(parents=True)
    rows = ["index\tquestion\thint\tA\tB\tanswer\tcategory\tl2-category\timage"]
    rows += [f"{turn * 1_000_000 + n}\tq\tnan\tx\ty\tA\tkind\tpart\tAAAA" for turn in (0, 1) for n in (1, 2)]
    (folder / "mmbench_dev_en.tsv").write_text("\n".join(rows))
    return write_lines(folder / "answers.jsonl", [{"question_id": n, "round_id": 0, "text": "A"} for n in (1, 2)])


def seed_bench(folder: Path) -> Path:
    choices = {f"choice_{letter}": letter for letter in "abcd"}
    told = {"question": "q", "question_type_id": 1, "data_type": "image", "data_id": "x", "answer": "A", **choices}
    questions = [{**told, "question_id": str(n)} for n in (1, 2)]
    write_json(folder / "SEED-Bench.json", {"questions": questions, "question_type": {"Scene": 1}})
    return write_lines(folder / "answers.jsonl", [{"question_id": n, "prediction": "A"} for n in (1, 2)])


def q_bench(folder: Path) -> Path:
    item = {
        "img_path": "1.jpg",
        "question": "q",
        "candidates": ["Yes", "No"],
        "correct_ans": "No",
        "type": 0,
        "concern": 1,
    }
    write_json(folder / "llvisionqa_dev.json", [item, {**item, "img_path": "2.jpg"}])
    return write_lines(folder / "answers.jsonl", [{**item, "img_path": f"{n}.jpg", "response": "B"} for n in (1, 2)])


def llava_bench(folder: Path) -> Path:
    asked = [{"question_id": n, "image": "1.jpg", "text": "q", "category": "conv"} for n in (0, 1)]
    write_lines(folder / "questions.jsonl", asked)
    write_lines(folder / "context.jsonl", [{"image": "1.jpg", "caption": ["a", "b"]}])
    write_lines(folder / "answers_gpt4.jsonl", [{"question_id": n, "text": "t"} for n in (0, 1)])
    write_json(folder / "rule.json", {"llava_bench_conv": {"prompt": "p"}})
    return write_lines(folder / "answers.jsonl", REVIEWS)


def mm_vet(folder: Path) -> Path:
    told = {"imagename": "1.png", "question": "q", "answer": "a<OR>b", "capability": ["rec", "ocr"]}
    write_json(folder / "mm-vet.json", {f"v1_{n}": told for n in (0, 1)})
    return write_json(folder / "answers.json", GRADES)


WRITERS: dict[str, Callable[[Path], Path]] = {
    "mmbench": mmbench,
    "seed-bench": seed_bench,
    "q-bench": q_bench,
    "llava-bench": llava_bench,
    "mm-vet": mm_vet,
}


def everything(task: Task, folder: Path, answers: Path) -> Iterator[Callable[[], object]]:
    for step in use(task, folder, answers):
        assert callable(step)
        yield step
    if may_ask(task.name):
        verdicts = folder / "verdicts.jsonl"
        yield lambda: plan(task.name, task.answers(answers), folder, "official", Judge("m"), verdicts)


@pytest.mark.parametrize("name", WRITERS)
def test_damage_is_said_or_harmless(tmp_path: Path, name: str) -> None:
    dice, said, scored = random.Random(name), 0, 0
    for turn in range(80):
        folder = tmp_path / str(turn)
        answers = WRITERS[name](folder)
        files = sorted(path for path in folder.rglob("*.*") if path.is_file())
        path = dice.choice(files)
        if path.suffix == ".tsv":
            text = path.read_text()
            place = dice.randrange(len(text))
            path.write_text(
                text[:place] + dice.choice(["", "\t", "\n", '"', "\x00", "é"]) + text[place + dice.randrange(9) :]
            )
        else:
            rewrite(path, dice)
        for step in everything(TASKS[name], folder, answers):
            try:
                step()
                scored += 1
            except PumiceError as error:
                assert str(error)
                said += 1
    assert said > 20
    assert scored > 20
