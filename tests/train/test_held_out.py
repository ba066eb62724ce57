"""Held-out data: asked from time to time, and nothing that is learned changes by it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

import tiny
from pumice.checkpoint.load import load_checkpoint
from pumice.data.batch import collate
from pumice.errors import UsageError
from pumice.prompts.conversation import Conversation, Image
from pumice.train.average import averaged, keep_average
from pumice.train.held_out import Best, Examiner, Keeper, answer, make_sample, read_best
from pumice.train.loop import run_steps
from pumice.train.ranks import ALONE
from pumice.train.recipe import FileData, HeldOut, Recipe, Start, WorldData
from pumice.train.recipe_file import read_recipe
from pumice.train.rows import WorldRows
from pumice.train.run import train
from pumice.train.step import InstructionTuning, take_step
from pumice.train.watch import UNWATCHED, Watch
from pumice.train.watchers import held_out_data
from pumice.world.records import write_llava_json
from train import small
from train.test_ranks import RECIPE
from train.test_run import LANGUAGE, VISION
from train.warm import Nursery


@pytest.fixture(autouse=True)
def few_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tokenizer learned from few scenes takes no time."""
    monkeypatch.setattr("pumice.train.run.CORPUS_SCENES", 20)


HELD = small.rows(16)[10:]


def watched(task: InstructionTuning, folder: Path, every: int = 1) -> Watch:
    """Examined with six rows that are not trained on, and three samples."""
    read = tiny.processor()
    samples = [make_sample(tiny.question("Sky?", seed).then_answer("Red."), read) for seed in (50, 51, 52)]
    examiner = Examiner(task, small.Rows(HELD), 2, ALONE, samples, lambda s: answer(task.model, read.tokenizer, s, 4))
    return Watch(examiner=examiner, keeper=Keeper(folder, lambda: _keep(task, folder)), every=every)


def _keep(task: InstructionTuning, folder: Path) -> None:
    torch.save(task.state_dict(), folder / "kept.pt")


def run_watched(how: Recipe, source: small.Rows, every: int = 1) -> Iterator[str]:
    task, optimizer = small.prepared(how)
    task.train()
    yield from run_steps(task, optimizer, source, how, watch=watched(task, how.output, every))
    assert all(module.training for module in task.modules()), "modes are as they were"


def checks(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{**line, "held_out_s": 0} for line in lines if "held_out_loss" in line]


@pytest.mark.parametrize("every", [1, 3])
def test_nothing_that_is_learned_changes(tmp_path: Path, every: int) -> None:
    source = small.Rows(small.rows(8))
    list(run_watched(small.recipe(tmp_path / "asked", epochs=2), source, every))
    small.run(small.recipe(tmp_path / "alone", epochs=2), source)
    small.assert_same(small.state_of(tmp_path / "asked"), small.state_of(tmp_path / "alone"))
    steps = [line["step"] for line in checks(tmp_path / "asked")]
    assert steps == [step for step in range(1, 9) if step % every == 0 or step == 8]


@pytest.mark.parametrize("batch", [1, 2, 4, 6])
def test_the_loss_is_that_of_all_tokens(batch: int) -> None:
    """However rows are put together: the sum over supervised tokens by their number."""
    task = InstructionTuning(tiny.model())
    total, right, count = 0.0, 0, 0
    for row in HELD:
        one = collate([row])
        features = task.model.features(one.tiles, one.grids) if one.tiles else None
        hidden = task.model(one.ids, features)
        logits = task.model.language.logits(hidden.flatten(0, 1)[one.sources])
        total += float(F.cross_entropy(logits, one.targets, reduction="sum"))
        right += int((logits.argmax(-1) == one.targets).sum())
        count += len(one.targets)
    found = Examiner(task, small.Rows(HELD), batch, ALONE).ask()
    assert found.loss == pytest.approx(total / count, rel=1e-5)
    assert (found.accuracy, found.predictions) == (right / count, count)
    assert found.answers == ()


def test_the_best_model_is_kept(tmp_path: Path) -> None:
    """At a rate at which it gets worse again: what is on disk is the model after the step with the lowest loss."""
    how = small.recipe(
        tmp_path, epochs=6, warmup=0.0, final_rate=1.0, parts={"vision": 0.1, "connector": 0.1, "language": 0.1}
    )
    kept: dict[int, dict[str, torch.Tensor]] = {}
    task, optimizer = small.prepared(how)
    for line in run_steps(task, optimizer, small.Rows(small.rows(4)), how, watch=watched(task, tmp_path)):
        kept[json.loads(line)["step"]] = {name: each.clone() for name, each in task.state_dict().items()}
    found = checks(tmp_path)
    losses = [line["held_out_loss"] for line in found]
    best = read_best(tmp_path)
    assert best is not None and best.step < len(losses), "the last is not the best, or this shows nothing"
    assert round(best.loss, 4) == min(losses) == losses[best.step - 1]
    assert [line["best"] for line in found] == [loss == min(losses[: at + 1]) for at, loss in enumerate(losses)]
    stored = torch.load(tmp_path / "kept.pt", weights_only=True)
    assert all(torch.equal(stored[name], tensor) for name, tensor in kept[best.step].items())


