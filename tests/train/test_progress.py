"""What is seen while it runs: figures in the log, a bar on a terminal, other programs' pages."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
import time
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from rich.console import Console
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import tiny
from pumice.data.batch import collate
from pumice.errors import UsageError
from pumice.quantize.plan import Format
from pumice.quantize.swap import quantize_layers
from pumice.train.arithmetic import Work, size_of, weights_of
from pumice.train.held_out import Examiner
from pumice.train.loop import run_steps
from pumice.train.meter import Meter, duration, measured_peak, peak_memory
from pumice.train.parts import choose_parts
from pumice.train.patches import PatchReader, PatchRows
from pumice.train.progress import Bar
from pumice.train.ranks import ALONE
from pumice.train.recipe import LoraShape, WorldData
from pumice.train.recipe_file import read_recipe
from pumice.train.run import train
from pumice.train.seen import SeenPictures
from pumice.train.starting import PartFormats
from pumice.train.step import InstructionTuning, Metrics
from pumice.train.trackers import open_trackers
from pumice.train.watch import Moment, Watch
from train import small

CPU = torch.device("cpu")
PARTS = ("vision", "connector", "language")
SUBSETS = [subset for size in (1, 2, 3) for subset in combinations(PARTS, size)]
WIDE = tiny.language(hidden_size=128, intermediate_size=256, heads=4, kv_heads=4, head_dim=32)
TALL = tiny.vision(hidden_size=96, intermediate_size=192, layers=4)


def counted(task: Any, batch: Any) -> int:
    """What PyTorch counts. Attention in its plain form, for it does not know the fused one of the CPU."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        task.loss(batch).value.backward()
    return int(counter.get_total_flops())


@pytest.mark.parametrize("subset", SUBSETS, ids="+".join)
@pytest.mark.parametrize("tied", [True, False])
def test_arithmetic_is_what_torch_counts(subset: tuple[str, ...], tied: bool) -> None:
    model = tiny.model(see=TALL, speak=tiny.language(**{**vars(WIDE), "tied_embeddings": tied}))
    task = InstructionTuning(model)
    choose_parts(task, model, dict.fromkeys(subset, 1e-3), 0.0)  # type: ignore[arg-type]
    batch = collate([small.rows(1)[0]] * 3)  # equally long, so nothing is padding
    assert Work(model).operations(size_of(batch)) == pytest.approx(counted(task, batch), rel=0.03)


@pytest.mark.parametrize("subset", SUBSETS, ids="+".join)
@pytest.mark.parametrize("learning", [(), ("connector",), PARTS])
def test_arithmetic_of_adapters(subset: tuple[str, ...], learning: tuple[str, ...]) -> None:
    """No gradients of the weights below, and none for what comes in where nothing there learns."""
    model = tiny.model(see=TALL, speak=WIDE)
    adapters = dict.fromkeys(subset, LoraShape(rank=8, alpha=8))
    how = small.recipe(Path("unused"), lora=adapters, parts=dict.fromkeys((*subset, *learning), 1e-3))
    task, _ = small.prepared(how, model)
    batch = collate([small.rows(1)[0]] * 3)
    assert Work(model).operations(size_of(batch)) == pytest.approx(counted(task, batch), rel=0.03)


def test_arithmetic_upon_integers() -> None:
    """Integers are multiplied like the weights they stand for, and counted among them."""
    model = tiny.model(see=TALL, speak=WIDE)
    whole = sum(count for _, count, _ in weights_of(model))
    choose_parts(InstructionTuning(model), model, {"connector": 1e-3}, 0.0)
    size = size_of(collate(small.rows(2)))
    floats = Work(model).operations(size)
    quantize_layers(model, PartFormats({"language": Format(4)}), frozen=True)
    assert Work(model).operations(size) == floats
    assert sum(count for _, count, _ in weights_of(model)) == whole


def test_joined_rows_do_not_see_one_another() -> None:
    rows = small.rows(5)
    padded, joined = size_of(collate(rows)), size_of(collate(rows, joined=True))
    assert padded == joined and joined.pairs < joined.tokens**2 / 2


def test_pictures_that_were_seen_cost_nothing(tmp_path: Path) -> None:
    """Kept features: the tower's arithmetic counts where it really looks."""
    model = tiny.model()
    assert model.vision is not None
    seen = SeenPictures(tmp_path, model.vision)
    task = InstructionTuning(model, seen=seen)
    choose_parts(task, model, {"connector": 1e-3}, 0.0)
    work, batch = Work(model), collate(small.rows(3))
    meter = Meter(work, 1.0, CPU, looked=lambda: seen.made)
    meter.begin(0, 9)
    done = []
    for _ in range(2):
        task.loss(batch)
        meter.count([batch])
        done.append(meter._tally.operations)
    size = size_of(batch)
    assert done[0] == work.operations(size)
    assert done[1] - done[0] == pytest.approx(work.operations(replace(size, tiles=0)))


