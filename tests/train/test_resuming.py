"""A run that was killed goes on as if nothing had happened."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
from pumice.errors import ModelError, UsageError
from pumice.train.loop import run_steps
from pumice.train.state import STATES, Progress, fingerprint, load_state, save_state
from pumice.train.step import InstructionTuning
from train import small

STEPS = 24  # four epochs of twelve rows, two at a time

# A process that starts training in children of its own and kills them, one after the other, wherever they are.
KILLER = f"""
import os, random, signal, sys, time
from pathlib import Path
import torch
import torch._dynamo  # the first optimizer imports it; here once, and not in every child
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
        print(name, int(small.states(folder / name)[-1].name.partition("-")[2]), flush=True)
    checked(start(name, 0.0, save_every))
"""


@pytest.mark.slow
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
    whole = small.state_of(tmp_path / "whole")
    assert whole["step"] == STEPS
    for name in ("often", "seldom"):
        small.assert_same(small.state_of(tmp_path / name), whole)
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
    small.assert_same(small.state_of(tmp_path / "parts"), small.state_of(tmp_path / "whole"))


def test_a_finished_run_has_nothing_left_to_do(tmp_path: Path) -> None:
    how = small.recipe(tmp_path, epochs=2)
    source = small.Rows(small.rows(4))
    lines, task = small.run(how, source)
    assert len(lines) == 4
    again, loaded = small.run(how, source)
    assert again == []
    for name, tensor in task.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name])


def now(task: InstructionTuning, step: int = 0, recipe: str = "{}") -> Progress:
    return Progress(step, recipe, fingerprint(task))


def test_a_full_disk_leaves_the_old_state(tmp_path: Path) -> None:
    """The system itself refuses to write on; what was there stays whole."""
    task, optimizer = small.prepared(small.recipe(tmp_path))
    for parameter in task.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    save_state(tmp_path, task, optimizer, now(task, 3))
    old = small.state_of(tmp_path)
    largest = max(path.stat().st_size for path in small.states(tmp_path)[0].iterdir())
    with torch.no_grad():
        next(task.parameters()).add_(1.0)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest // 2, limits[1]))
    try:
        with pytest.raises(ModelError, match="cannot write"):
            save_state(tmp_path, task, optimizer, now(task, 4))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in small.states(tmp_path)] == ["step-00000003"]
    small.assert_same(small.state_of(tmp_path), old)
    assert load_state(tmp_path, task, optimizer, now(task)) == 3
    save_state(tmp_path, task, optimizer, now(task, 5))
    assert load_state(tmp_path, task, optimizer, now(task)) == 5
    left = {path.name for path in (tmp_path / STATES).iterdir()}
    assert left == {"step-00000005"}, "neither the old state nor what was broken off"


def test_the_last_states_stay(tmp_path: Path) -> None:
    how = small.recipe(tmp_path, epochs=3, save_every=1, keep_states=3)
    small.run(how, small.Rows(small.rows(4)))
    assert [path.name for path in small.states(tmp_path)] == [f"step-{step:08d}" for step in (4, 5, 6)]


def test_a_state_of_another_recipe_is_refused(tmp_path: Path) -> None:
    how = small.recipe(tmp_path, epochs=1)
    source = small.Rows(small.rows(4))
    small.run(how, source)
    with pytest.raises(UsageError, match="another recipe") as error:
        small.run(small.recipe(tmp_path, epochs=1, seed=9), source)
    assert error.value.hint


@pytest.mark.parametrize("part", ["progress.json", ".metadata", "__0_0.distcp"])
@pytest.mark.parametrize("cut", [0, 30, -1])
def test_a_damaged_state_is_refused(tmp_path: Path, part: str, cut: int) -> None:
    """The message names the folder; without it, the one before is taken."""
    task, optimizer = small.prepared(small.recipe(tmp_path))
    save_state(tmp_path, task, optimizer, now(task, 1))
    save_state(tmp_path, task, optimizer, now(task, 2), keep=2)
    second = small.states(tmp_path)[1]
    whole = (second / part).read_bytes()
    (second / part).write_bytes(whole[: cut if cut >= 0 else len(whole) // 2])
    with pytest.raises(ModelError, match="damaged") as error:
        load_state(tmp_path, task, optimizer, now(task))
    assert error.value.hint and str(second) in str(error.value)
    shutil.rmtree(second)
    assert load_state(tmp_path, task, optimizer, now(task)) == 1


def test_no_state_is_a_fresh_start(tmp_path: Path) -> None:
    task, optimizer = small.prepared(small.recipe(tmp_path))
    assert load_state(tmp_path, task, optimizer, now(task)) == 0


def test_a_state_holds_what_learns(tmp_path: Path) -> None:
    """Of adapters and a frozen tower not a byte more; the rest is where the run began."""
    how = small.recipe(tmp_path, lora={"language": small.LORA["lora"]["language"]}, parts={"language": 1e-2})
    _, task = small.run(how, small.Rows(small.rows(4)))
    kept = {name for name in small.state_of(tmp_path)["tensors"] if name.startswith("weight:")}
    assert kept == {f"weight:{name}" for name, p in task.named_parameters() if p.requires_grad}
    assert len(kept) == 2 * 2 * 7 and all("lora_" in name for name in kept)
    again, optimizer = small.prepared(how)
    assert load_state(tmp_path, again, optimizer, now(again, recipe=how.model_dump_json())) == 2
    for name, tensor in task.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


def test_other_starting_weights_are_refused(tmp_path: Path) -> None:
    how = small.recipe(tmp_path, parts={"language": 1e-3})
    small.run(how, small.Rows(small.rows(4)))
    task, optimizer = small.prepared(how, tiny.model(seed=1))
    with pytest.raises(UsageError, match="other starting weights") as error:
        load_state(tmp_path, task, optimizer, now(task, recipe=how.model_dump_json()))
    assert error.value.hint