@pytest.mark.parametrize("stop", [1, 3, 6])
def test_a_continued_run_knows_its_best(tmp_path: Path, stop: int) -> None:
    source = small.Rows(small.rows(8))
    rates = {"vision": 3e-2, "connector": 3e-2, "language": 3e-2}
    how = small.recipe(tmp_path / "parts", epochs=2, save_every=1, parts=rates)
    lines = run_watched(how, source)
    while json.loads(next(lines))["step"] < stop:
        pass
    lines.close()
    list(run_watched(how, source))
    list(run_watched(small.recipe(tmp_path / "whole", epochs=2, parts=rates), source))
    assert checks(tmp_path / "parts") == checks(tmp_path / "whole")
    assert read_best(tmp_path / "parts") == read_best(tmp_path / "whole")
    assert (tmp_path / "parts" / "kept.pt").read_bytes() == (tmp_path / "whole" / "kept.pt").read_bytes()


class _Killer:
    """A tracker in whose hands the process dies."""

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        if step == 3 and "held_out_loss" in figures:
            raise KeyboardInterrupt

    def close(self) -> None: ...


def test_killed_between_a_check_and_its_state(tmp_path: Path) -> None:
    """The continuation asks again and comes to the same."""
    source = small.Rows(small.rows(8))
    how = small.recipe(tmp_path / "parts", save_every=1)
    task, optimizer = small.prepared(how)
    with pytest.raises(KeyboardInterrupt):
        list(run_steps(task, optimizer, source, how, watch=replace(watched(task, how.output), trackers=(_Killer(),))))
    assert small.state_of(how.output)["step"] == 2
    list(run_watched(how, source))
    list(run_watched(small.recipe(tmp_path / "whole"), source))
    again = checks(tmp_path / "parts")
    assert [line["step"] for line in again] == [1, 2, 3, 3, 4] and again[2] == again[3]
    assert again[:2] + again[3:] == checks(tmp_path / "whole")


def test_a_run_that_begins_anew_forgets_the_best(tmp_path: Path) -> None:
    saved: list[int] = []
    keeper = Keeper(tmp_path, lambda: saved.append(1))
    (tmp_path / "best.json").write_text(json.dumps({"step": 5, "loss": 0.1, "accuracy": 1.0}))
    keeper.begin(done=5)
    assert keeper.best == Best(5, 0.1, 1.0)
    keeper.begin(done=0)
    assert keeper.best is None and read_best(tmp_path) is None and not saved


@pytest.mark.parametrize(
    ("template", "seeds"),
    [("vicuna_v1", ()), ("vicuna_v1", (1,)), ("vicuna_v1", (1, 2)), ("llava_llama_2", (1,)), ("plain", (1,))],
)
def test_answers_are_greedy(template: str, seeds: tuple[int, ...]) -> None:
    """With a cache as without: word for word what the model says when it reads all again for every token."""
    made, read = tiny.model(3), tiny.processor(template)
    asked = tiny.question("Sky?", *seeds)
    sample = make_sample(asked.then_answer("Red.").then_ask("And the sea?").then_answer("Blue."), read)
    assert (sample.question, sample.expected) == ("Sky?", "Red.")
    prompt = replace(sample.inputs, ids=sample.inputs.ids[: sample.prompt])
    if template != "plain":  # there a training sample has no question
        assert prompt.ids == read(asked).ids
    said = tiny.greedy(made, prompt, 7, stop=(read.tokenizer.eos_id,))
    assert answer(made, read.tokenizer, sample, 7) == read.tokenizer.decode(said).strip()


def test_answers_end_where_the_model_ends_them() -> None:
    read = tiny.processor()
    sample = make_sample(tiny.question("Sky?", 1).then_answer("Red."), read)
    task, optimizer = small.prepared(small.recipe(Path("unused"), parts=dict.fromkeys(("connector", "language"), 1e-2)))
    batch = collate([small.pack([sample.inputs])])
    for _ in range(30):
        take_step(task, optimizer, [batch], 1.0, 1.0)
    assert answer(task.model, read.tokenizer, sample, 20) == "Red."