def test_arithmetic_of_patches() -> None:
    read = tiny.processor()
    assert read.preprocessing is not None
    rows = PatchRows(WorldData(task="patches", scenes=2), read.preprocessing, (96,))
    model = tiny.model(see=TALL)
    assert model.vision is not None
    task = PatchReader(model.vision)
    choose_parts(task, model, {"vision": 1e-3}, 0.0)
    batch = task.collate([rows[0], rows[1]])
    assert Work(model).operations(size_of(batch)) == pytest.approx(counted(task, batch), rel=0.1)


def test_the_size_of_a_batch() -> None:
    """Padding does not count."""
    rows = small.rows(6)
    size = size_of(collate(rows))
    assert size.tokens == sum(len(row.ids) for row in rows)
    assert size.pairs == sum(len(row.ids) ** 2 for row in rows)
    assert size.predictions == sum(len(row.targets) for row in rows)
    assert size.images == size.tiles == size.projected == 4


def test_the_meter(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("pumice.train.meter.time.monotonic", lambda: now[0])
    model = tiny.model()
    work, batch = Work(model), collate(small.rows(2))
    size = size_of(batch)
    meter = Meter(work, 1e9, CPU, processes=2)
    meter.begin(4, 10)
    assert meter.figures()["seconds_left"] is None
    for _ in range(2):
        now[0] += 3.0
        meter.count([batch])
    now[0] += 50.0
    meter.pause(50.0)
    found = meter.figures()
    assert found["tokens_per_s"] == round(2 * size.tokens * 2 / 6)
    assert found["images_per_s"] == round(2 * size.images * 2 / 6, 2)
    assert found["mfu"] == pytest.approx(2 * work.operations(size) / 6 / 1e9, abs=1e-4)
    assert found["seconds_left"] == 12.0
    meter.restart()
    now[0] += 1.0
    meter.count([batch])
    assert meter.figures()["tokens_per_s"] == size.tokens * 2
    assert Meter(work, 0.0, CPU).figures()["mfu"] is None


def test_memory_is_the_most_there_was() -> None:
    """In a process of its own, which gives back what it took."""
    code = (
        "import torch; from pumice.train.meter import peak_memory\n"
        "cpu = torch.device('cpu'); before = peak_memory(cpu); big = torch.ones(1 << 26); del big\n"
        "print(peak_memory(cpu) - before)"
    )
    grown = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert 0.8 * 2**28 < grown < 1.3 * 2**28
    assert peak_memory(CPU) is not None


def test_the_peak_is_faster_than_any_model() -> None:
    peak = measured_peak(CPU, torch.float32)
    assert 1e8 < peak < 1e14


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(3.4, "3 s"), (599, "10 min"), (3540, "59 min"), (3599, "1 h 0 min"), (7260, "2 h 1 min"), (2e5, "2.3 days")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_lines_of_the_log(tmp_path: Path) -> None:
    """All fields of before, and the new ones; the last step has nothing left."""
    path = small.written(tmp_path)
    told: list[str] = []
    train(read_recipe(path), told.append)
    lines = [json.loads(line) for line in told]
    assert (tmp_path / "run" / "log.jsonl").read_text().splitlines() == told
    trained = [line for line in lines if "loss" in line]
    fields = {
        "step", "steps", "loss", "accuracy", "gradient_norm", "rate", "rows_per_s", "predictions_per_s", "skipped",
        "dropped", "cut",
        "tokens_per_s", "images_per_s", "mfu", "seconds_left", "memory_bytes",
    }  # fmt: skip
    assert all(line.keys() == fields for line in trained) and len(trained) == 3
    assert trained[-1]["seconds_left"] == 0 < trained[0]["seconds_left"]
    assert all(line["tokens_per_s"] > line["predictions_per_s"] > 0 for line in trained)
    assert all(line["images_per_s"] == pytest.approx(line["rows_per_s"], rel=0.05) for line in trained)
    assert all(0 < line["mfu"] < 1 for line in trained)


class Slow(Examiner):
    """Takes its time."""

    def ask(self) -> Any:
        time.sleep(0.5)
        return super().ask()


def test_checks_do_not_count_as_training(tmp_path: Path) -> None:
    how = small.recipe(tmp_path, epochs=2)
    task, optimizer = small.prepared(how)
    meter = Meter(Work(task.model), 1e9, CPU)
    watch = Watch(meter, Slow(task, small.Rows(small.rows(2)), 2, ALONE), every=1)
    lines = [json.loads(line) for line in run_steps(task, optimizer, small.Rows(small.rows(4)), how, watch=watch)]
    assert all(line["rows_per_s"] > 8 for line in lines if "loss" in line)
    assert all(line["seconds_left"] < 0.5 for line in lines if "loss" in line)


def moment(step: int) -> Moment:
    figures = {"tokens_per_s": 1234.0, "images_per_s": 5.6, "mfu": 0.31, "seconds_left": 200.0, "memory_bytes": 2.0**31}
    return Moment(step, 10, 0.5, Metrics(1.25, 0.5, 1.0, 3, True), figures)


def test_the_bar() -> None:
    out = io.StringIO()
    bar = Bar(Console(file=out, force_terminal=True, width=100, color_system=None), 2e-3)
    with bar:
        bar.show(moment(3))
        bar.line(json.dumps({"step": 3, "loss": 1.0}))
        bar.line(
            json.dumps(
                {
                    "step": 3,
                    "held_out_loss": 0.9,
                    "held_out_accuracy": 0.7,
                    "best": True,
                    "answers": ["a [red] cup\x1b[0m"],
                }
            )
        )
        bar.line("a remark")
        bar.show(moment(10))
    said = out.getvalue()
    for words in (
        "step 3 of 10", "200 s left", "loss 1.250", "accuracy 50.0%", "rate 0.001", "1,234 tokens/s", "5.6 images/s",
        "MFU 31%", "2.0 GiB", "step 10 of 10", "held-out loss 0.9, accuracy 0.7, the best so far",
        r"1. 'a [red] cup\x1b[0m'", "a remark",
    ):  # fmt: skip
        assert words in said, words
    assert '"loss"' not in said


def _train(folder: Path, **streams: Any) -> subprocess.Popen[bytes]:
    path = small.written(folder)
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    return subprocess.Popen([sys.executable, "-m", "pumice", "train", str(path)], env=environment, **streams)


def test_a_terminal_gets_a_bar(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    child = _train(tmp_path, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    assert child.stdout is not None
    assert child.stdout.read().decode().strip() == str(tmp_path / "run" / "model")
    assert child.wait() == 0, shown
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    assert "step 3 of 3" in text and "tokens/s" in text and "step 2: held-out loss" in text
    assert '"rows_per_s"' not in text


def test_a_pipe_gets_lines(tmp_path: Path) -> None:
    child = _train(tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    _, shown = child.communicate()
    assert child.returncode == 0
    lines = [json.loads(line) for line in shown.decode().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3]
    assert [line["step"] for line in lines if "held_out_loss" in line] == [2, 3]


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "trackio"])
def test_a_tracker_that_is_not_there(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    how = small.recipe(tmp_path / "run", trackers=(name,))
    with pytest.raises(UsageError, match=f"tracker {name}, which is not installed") as error:
        train(how, lambda _: None)
    assert error.value.hint is not None and f"pip install {name}" in error.value.hint
    assert not (tmp_path / "run").exists()


class _Module(ModuleType):
    """Notes how it is called, in the way these libraries are."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.calls: list[tuple[str, Any]] = []

    def init(self, **options: Any) -> None:
        self.calls.append(("init", options))

    def log(self, figures: dict[str, float], step: int) -> None:
        self.calls.append(("log", (step, figures)))

    def finish(self) -> None:
        self.calls.append(("finish", None))

    def SummaryWriter(self, folder: str) -> _Module:
        self.calls.append(("init", folder))
        return self

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.calls.append(("log", (step, {name: value})))

    def close(self) -> None:
        self.calls.append(("finish", None))


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "trackio"])
def test_a_tracker_gets_the_figures(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = _Module(name)
    monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    how = small.recipe(tmp_path, trackers=(name,))
    task, optimizer = small.prepared(how)
    watch = Watch(trackers=tuple(open_trackers(how)))
    lines = [json.loads(line) for line in run_steps(task, optimizer, small.Rows(small.rows(4)), how, watch=watch)]
    watch.close()
    kinds = [kind for kind, _ in module.calls]
    assert kinds[0] == "init" and kinds[-1] == "finish"
    got: dict[int, dict[str, float]] = {}
    for kind, what in module.calls:
        if kind == "log":
            got.setdefault(what[0], {}).update(what[1])
    assert {step: figures["loss"] for step, figures in got.items()} == {line["step"]: line["loss"] for line in lines}
    assert all("step" not in figures and figures["rows_per_s"] > 0 for figures in got.values())
