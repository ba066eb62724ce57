"""What a recipe will take, told before: against what it then took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import tiny
from pumice.checkpoint.save import save_checkpoint
from pumice.errors import ModelError, UsageError
from pumice.train import opening
from pumice.train.estimate import Estimate, estimate
from pumice.train.machine import Machine, describe, make_machine, summary
from pumice.train.opening import Told
from pumice.train.recipe import (
    FileData,
    GroundingData,
    Integers,
    Join,
    LanguageShape,
    LoraShape,
    Recipe,
    Start,
    VisionShape,
    WorldData,
)
from pumice.train.recipe_file import read_recipe
from pumice.train.rehearsal import Rehearsal
from pumice.train.run import make_task, prepare, train
from train import small

# Trains in a process of its own, once at a small scale to load what is loaded at first use, and prints by how many
# bytes its memory grew at most the second time. Linux forgets the earlier peak where 5 is written.
MEASURE = """
import ctypes, gc, re, sys
from pathlib import Path
from pumice.train import run
from pumice.train.recipe import Recipe

def kept(name):
    return 1024 * int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

run.CORPUS_SCENES = 20
warm, recipe = (Recipe.model_validate_json(text) for text in sys.argv[1:])
run.train(warm, lambda _: None)
gc.collect()
ctypes.CDLL(None).malloc_trim(0)
Path("/proc/self/clear_refs").write_text("5")
before = kept("VmRSS")
run.train(recipe, lambda _: None)
print(kept("VmHWM") - before)
"""
# Makes the C library give every piece back at once, so that what is measured are the tensors alone.
EXACT = {"MALLOC_MMAP_THRESHOLD_": "65536"}
EYES = {"image_size": 64, "patch_size": 16, "hidden_size": 64, "intermediate_size": 256, "layers": 2, "heads": 2}
WORDS = {"vocab_size": 600, "hidden_size": 64, "intermediate_size": 128, "layers": 2, "heads": 4, "kv_heads": 4}


def recipe(
    folder: Path, eyes: dict[str, int] | None = None, words: dict[str, int] | None = None, **changes: Any
) -> Recipe:
    """Captions of scenes for a model of these shapes."""
    values: dict[str, Any] = {
        "output": folder,
        "start": Start(
            vision=VisionShape(**{**EYES, **(eyes or {})}), language=LanguageShape(**{**WORDS, **(words or {})})
        ),
        "template": "plain",
        "parts": dict.fromkeys(("vision", "connector", "language"), 1e-3),
        "world": WorldData(task="caption", scenes=8, captions=6, sizes=(96,)),
        "batch": 4,
        "workers": 0,
        "threads": 1,
    }
    return Recipe(**{**values, **changes})


LARGE = {"hidden_size": 384, "intermediate_size": 1024, "layers": 8}
WIDE = {"hidden_size": 192, "intermediate_size": 512, "layers": 6}
FOLDER = {"connector": 1e-3, "language": 1e-3}
LORA = {"lora": {"language": LoraShape(rank=16, alpha=16)}, "parts": FOLDER}
MANY = {"batch": 16, "world": WorldData(task="caption", scenes=32, captions=6, sizes=(96,))}
#: Of tower, of language model, of the recipe.
SHAPES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "weights and their averages": ({}, LARGE, {"average": 0.9}),
    "patches": (
        {"image_size": 128, "hidden_size": 192, "intermediate_size": 768, "layers": 6, "heads": 3},
        {},
        {"parts": {"vision": 1e-3}, "batch": 16, "world": WorldData(task="patches", scenes=32, sizes=(128,))},
    ),
}


def measured(warm: Recipe, how: Recipe) -> int:
    paths = os.pathsep.join([str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, warm.model_dump_json(), how.model_dump_json()],
        env={**os.environ, **EXACT, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("shape", list(SHAPES))
def test_memory_is_what_it_then_is(tmp_path: Path, shape: str) -> None:
    """Within a tenth of the peak of a real process."""
    eyes, words, changes = SHAPES[shape]
    how = recipe(tmp_path / "run", eyes, words, epochs=2, **changes)  # the largest batch comes when there are moments
    if how.lora:
        how = how.model_copy(update={"start": Start(folder=stored(tmp_path / "start", how))})
    warm = how.model_copy(update={"output": tmp_path / "warm", "batch": 2, "micro": 0, "pack": 0, "epochs": 1})
    assert warm.world is not None
    small_world = warm.world.model_copy(update={"scenes": 4, "captions": 1})
    taken = measured(warm.model_copy(update={"world": small_world}), how)
    told = estimate(how).training
    assert told == pytest.approx(taken, rel=0.1), f"told {told / 2**20:.1f} MiB, taken {taken / 2**20:.1f} MiB"


def stored(folder: Path, how: Recipe) -> Path:
    """A finished model of the recipe's shapes."""
    trainee = prepare(how.model_copy(update={"lora": {}, "quantize": {}, "output": folder.parent / "drawn"}))
    save_checkpoint(trainee.model, trainee.processor, folder)
    return folder


