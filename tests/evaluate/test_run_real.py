"""The bundled model through eight benchmarks in their official formats: killed and resumed, in parts, by processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from evaluate import from_world
from fakes import python_path
from pumice.cli.main import main
from pumice.evaluate.results import read_results
from pumice.evaluate.tasks.table import TASKS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": python_path(ROOT), "HF_HUB_OFFLINE": "1"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return from_world.write(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run of everything, never stopped."""
    out = tmp_path_factory.mktemp("whole")
    assert main(words(data, out)) == 0
    return out


def words(data: Path, out: Path, *flags: str, tasks: tuple[str, ...] = from_world.TASKS) -> list[str]:
    return ["evaluate", "run", *tasks, "--data", str(data), "-o", str(out), "--quiet", *flags]


def started(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "pumice", *arguments], env=ENVIRONMENT, stdout=subprocess.DEVNULL)


def lines(out: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in out.glob("*/answers*.jsonl"))


def answers(out: Path) -> dict[str, bytes]:
    return {task: (out / task / "answers.jsonl").read_bytes() for task in from_world.TASKS}


def scores(out: Path) -> dict[str, Any]:
    """Everything that was computed; what was noted of versions and devices may differ."""
    found = {each.name: json.loads(each.read_text()) for each in out.glob("*.result.json")}
    return {name: {key: value for key, value in facts.items() if key != "made_with"} for name, facts in found.items()}


def test_every_benchmark_has_its_figures(whole: Path, data: Path) -> None:
    results = read_results(whole)
    assert {each.task for each in results} == set(from_world.TASKS)
    for each in results:
        questions = list(TASKS[each.task].questions(data / TASKS[each.task].folder))
        assert len((whole / each.task / "answers.jsonl").read_bytes().splitlines()) == len(questions)
        assert {row.cluster for row in each.scored().rows} == {question.image_key for question in questions}
        assert each.missing == 0
        assert 0 <= each.headline.value <= each.headline.metric.scale
        assert each.made_with["template"] is None  # nobody asked for another than the checkpoint's
        about = each.made_with["at_the_start"]
        assert isinstance(about, dict)
        assert (about["model"], about["template"], about["dtype"]) == ("pumice-tiny", "vicuna_v1", "float32")
        assert about["preprocessing"]["mode"] == "pad"  # type: ignore[index,call-overload]
        assert questions[0].prompt in str(about["first_prompt"])
    by_task = {each.task: each for each in results}
    assert by_task["pope"].headline.value > 80  # what the bundled model was made for
    assert by_task["mme"].figures[0].value > 250
    files = by_task["pope"].picture_files()
    assert all(path.is_file() for path in files.values()) and len(files) == from_world.SCENES


def test_killed_torn_and_resumed_it_is_the_same(whole: Path, data: Path, tmp_path: Path) -> None:
    total = lines(whole)
    for share in (0.2, 0.6):
        process = started(*words(data, tmp_path))
        while lines(tmp_path) < share * total:
            assert process.poll() is None, "ended too early"
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        last = max(tmp_path.glob("*/answers.jsonl"), key=lambda path: path.stat().st_mtime_ns)
        with last.open("ab") as file:
            file.write(b'{"question_id": 1, "prompt": "Is th')
    before = {path: path.read_bytes().count(b"\n") for path in tmp_path.glob("*/answers.jsonl")}
    assert 0 < sum(before.values()) < total
    assert main(words(data, tmp_path)) == 0
    assert answers(tmp_path) == answers(whole)
    assert scores(tmp_path) == scores(whole)


def test_two_parts_by_two_processes_are_the_same(whole: Path, data: Path, tmp_path: Path) -> None:
    """As two machines with one folder would do it; whoever is last, scores."""
    parts = [started(*words(data, tmp_path, "--shards", "2", "--shard", part)) for part in ("1", "2")]
    assert [each.wait() for each in parts] == [0, 0]
    assert answers(tmp_path) == answers(whole)
    assert scores(tmp_path) == scores(whole)
    assert len((tmp_path / "gqa" / "answers.2-of-2.jsonl").read_bytes().splitlines()) == 9


def test_a_limit_a_larger_one_and_processes_of_its_own(whole: Path, data: Path, tmp_path: Path) -> None:
    some = ("pope", "gqa")
    assert main(words(data, tmp_path, "--limit", "6", tasks=some)) == 0
    few = {each.task: each for each in read_results(tmp_path)}
    asked = answers_of(tmp_path, "gqa")
    assert 6 <= few["gqa"].questions <= 8
    assert few["gqa"].notes[0] == f"Only {few['gqa'].questions} of 18 questions were asked."
    assert main(words(data, tmp_path, "--limit", "12", tasks=some)) == 0
    assert asked <= answers_of(tmp_path, "gqa")
    assert main(words(data, tmp_path, "--shards", "2", tasks=some)) == 0
    for task in some:
        assert (tmp_path / task / "answers.jsonl").read_bytes() == answers(whole)[task]
        assert scores(tmp_path)[f"{task}.result.json"] == scores(whole)[f"{task}.result.json"]


def answers_of(out: Path, task: str) -> set[bytes]:
    return set((out / task / "answers.jsonl").read_bytes().splitlines())


def test_controls_show_that_it_sees(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    controls = ("--control", "blind", "--control", "shuffled")
    assert main(words(data, tmp_path, *controls, "--json", tasks=("pope",))) == 0
    found = {each["control"]: each for each in json.loads(capsys.readouterr().out)["results"]}
    f1 = {name: each["metrics"][0]["value"] for name, each in found.items()}
    assert f1.keys() == {"", "blind", "shuffled"}
    assert f1[""] > max(f1["blind"], f1["shuffled"]) + 20
    pair = [str(tmp_path / f"pope{control}.result.json") for control in (".blind", "")]
    assert main(["evaluate", "compare", *pair, "--json"]) == 0
    comparison = json.loads(capsys.readouterr().out)["comparisons"][0]
    accuracy = next(each for each in comparison["metrics"] if "accuracy" in each["name"])
    assert accuracy["difference"] > 0
    assert comparison["mcnemar"]["only_second"] > comparison["mcnemar"]["only_first"]