def world_recipe(folder: Path, task: str, **changes: Any) -> Recipe:
    values: dict[str, Any] = {
        "output": folder,
        "start": Start(vision=VISION, language=LANGUAGE),
        "template": "plain" if task != "instruct" else "vicuna_v1",
        "parts": {"vision": 1e-3} if task == "patches" else {"vision": 1e-3, "connector": 1e-3, "language": 1e-3},
        "world": WorldData(task=task, scenes=12, questions=3, sizes=(96,)),  # type: ignore[arg-type]
        "held_out": HeldOut(every=2, rows=6, samples=3, tokens=5),
        "batch": 4,
        "log_every": 1,
        "workers": 0,
    }
    return Recipe(**{**values, **changes})


@pytest.mark.parametrize("task", ["caption", "instruct"])
def test_a_recipe_about_scenes(tmp_path: Path, task: str) -> None:
    how = world_recipe(tmp_path, task)
    train(how, lambda _: None)
    found, best = checks(tmp_path), read_best(tmp_path)
    assert [line["step"] for line in found] == [2, 3] and best is not None
    assert all(len(line["answers"]) == 3 and 0 <= line["held_out_accuracy"] <= 1 for line in found)
    kept = load_checkpoint(tmp_path / "best")
    source, asked = held_out_data(how, kept.processor)
    assert len(source) == 6 and len(asked) == 3
    again = Examiner(InstructionTuning(kept.model), source, 4, ALONE).ask()
    assert again.loss == pytest.approx(best.loss, rel=1e-5) and again.accuracy == best.accuracy


def test_the_average_is_what_is_checked_and_kept(tmp_path: Path) -> None:
    """The best model on disk is the average of its step; what is learned is as without checks, bit for bit."""
    checked = world_recipe(tmp_path / "checked", "caption", average=0.8, epochs=2, save_every=1)
    train(checked, lambda _: None)
    alone = checked.model_copy(update={"output": tmp_path / "alone", "held_out": None})
    train(alone, lambda _: None)
    small.assert_same(small.state_of(tmp_path / "checked"), small.state_of(tmp_path / "alone"))
    best = read_best(tmp_path / "checked")
    assert best is not None and best.step == checks(tmp_path / "checked")[-1]["step"], "or the final model is another"
    kept, final = (load_checkpoint(tmp_path / "checked" / name) for name in ("best", "model"))
    weights = dict(kept.model.named_parameters())
    learned = small.state_of(tmp_path / "checked")["tensors"]
    assert all(torch.equal(weights[name], each) for name, each in final.model.named_parameters())
    prefix = "weight:model."
    learned = {name.removeprefix(prefix): each for name, each in learned.items() if name.startswith(prefix)}
    assert any(not torch.equal(weights[name], each) for name, each in learned.items())
    source, _ = held_out_data(checked, kept.processor)
    again = Examiner(InstructionTuning(kept.model), source, 4, ALONE).ask()
    assert again.loss == pytest.approx(best.loss, rel=1e-5)


@pytest.mark.parametrize("stop", [1, 2])
def test_a_continued_run_checks_the_same_averages(tmp_path: Path, stop: int) -> None:
    source = small.Rows(small.rows(8))
    how = small.recipe(tmp_path / "parts", save_every=1, average=0.7)

    def lines(recipe: Recipe) -> Iterator[str]:
        task, optimizer = small.prepared(recipe)
        keep_average(optimizer, recipe.average)
        watch = replace(watched(task, recipe.output), checked=partial(averaged, optimizer))
        return run_steps(task, optimizer, source, recipe, watch=watch)

    begun = lines(how)
    while json.loads(next(begun))["step"] < stop:
        pass
    begun.close()
    list(lines(how))
    list(lines(how.model_copy(update={"output": tmp_path / "whole"})))
    small.assert_same(small.state_of(tmp_path / "parts"), small.state_of(tmp_path / "whole"))
    assert checks(tmp_path / "parts") == checks(tmp_path / "whole")
    assert (tmp_path / "parts" / "kept.pt").read_bytes() == (tmp_path / "whole" / "kept.pt").read_bytes()


@pytest.mark.parametrize("pack", [0, 300])
def test_rows_that_do_not_fit_are_left_out(pack: int) -> None:
    task = InstructionTuning(tiny.model())
    whole = Examiner(task, small.Rows(HELD[1:3]), 2, ALONE).ask()
    found = Examiner(task, small.Rows([None, *HELD[1:3], None]), 2, ALONE, pack=pack).ask()  # type: ignore[list-item]
    assert found.loss == pytest.approx(whole.loss, rel=1e-5) and found.predictions == whole.predictions
    with pytest.raises(UsageError, match="none of the 2 held-out rows fits"):
        Examiner(task, small.Rows([None, None]), 2, ALONE)  # type: ignore[list-item]