def test_what_is_told_is_what_comes(tmp_path: Path) -> None:
    """Steps, tokens and pictures of a run whose rows are all looked at."""
    path = small.written(tmp_path)
    how = read_recipe(path, ["world.scenes=12", "epochs=2"])
    found = estimate(how)
    assert not how.output.exists(), "nothing is written"
    train(how, lambda _: None)
    lines = [json.loads(line) for line in (how.output / "log.jsonl").read_text().splitlines()]
    trained = [line for line in lines if "loss" in line]
    assert (found.steps, found.rows, found.looked_at) == (len(trained), 12, 12)
    _, source = make_task(how, prepare(how))
    lengths = [len(source[index].ids) for index in range(12)]
    assert found.tokens == 2 * sum(lengths) and found.images == 24
    assert (found.length, found.longest) == (sum(lengths) / 12, max(lengths))


def test_weights_of_the_parts(tmp_path: Path) -> None:
    how = read_recipe(small.written(tmp_path), ["parts={connector = 1e-3}"])
    sizes = {part.name: part for part in estimate(how).parts}
    made = {"vision": 0, "connector": 0, "language": 0}
    for name, tensor in tiny.model(newline=False).named_parameters():
        made[name.split(".")[0]] += tensor.numel()
    assert {name: part.weights for name, part in sizes.items()} == made
    assert {name: part.learning for name, part in sizes.items()} == {**made, "vision": 0, "language": 0}
    rehearsal = estimate(how).rehearsal
    assert rehearsal.weights == 4 * sum(made.values()) and rehearsal.gradients == 4 * made["connector"]
    assert rehearsal.moments == pytest.approx(8 * made["connector"], rel=0.01)


def test_a_model_of_seven_billion_weights(tmp_path: Path) -> None:
    """Larger than this machine: the projector learns, the rest is only read."""
    eyes = {
        "image_size": 336,
        "patch_size": 14,
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "layers": 23,
        "heads": 16,
    }
    words = {
        "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "layers": 32, "heads": 32, "kv_heads": 32,
    }  # fmt: skip
    found = estimate(recipe(tmp_path, eyes, words, parts={"connector": 1e-3}, batch=2))
    assert 6.9e9 < sum(part.weights for part in found.parts) < 7.1e9
    assert found.rehearsal.weights == pytest.approx(4 * 7e9, rel=0.02)
    assert found.length > 576
    # Forward through all, back through the language model: about four operations a weight and token.
    assert found.operations / found.tokens == pytest.approx(4 * 6.5e9, rel=0.15)


FILES = {"world": None, "files": FileData(records=Path("not here.json"), images=Path("nor here"))}
SEVEN = Told("llava-1.5-7b", rows=1000, tokens=700)
FEW = replace(SEVEN, shape="few layers")
LAYERS = 4


def told_of(folder: Path, **changes: Any) -> Recipe:
    """A recipe whose model and data are not on this disk."""
    start = Start(folder=folder / "absent", pictures=changes.pop("pictures", None))
    return recipe(folder, start=start, **{**FILES, "parts": FOLDER, **changes})


