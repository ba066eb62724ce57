"""The command itself, killed by SIGKILL and started again: alone, in two processes, and with fewer than before."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from train import small

STEPS = 12
pytestmark = pytest.mark.timeout(400)
CHANGES = (
    *("batch=4", f"world.scenes={4 * STEPS}", "world.questions=2", "world.details=0", "world.several_turns=0"),
    *("log_every=1", "save_every=2", "threads=1", "world.sizes=[96]"),
    *("held_out.every=5", "held_out.rows=4", "held_out.samples=1", "held_out.tokens=8"),
)


def command(project: Path, output: Path, processes: int, *changes: str) -> list[str]:
    """``pumice train`` with the recipe of the bundled model's second stage, upon the bundled model, and short."""
    start = project / "src/pumice/pretrained/pumice-tiny"
    words = ["train", str(project / "recipes/tiny-finetune.toml")]
    for change in (*CHANGES, f"start.folder={start}", f"output={output}", *changes):
        words += ["--set", change]
    return small.several(processes, "-m", "pumice", *words)


def run(words: list[str]) -> None:
    done = subprocess.run(words, env=small.environment(), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


def killed(words: list[str], output: Path, after: int) -> None:
    """Start, and kill all of its processes once ``after`` steps are in the log."""
    started = subprocess.Popen(words, env=small.environment(), stderr=subprocess.DEVNULL)
    try:
        while len(losses(output)) < after:
            assert started.poll() is None, "it ended before it could be killed"
            time.sleep(0.002)
    finally:
        for process in (started.pid, *descendants(started.pid)):
            os.kill(process, signal.SIGKILL)
    assert started.wait() == -signal.SIGKILL


def descendants(process: int) -> list[int]:
    """The launcher's workers lead sessions of their own, and have workers too."""
    found = []
    for task in Path(f"/proc/{process}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            found += [child, *descendants(child)]
    return found


def losses(output: Path) -> dict[int, float]:
    """By step, as they were logged last."""
    log = output / "log.jsonl"
    lines = log.read_text().splitlines() if log.exists() else []
    return {line["step"]: line["loss"] for line in map(json.loads, lines) if "loss" in line}


@pytest.mark.parametrize(
    ("processes", "changes"),
    [(1, ()), (2, ()), (1, ("workers=2", "micro=1", "lora.language={rank=4, alpha=8, dropout=0.1}"))],
    ids=["alone", "two", "adapters"],
)
def test_bit_for_bit(tmp_path: Path, project: Path, processes: int, changes: tuple[str, ...]) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    if "lora.language" in str(changes):
        changes = (*changes, "grounding.weight=0.1")
    run(command(project, whole, processes, *changes))
    killed(command(project, parts, processes, *changes), parts, after=5)
    reached = int(small.states(parts)[-1].name.partition("-")[2])
    assert 0 < reached < STEPS
    run(command(project, parts, processes, *changes))
    assert losses(parts) == losses(whole) and len(losses(whole)) == STEPS
    small.assert_same(small.state_of(parts), small.state_of(whole))
    for path in (whole / "model").rglob("*.safetensors"):
        other = load_file(parts / path.relative_to(whole))
        assert all(tensor.equal(other[name]) for name, tensor in load_file(path).items())


@pytest.mark.parametrize("shard", ["false", "true"])
def test_two_processes_then_one(tmp_path: Path, project: Path, shard: str) -> None:
    """Another number of processes sees the same rows in the same steps, and reads the other's state."""
    plain = project / "recipes/tiny-finetune.toml"
    text = plain.read_text()
    begin, end = text.index("[grounding]"), text.index("[world]")
    recipe = tmp_path / "plain.toml"
    recipe.write_text(text[:begin] + text[end:])

    def words(output: Path, processes: int) -> list[str]:
        held_out = "held_out={every=6, rows=5, samples=1, tokens=4}"
        made = command(project, output, processes, f"shard={shard}", held_out, "average=0.5")
        return [str(recipe) if word == str(plain) else word for word in made]

    whole, fewer = tmp_path / "whole", tmp_path / "fewer"
    run(words(whole, 2))
    killed(words(fewer, 2), fewer, after=5)
    run(words(fewer, 1))
    one, other = losses(whole), losses(fewer)
    assert one.keys() == other.keys() == set(range(1, STEPS + 1))
    assert all(abs(one[step] - other[step]) < 2e-3 for step in one), (one, other)
    checks = [
        [line for line in map(json.loads, (output / "log.jsonl").read_text().splitlines()) if "held_out_loss" in line]
        for output in (whole, fewer)
    ]
    for mine, theirs in zip(*checks, strict=True):
        assert mine["step"] == theirs["step"] and abs(mine["held_out_loss"] - theirs["held_out_loss"]) < 2e-3
    assert len(checks[0]) == 2 and (whole / "best" / "pumice.json").is_file()
    assert len({round(loss, 2) for loss in one.values()}) > STEPS // 2, "steps can be told from one another"


def test_two_runs_do_not_share_a_folder(tmp_path: Path, project: Path) -> None:
    """The second is refused before it touches anything, and the first goes on."""
    output = tmp_path / "run"
    words = command(project, output, 1, "world.scenes=4000")
    first = subprocess.Popen(words, env=small.environment(), stderr=subprocess.DEVNULL)
    try:
        while not losses(output):
            assert first.poll() is None
            time.sleep(0.002)
        second = subprocess.run(words, env=small.environment(), capture_output=True, text=True, check=False)
        assert second.returncode == 2 and f"another process is training into {output}" in second.stderr
        assert "hint: " in second.stderr and "Traceback" not in second.stderr
        reached = len(losses(output))
        while len(losses(output)) <= reached:
            assert first.poll() is None, "the first goes on"
            time.sleep(0.01)
    finally:
        first.send_signal(signal.SIGINT)
    assert first.wait() == 130
