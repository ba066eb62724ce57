"""Files that are damaged anywhere end in an error that says so, or in a score; never in a traceback."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark_files import (
    write_gqa,
    write_json,
    write_mme,
    write_pope,
    write_scienceqa,
    write_textvqa,
    write_vizwiz,
    write_vqav2,
)
from pumice.errors import PumiceError
from pumice.evaluate.task import Task
from pumice.evaluate.tasks.table import TASKS

TEN = ["yes"] * 10
JUNK: list[object] = [None, "", "x", -1, 10**9, 2.5, True, [], {}, [None], ["x"], {"answer": None}, "1\t2\n3"]
WRITERS = {
    "vqav2": lambda folder: write_vqav2(folder, [(1, 42, "Is it?", TEN), (2, 43, "Why?", TEN)]),
    "gqa": lambda folder: write_gqa(folder, {"1": ("n1", "Is it?", "yes"), "2": ("n2", "What?", "cat")}),
    "vizwiz": lambda folder: write_vizwiz(folder, [("1.jpg", "Why?", TEN), ("2.jpg", "Why?", TEN)]),
    "textvqa": lambda folder: write_textvqa(folder, [("a", "what?", TEN, ["A"]), ("b", "why?", TEN, [])]),
    "scienceqa": lambda folder: write_scienceqa(
        folder,
        {
            "1": {"question": "?", "choices": ["a", "b"], "answer": 1},
            "2": {"question": "?", "choices": ["a"], "answer": 0},
        },
    ),
    "pope": lambda folder: write_pope(folder, {"random": [("a.jpg", "Is it?", "yes"), ("b.jpg", "Is it?", "no")]}),
    "mme": lambda folder: write_mme(folder, {"color": [("a.jpg", "Red?", "yes"), ("a.jpg", "Blue?", "no")]}),
}


def damaged(value: object, dice: random.Random) -> object:
    """The same JSON with one node, wherever it is, replaced or gone."""
    if not isinstance(value, (dict, list)) or not value or dice.random() < 0.15:
        return dice.choice(JUNK)
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    place = dice.choice(keys)
    copy = dict(value) if isinstance(value, dict) else list(value)
    if dice.random() < 0.2:
        del copy[place]
    else:
        copy[place] = damaged(copy[place], dice)
    return copy


def rewrite(path: Path, dice: random.Random) -> None:
    """Damages one line, or the document."""
    text = path.read_text()
    if path.suffix == ".txt" or dice.random() < 0.1:
        place = dice.randrange(len(text))
        path.write_text(text[:place] + dice.choice(["", "\t", "\n", "{", "\x00"]) + text[place + dice.randrange(3) :])
        return
    try:
        path.write_text(json.dumps(damaged(json.loads(text), dice)))
    except json.JSONDecodeError:
        lines = text.splitlines()
        place = dice.randrange(len(lines))
        lines[place] = json.dumps(damaged(json.loads(lines[place]), dice))
        path.write_text("\n".join(lines))


def use(task: Task, folder: Path, answers: Path) -> Iterator[object]:
    """Everything that reads the files."""
    yield lambda: list(task.questions(folder))
    for profile in task.profiles:
        yield lambda profile=profile: task.score(task.answers(answers), folder, profile).value()
    if task.submission:
        yield lambda: task.submission and task.submission(task.answers(answers), folder, folder / "out")


@pytest.mark.parametrize("name", WRITERS)
def test_damage_is_said_or_harmless(tmp_path: Path, name: str) -> None:
    dice, said, scored = random.Random(name), 0, 0
    for turn in range(60):
        folder = WRITERS[name](tmp_path / str(turn))
        asked = list(TASKS[name].questions(folder))
        rows = [{"question_id": each.id, "prompt": each.prompt, "text": "A"} for each in asked]
        answers = write_json(folder / "answers.json", rows)
        rewrite(dice.choice(sorted(path for path in folder.rglob("*.*") if path.is_file())), dice)
        for step in use(TASKS[name], folder, answers):
            try:
                step()  # type: ignore[operator]
                scored += 1
            except PumiceError as error:
                assert str(error)
                said += 1
    assert said > 20
    assert scored > 20
