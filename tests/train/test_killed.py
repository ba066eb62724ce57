"""The command itself, killed by SIGKILL and started again: alone, in two processes, and with fewer than before."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from safetensors.torch import load_file

from pumice.train.recipe_file import read_recipe
from pumice.train.run import train
from train import small
from train.warm import Nursery, Running

STEPS = 6
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
CHANGES = (
    *("batch=4", f"world.scenes={4 * STEPS}", "world.questions=2", "world.details=0", "world.several_turns=0"),
    *("log_every=1", "save_every=2", "threads=1", "world.sizes=[96]"),
    *("held_out.every=2", "held_out.rows=5", "held_out.samples=1", "held_out.tokens=4"),
)
ADAPTERS = ("workers=2", "micro=1", "lora.language={rank=4, alpha=8, dropout=0.1}", "grounding.weight=0.1")


@dataclass(frozen=True)
class Job:
    """The recipe of the bundled model's second stage, upon the bundled model, and short."""

    recipe: Path
    changes: tuple[str, ...]
    output: Path

    @property
    def _overrides(self) -> tuple[str, ...]:
        return (*CHANGES, *self.changes, f"output={self.output}")

    def start(self, warm: Nursery, processes: int) -> Running:
        """``pumice train``."""
        words = [word for change in self._overrides for word in ("--set", change)]
        return warm.start("-m", "pumice", "train", str(self.recipe), *words, processes=processes)

    def run(self, warm: Nursery, processes: int) -> None:
        """To the end, as a command."""
        started = self.start(warm, processes)
        assert started.wait() == [0] * processes, started.text()

    def run_here(self) -> None:
        """To the end, in the process of the tests, where everything is loaded."""
        train(read_recipe(self.recipe, self._overrides), lambda _: None)

    def killed(self, warm: Nursery, processes: int) -> Path:
        """Started, and all of its processes killed between two of the steps; returns a copy of what was left."""
        kill(self.start(warm, processes), self.output, after=STEPS // 2)
        reached = int(small.states(self.output)[-1].name.partition("-")[2])
        assert 0 < reached < STEPS
        copy = self.output.with_name(f"{self.output.name}-killed")
        shutil.copytree(self.output, copy)
        return copy


def job(project: Path, output: Path, *changes: str, recipe: Path | None = None) -> Job:
    start = f"start.folder={project / 'src/pumice/pretrained/pumice-tiny'}"
    return Job(recipe or project / "recipes/tiny-finetune.toml", (start, *changes), output)


def kill(started: Running, output: Path, after: int) -> None:
    """All of the processes, and theirs, once ``after`` steps are in the log."""
    try:
        while len(losses(output)) < after:
            assert set(started.poll()) == {None}, f"it ended before it could be killed: {started.text()}"
            time.sleep(0.002)
    finally:
        alive = [number for number, code in zip(started.numbers, started.poll(), strict=True) if code is None]
        for process in [each for number in alive for each in (number, *descendants(number))]:
            os.kill(process, signal.SIGKILL)
    assert started.wait()[0] == -signal.SIGKILL  # another may have just noticed that the first is gone


def descendants(process: int) -> list[int]:
    """Those that read rows ahead."""
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


def checks(output: Path) -> dict[int, float]:
    """What held-out rows cost, by step."""
    lines = map(json.loads, (output / "log.jsonl").read_text().splitlines())
    return {line["step"]: line["held_out_loss"] for line in lines if "held_out_loss" in line}


def assert_same(parts: Path, whole: Path) -> None:
    """Every bit of what two runs have left."""
    assert losses(parts) == losses(whole) and len(losses(whole)) == STEPS
    small.assert_same(small.state_of(parts), small.state_of(whole))
    written = list((whole / "model").rglob("*.safetensors"))
    assert written
    for path in written:
        other = load_file(parts / path.relative_to(whole))
        assert all(tensor.equal(other[name]) for name, tensor in load_file(path).items())


def assert_near(fewer: Path, whole: Path) -> None:
    """The same rows in the same steps, and the same checks, but for the order in which numbers were added."""
    one, other = losses(whole), losses(fewer)
    assert one.keys() == other.keys() == set(range(1, STEPS + 1))
    assert all(abs(one[step] - other[step]) < 2e-3 for step in one), (one, other)
    for step, loss in (mine := checks(whole)).items():
        assert abs(loss - checks(fewer)[step]) < 2e-3
    assert mine.keys() == checks(fewer).keys() == {2, 4, 6} and (whole / "best" / "pumice.json").is_file()
    assert len({round(loss, 2) for loss in one.values()}) > STEPS // 2, "steps can be told from one another"


@pytest.mark.parametrize("changes", [(), ADAPTERS], ids=["alone", "adapters"])
def test_bit_for_bit(tmp_path: Path, project: Path, warm: Nursery, changes: tuple[str, ...]) -> None:
    whole, parts = job(project, tmp_path / "whole", *changes), job(project, tmp_path / "parts", *changes)
    whole.run_here()
    parts.killed(warm, 1)
    parts.run(warm, 1)
    assert_same(parts.output, whole.output)


def test_two_processes(tmp_path: Path, project: Path, warm: Nursery) -> None:
    """Killed, two go on bit for bit; one alone sees the same rows in the same steps, and reads the state of two."""
    whole, parts = job(project, tmp_path / "whole", "average=0.5"), job(project, tmp_path / "parts", "average=0.5")
    whole.run(warm, 2)
    left = parts.killed(warm, 2)
    parts.run(warm, 2)
    assert_same(parts.output, whole.output)
    shutil.rmtree(parts.output)
    left.rename(parts.output)
    parts.run_here()
    assert_near(parts.output, whole.output)


def test_two_processes_with_shares_of_the_weights(tmp_path: Path, project: Path, warm: Nursery) -> None:
    """Killed, two go on, or one that holds all weights; it is as if one alone had done everything."""
    text = (project / "recipes/tiny-finetune.toml").read_text()
    begin, end = text.index("[grounding]"), text.index("[world]")
    recipe = tmp_path / "plain.toml"
    recipe.write_text(text[:begin] + text[end:])
    whole = job(project, tmp_path / "whole", "average=0.5", recipe=recipe)
    whole.run_here()
    parts = job(project, tmp_path / "parts", "average=0.5", "shard=true", recipe=recipe)
    left = parts.killed(warm, 2)
    parts.run(warm, 2)
    assert_near(parts.output, whole.output)
    assert (parts.output / "best" / "pumice.json").is_file()
    shutil.rmtree(parts.output)
    left.rename(parts.output)
    parts.run_here()
    assert_near(parts.output, whole.output)


def test_two_runs_do_not_share_a_folder(tmp_path: Path, project: Path, warm: Nursery) -> None:
    """The second is refused before it touches anything, and the first goes on."""
    output = tmp_path / "run"
    long = job(project, output, "world.scenes=4000")
    first = long.start(warm, 1)
    try:
        while not losses(output):
            assert first.poll() == [None], first.text()
            time.sleep(0.002)
        second = long.start(warm, 1)
        assert second.wait() == [2] and f"another process is training into {output}" in second.text()
        assert "hint: " in second.text() and "Traceback" not in second.text()
        reached = len(losses(output))
        while len(losses(output)) <= reached:
            assert first.poll() == [None], "the first goes on"
            time.sleep(0.01)
    finally:
        if first.poll() == [None]:
            os.kill(first.numbers[0], signal.SIGINT)
    assert first.wait() == [130]
