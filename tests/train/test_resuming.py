"""A run that was killed goes on as if nothing had happened."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
from pumice.errors import ModelError, UsageError
from pumice.train.loop import run_steps
from pumice.train.state import Progress, load_state, save_state
from train import small

STEPS = 24  # four epochs of twelve rows, two at a time

# A process that starts training in children of its own and kills them, one after the other, wherever they are.
KILLER = f"""
import os, random, signal, sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
from train import small

folder = Path(sys.argv[1])
rows = small.rows(12)

def start(name, pause, save_every):
    child = os.fork()
    if child == 0:
        try:
            changes = small.LORA if sys.argv[3] == "lora" else {{}}
            how = small.recipe(folder / name, epochs={STEPS // 6}, save_every=save_every, **changes)
            small.run(how, small.Rows(rows, pause))
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    return child

def lines(name):
    log = folder / name / "log.jsonl"
    return log.read_text().count("\\n") if log.exists() else 0

def checked(child):
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code == 0, code

checked(start("whole", 0.0, 5))
chance = random.Random(sys.argv[2])
for name, save_every in (("often", 1), ("seldom", 5)):
    for _ in range(2):
        seen = lines(name)
        child = start(name, 0.005, save_every)
        while lines(name) < seen + 6:
            assert os.waitpid(child, os.WNOHANG) == (0, 0), "ended too early"
            time.sleep(0.001)
        time.sleep(chance.random() * 0.04)
        os.kill(child, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        state = torch.load(folder / name / "state.pt", weights_only=True)
        print(name, state["step"], flush=True)
    checked(start(name, 0.0, save_every))
"""


def state_of(folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(folder / "state.pt", weights_only=True)
    return state


def assert_same_state(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert first["step"] == second["step"]
    assert first["model"].keys() == second["model"].keys()
    assert all(torch.equal(first["model"][name], second["model"][name]) for name in first["model"])
    mine, other = first["optimizer"]["state"], second["optimizer"]["state"]
    assert mine.keys() == other.keys() and mine
    for index in mine:
        assert all(torch.equal(mine[index][name], other[index][name]) for name in mine[index])


@pytest.mark.parametrize(("seed", "kind"), [("1", "whole"), ("2", "lora")])
def test_killed_and_started_again(tmp_path: Path, project: Path, seed: str, kind: str) -> None:
    """Two kills at any moment, once with a state after every step and once after every fifth: every bit is equal."""
    paths = [str(project / "src"), str(project / "tests"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", KILLER, str(tmp_path), seed, kind],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    reached = [line.split() for line in done.stdout.splitlines()]
    assert [name for name, _ in reached] == ["often"] * 2 + ["seldom"] * 2
    assert all(0 < int(step) < STEPS for _, step in reached)
    whole = state_of(tmp_path / "whole")
    assert whole["step"] == STEPS
    for name in ("often", "seldom"):
        assert_same_state(state_of(tmp_path / name), whole)
        steps = [json.loads(line)["step"] for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        assert set(steps) == set(range(1, STEPS + 1))


@pytest.mark.parametrize("changes", [{}, small.LORA], ids=["whole", "lora"])
@pytest.mark.parametrize("stop", [1, 3, 4, 7])
def test_stopped_between_steps(tmp_path: Path, stop: int, changes: dict[str, Any]) -> None:
    """In one process, at the borders of windows and epochs too; the state is the only thing carried over."""
    source = small.Rows(small.rows(8))
    how = small.recipe(tmp_path / "parts", epochs=2, save_every=1, **changes)
    lines = run_steps(*small.prepared(how), source, how)
    for _ in range(stop):
        next(lines)
    lines.close()
    rest, _ = small.run(how, source)
    assert [json.loads(line)["step"] for line in rest] == list(range(stop + 1, 9))
    small.run(small.recipe(tmp_path / "whole", epochs=2, **changes), source)
    assert_same_state(state_of(tmp_path / "parts"), state_of(tmp_path / "whole"))


def test_a_finished_run_has_nothing_left_to_do(tmp_path: Path) -> None:
    how = small.recipe(tmp_path, epochs=2)
    source = small.Rows(small.rows(4))
    lines, task = small.run(how, source)
    assert len(lines) == 4
    again, loaded = small.run(how, source)
    assert again == []
    for name, tensor in task.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name])


def test_a_full_disk_leaves_the_old_state(tmp_path: Path) -> None:
    """The system itself refuses to write on; what was there stays whole."""
    how = small.recipe(tmp_path)
    task, optimizer = small.prepared(how)
    save_state(tmp_path, task, optimizer, Progress(3, "{}"))
    old = (tmp_path / "state.pt").read_bytes()
    with torch.no_grad():
        next(task.parameters()).add_(1.0)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(old) // 2, limits[1]))
    try:
        with pytest.raises((OSError, RuntimeError)):
            save_state(tmp_path, task, optimizer, Progress(4, "{}"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "state.pt").read_bytes() == old
    assert load_state(tmp_path, task, optimizer, "{}") == 3
    save_state(tmp_path, task, optimizer, Progress(5, "{}"))
    assert load_state(tmp_path, task, optimizer, "{}") == 5


def test_a_state_of_another_recipe_is_refused(tmp_path: Path) -> None:
    how = small.recipe(tmp_path, epochs=1)
    source = small.Rows(small.rows(4))
    small.run(how, source)
    with pytest.raises(UsageError, match="another recipe") as error:
        small.run(small.recipe(tmp_path, epochs=1, seed=9), source)
    assert error.value.hint


@pytest.mark.parametrize("cut", [0, 100, -1])
def test_a_damaged_state_is_refused(tmp_path: Path, cut: int) -> None:
    how = small.recipe(tmp_path)
    task, optimizer = small.prepared(how)
    save_state(tmp_path, task, optimizer, Progress(1, "{}"))
    path = tmp_path / "state.pt"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ModelError, match="damaged") as error:
        load_state(tmp_path, task, optimizer, "{}")
    assert error.value.hint and str(path) in str(error.value)


def test_no_state_is_a_fresh_start(tmp_path: Path) -> None:
    task, optimizer = small.prepared(small.recipe(tmp_path))
    assert load_state(tmp_path, task, optimizer, "{}") == 0


def test_a_state_holds_what_learns(tmp_path: Path) -> None:
    """Of adapters and a frozen tower not a byte more; the rest is where the run began."""
    how = small.recipe(tmp_path, lora={"language": small.LORA["lora"]["language"]}, parts={"language": 1e-2})
    _, task = small.run(how, small.Rows(small.rows(4)))
    kept = state_of(tmp_path)["model"]
    assert kept.keys() == {name for name, p in task.named_parameters() if p.requires_grad}
    assert len(kept) == 2 * 2 * 7 and all("lora_" in name for name in kept)
    again, _ = small.prepared(how)
    assert load_state(tmp_path, again, small.prepared(how)[1], how.model_dump_json()) == 2
    for name, tensor in task.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


def test_other_starting_weights_are_refused(tmp_path: Path) -> None:
    how = small.recipe(tmp_path, parts={"language": 1e-3})
    small.run(how, small.Rows(small.rows(4)))
    task, optimizer = small.prepared(how, tiny.model(seed=1))
    with pytest.raises(UsageError, match="other starting weights") as error:
        load_state(tmp_path, task, optimizer, how.model_dump_json())
    assert error.value.hint