def test_a_recipe_about_patches(tmp_path: Path) -> None:
    train(world_recipe(tmp_path, "patches"), lambda _: None)
    assert [line["step"] for line in checks(tmp_path)] == [2, 3]
    assert (tmp_path / "best.safetensors").is_file() and (tmp_path / "tower.safetensors").is_file()


def test_records_of_their_own(tmp_path: Path) -> None:
    """Files are held out as files; one record that is in both is found."""
    mine = write_llava_json(tmp_path / "mine", "train", 0, 6, side=96)
    other = write_llava_json(tmp_path / "other", "held_out", 0, 5, side=96)
    how = world_recipe(
        tmp_path / "run",
        "instruct",
        world=None,
        files=FileData(records=mine, images=mine.parent / "images"),
        held_out=HeldOut(every=1, rows=3, samples=9, records=other, images=other.parent / "images", tokens=3),
    )
    train(how, lambda _: None)
    assert [len(line["answers"]) for line in checks(tmp_path / "run")] == [3]

    records = json.loads(mine.read_text())[4:]
    leak = tmp_path / "leak.json"
    leak.write_text(json.dumps(records))
    held = how.held_out.model_copy(update={"records": leak, "images": mine.parent / "images"})  # type: ignore[union-attr]
    with pytest.raises(
        UsageError, match=r"leak\.json:1 \(record 1\) is held out, but also trained on: .*\(record 5\)"
    ) as error:
        train(how.model_copy(update={"held_out": held, "output": tmp_path / "new"}), lambda _: None)
    assert error.value.hint


def test_held_out_scenes_are_others() -> None:
    """Also where the numbers are the same."""
    read = tiny.processor()
    how = world_recipe(Path("unused"), "instruct", held_out=HeldOut(first=0, rows=4))
    source, asked = held_out_data(how, read)
    assert how.world is not None
    learned = WorldRows(how.world, read, how.world.sizes)
    assert all(source[index].ids != learned[index].ids for index in range(4))
    assert all(isinstance(next(each.images()), Image) and isinstance(each, Conversation) for each in asked)


FILES = '[files]\nrecords = "r.json"\nimages = "i"\n'
WORLD = '[world]\ntask = "{task}"\nscenes = 10\n'
HEAD = 'output = "o"\ntemplate = "plain"\n[start]\nfolder = "m"\n[parts]\nvision = 1e-3\n'


@pytest.mark.parametrize(
    ("data", "held", "message"),
    [
        (FILES, "", "held_out needs records and images"),
        (FILES, 'records = "x"', "belong together"),
        (FILES, 'records = "./r.json"\nimages = "i"', "is the file that training learns from"),
        (WORLD.format(task="caption"), 'images = "i"', "belong together"),
        (WORLD.format(task="patches"), 'records = "x"\nimages = "i"', "patches are only known of scenes"),
        (WORLD.format(task="patches"), "first = 9", "training sees scenes of held_out"),
        (WORLD.format(task="caption"), "evry = 9", "did you mean 'every'"),
        (WORLD.format(task="caption"), "every = 0", "held_out.every"),
    ],
)
def test_contradictions(tmp_path: Path, data: str, held: str, message: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(f"{HEAD}{data}[held_out]\n{held}\n")
    with pytest.raises(UsageError, match=message):
        read_recipe(path)


def test_scenes_beside_those_of_training_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(f"{HEAD}{WORLD.format(task='patches')}[held_out]\nfirst = 10\n")
    held = read_recipe(path).held_out
    assert held is not None and (held.first, held.every) == (10, 100)


@pytest.mark.slow
def test_two_processes_share_the_rows(tmp_path: Path, warm: Nursery) -> None:
    recipe = tmp_path / "recipe.toml"
    folder = tmp_path / "run"
    recipe.write_text(RECIPE.format(folder=folder) + "[held_out]\nevery = 3\nrows = 5\nsamples = 1\ntokens = 2\n")
    warm.run("-m", "pumice", "train", str(recipe), processes=2)
    (line,) = checks(folder)
    kept = load_checkpoint(folder / "best")
    source, _ = held_out_data(read_recipe(recipe), kept.processor)
    alone = Examiner(InstructionTuning(kept.model), source, 5, ALONE).ask()
    assert line["held_out_loss"] == pytest.approx(alone.loss, abs=1e-4) and len(line["answers"]) == 1


def test_nobody_watches_by_default() -> None:
    assert UNWATCHED.ask(1, 1) is None and UNWATCHED.figures() == {} and UNWATCHED.samples == ()