@pytest.fixture(scope="module", autouse=True)
def few_layers() -> Iterator[None]:
    """One more known shape, for what is compared: a step without arithmetic takes as long as there are layers, and
    what changes in one of them changes in all."""
    seven = opening.SHAPES["llava-1.5-7b"]
    assert seven.vision is not None
    words = replace(seven.language, layers=LAYERS, vocab_size=4000)
    few = replace(seven, language=words, vision=replace(seven.vision, layers=LAYERS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "SHAPES", {**opening.SHAPES, "few layers": few})
        yield


@pytest.fixture(scope="module")
def seven(tmp_path_factory: pytest.TempPathFactory) -> Estimate:
    """Of a published model, every weight of it learning but the tower's, with rows that differ."""
    return estimate(told_of(tmp_path_factory.mktemp("seven"), dtype="bfloat16"), replace(SEVEN, longest=900))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Estimate:
    """Of few layers and what is told alone; several tests compare with it."""
    return estimate(told_of(tmp_path_factory.mktemp("plain")), FEW)


def test_files_that_are_not_here_are_told_of(tmp_path: Path, seven: Estimate, plain: Estimate) -> None:
    found = seven
    sizes = {part.name: part for part in found.parts}
    assert sizes["language"].learning == sizes["language"].weights == pytest.approx(6.74e9, rel=0.01)
    assert sizes["vision"].learning == 0 and found.rehearsal.weights == 4 * sum(part.weights for part in found.parts)
    assert (found.rows, found.steps, found.looked_at, found.length, found.longest) == (1000, 250, 0, 700, 900)
    assert (found.tokens, found.images) == (700_000, 1000)
    longer = estimate(told_of(tmp_path), replace(FEW, longest=900))
    assert longer.rehearsal.activations > plain.rehearsal.activations and longer.operations == plain.operations
    assert "as you say; none was read" in describe(found, Machine(1e14))


def needed(found: Rehearsal) -> int:
    """Activations without what the allocator holds between them."""
    return found.activations - found.gaps


def test_what_changes_memory_is_seen(tmp_path: Path, plain: Estimate) -> None:
    """Of the same weights."""
    lora = {"lora": {"language": LoraShape(rank=64, alpha=64)}}
    adapted = estimate(told_of(tmp_path, **lora), FEW)
    assert adapted.rehearsal.gradients < 0.05 * plain.rehearsal.gradients < adapted.rehearsal.weights
    assert 0.5 < adapted.operations / plain.operations < 0.75, "no gradients of the weights below"
    weights = next(part.weights for part in plain.parts if part.name == "language")
    integers = estimate(told_of(tmp_path, **lora, quantize={"language": Integers(bits=4)}), FEW)
    assert integers.rehearsal.weights < 0.3 * adapted.rehearsal.weights
    assert integers.operations == pytest.approx(adapted.operations)
    assert integers.loading > integers.rehearsal.weights + 2 * weights, "the files that it is made from"
    for change in ({"micro": 1}, {"recompute": {"language": LAYERS}}, {"dtype": "bfloat16"}):
        less = estimate(told_of(tmp_path, **change), FEW)
        assert needed(less.rehearsal) < needed(plain.rehearsal), change
        assert less.operations == pytest.approx(plain.operations)
    averaged = estimate(told_of(tmp_path, average=0.9), FEW).rehearsal
    assert averaged.moments == pytest.approx(1.5 * plain.rehearsal.moments, rel=0.01)
    mosaics = estimate(told_of(tmp_path, pictures="anyres"), replace(FEW, tokens=4000))
    assert mosaics.rehearsal.batch > 4 * plain.rehearsal.batch


def test_several_processes_share_the_work(tmp_path: Path, plain: Estimate) -> None:
    one, four = plain, estimate(told_of(tmp_path), FEW, 4)
    assert four.operations == pytest.approx(one.operations) and four.tokens == one.tokens and four.steps == one.steps
    assert four.rehearsal.activations < one.rehearsal.activations
    assert four.sums == four.rehearsal.gradients and one.sums == 0
    with pytest.raises(UsageError, match="3 processes cannot share a batch of 4 rows"):
        estimate(told_of(tmp_path), FEW, 3)


def test_features_that_are_kept_are_made_once(tmp_path: Path) -> None:
    often, once = (
        estimate(told_of(tmp_path, parts={"connector": 1e-3}, epochs=3, keep_features=keep), FEW)
        for keep in (False, True)
    )
    weights = next(part.weights for part in once.parts if part.name == "vision")
    tower = 2 * 577 * weights * 1000  # of one epoch, forward alone, without attention
    assert often.operations - once.operations == pytest.approx(2 * tower, rel=0.1)
    assert not (tmp_path / "features").exists()


def test_models_that_are_joined(tmp_path: Path) -> None:
    """From their configs; of one that is not here both names are said."""
    made, read = tiny.model(newline=False), tiny.processor()
    save_checkpoint(made, read, tmp_path / "words")
    join = Join(language=str(tmp_path / "words"), vision="nobody/tower")
    with pytest.raises(ModelError, match="nobody/tower, which is not on this disk") as error:
        estimate(recipe(tmp_path / "run", start=Start(join=join), parts={"connector": 1e-3}))
    assert error.value.hint is not None and "--shape llava-1.5-7b|" in error.value.hint


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (Told("llava-9"), "unknown shape 'llava-9'"),
        (Told("llava-1.5-7b"), r"learns from not here\.json, which is not on this disk"),
        (Told("llava-1.5-7b", rows=9), "needs its number of rows and their tokens"),
        (Told("llava-1.5-7b", rows=3, tokens=700), "told are 3 rows"),
        (Told("llava-1.5-7b", rows=9, tokens=700, longest=600), "at most 600"),
        (Told("llava-1.5-7b", rows=9, tokens=576), "no room for words: its 1 pictures have 576"),
    ],
)
def test_what_is_told_must_make_sense(tmp_path: Path, told: Told, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        estimate(told_of(tmp_path), told)


def test_scenes_are_not_told_of(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="this recipe's are scenes"):
        estimate(recipe(tmp_path), Told(rows=8, tokens=50))


def test_known_devices(tmp_path: Path, seven: Estimate) -> None:
    found, how = seven, told_of(tmp_path)
    slow = make_machine(how, "h100", None, None, None)
    fast = make_machine(how.model_copy(update={"dtype": "bfloat16"}), "h100", None, None, None)
    assert fast.peak > 10 * slow.peak and fast.memory == 80 << 30
    assert "of h100: too little" in describe(found, fast) and "gaps" not in describe(found, fast)
    assert fast.needed(found) < Machine(1e12).needed(found) == found.peak
    with pytest.raises(UsageError, match="unknown device 'abacus'"):
        make_machine(how, "abacus", None, None, None)


def test_attention_that_is_taught_counts(tmp_path: Path) -> None:
    alone = estimate(recipe(tmp_path)).rehearsal
    taught = estimate(recipe(tmp_path, grounding=GroundingData(layers=(0, 1)))).rehearsal
    assert taught.activations > alone.activations


def test_batches_that_wait_count(tmp_path: Path) -> None:
    world = WorldData(task="caption", scenes=4 * 60, sizes=(96,))
    none, one, two = (estimate(recipe(tmp_path, world=world, workers=workers)).waiting for workers in (0, 1, 2))
    assert two > one > none > 0


def test_time_and_cost(tmp_path: Path) -> None:
    found = replace(estimate(recipe(tmp_path)), operations=3.6e15)
    machine = Machine(1e12, 0.5, 3.0)
    assert machine.seconds(found) == 7200.0 and machine.cost(found) == 6.0
    assert machine.seconds(replace(found, processes=4)) == 1800.0
    assert Machine(1e12).cost(found) is None


def test_in_words_and_for_programs(tmp_path: Path) -> None:
    found, machine = estimate(recipe(tmp_path)), Machine(2e9, 0.5, 2.5)
    said = describe(found, machine)
    for words in (
        "vision",
        "language",
        "all",
        "steps      2 of 4 rows",
        "memory     ",
        "  weights  ",
        "50% of 2 GFLOP/s",
        "at 2.50 an hour",
    ):
        assert words in said, words
    values = json.loads(json.dumps(summary(found, machine)))
    assert values["peak"] == found.peak and values["seconds"] == machine.seconds(found)
    assert "cost" not in describe(found, Machine(2e9))


@pytest.mark.parametrize("what", ["too few rows", "no folder", "no such part"])
def test_what_cannot_be_trained_cannot_be_estimated(tmp_path: Path, what: str) -> None:
    how = recipe(tmp_path)
    if what == "too few rows":
        with pytest.raises(UsageError, match="a batch of 9 rows needs more data than the 8 rows"):
            estimate(how.model_copy(update={"batch": 9}))
    elif what == "no folder":
        with pytest.raises(ModelError):
            estimate(how.model_copy(update={"start": Start(folder=tmp_path / "nothing")}))
    else:
        world = WorldData(task="patches", scenes=8, sizes=(96,))
        with pytest.raises(UsageError, match=r"parts\.connector should learn"):
            estimate(how.model_copy(update={"world": world}))
