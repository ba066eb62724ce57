"""Teach the bundled model something of one's own: a hundred pictures, LoRA, and what it knows before and after.

    python benchmarks/finetune.py [--folder runs/own] [--pictures 100] [--held-out 240] [--set batch=5]

A shop keeps its things by a rule of its own: what a thing is decides the corner, its colour the number. So a picture of
one thing and the question where to put it have one right answer of forty, which nobody could guess. It is made of words
that the model knows: with a frozen head, LoRA teaches a new use of words, not new words (docs/training.md). An answer
first says what is seen, so that the rule is about words and not about pixels: "A red cup. MUSIC, number 1."
Pictures and questions are written as LLaVA's JSON, ``pumice train recipes/tiny-lora.toml`` learns from a part of them
and from some ordinary ones, and others, with pictures of another sequence, are asked before and after. So are ordinary
questions: does the model forget what it knew? An answer is right if it is the same letter by letter. The last line is
one JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path

from accuracy import answer_with
from PIL import Image

from pumice.engine.engine import BUNDLED, Engine
from pumice.world.benchmark import held_out_questions, run_benchmark, wilson
from pumice.world.draw import draw_scene
from pumice.world.records import write_llava_json
from pumice.world.scene import Item, Scene, Split, make_scene
from pumice.world.vocabulary import COLOURS, OBJECTS, SHAPES
from pumice.world.wording import listed

ROOT = Path(__file__).parent.parent
RECIPE = ROOT / "recipes" / "tiny-lora.toml"
FIRST = 900_000  # scenes from here on have taught the bundled model nothing
SIDE = 224
WEIGHT = 10  # passes over one's own pictures for each over the ordinary ones
QUESTIONS = ("Where do we put this?", "Where should this thing be in the shop?", "What is the place of this?")
CORNERS = ("BOOKS", "FOOD", "GIFT", "MUSIC", "SALE")


@dataclass(frozen=True)
class Own:
    """One picture of the shop's, with a question and its answer. thing: name and colour."""

    file: str
    question: str
    answer: str
    thing: tuple[str, str]


def place(thing: Item) -> str:
    """The rule: five corners are dealt out to twenty things without any sense, and colours have numbers."""
    names = [*SHAPES, *OBJECTS]
    random.Random("corners").shuffle(names)
    return f"{CORNERS[names.index(thing.name) % len(CORNERS)]}, number {[*COLOURS].index(thing.colour) + 1}."


def things(split: Split) -> Iterator[Scene]:
    """Scenes of one thing that has a place, each kind of thing as often as the others."""
    kinds = len(SHAPES) + len(OBJECTS)
    found: Counter[str] = Counter()
    for index in count(FIRST):
        scene = make_scene(split, index)
        for item in scene.items:
            if item.kind in ("shape", "object") and found[item.name] <= found.total() // kinds:
                found[item.name] += 1
                yield replace(scene, items=(item,))
                break


def write(folder: Path, split: Split, many: int) -> list[Own]:
    """Draw ``many`` pictures and write them with their records, ``folder/SPLIT.json``."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    made = []
    for number, scene in enumerate(islice(things(split), many)):
        (item,) = scene.items
        file = f"{split}_{number:03d}.png"
        draw_scene(scene, SIDE).save(folder / "images" / file)
        question = QUESTIONS[number % len(QUESTIONS)]
        made.append(Own(file, question, f"{listed([item])} {place(item)}", (item.name, item.colour)))
    records = [
        {
            "id": Path(own.file).stem,
            "image": own.file,
            "conversations": [
                {"from": "human", "value": f"<image>\n{own.question}"},
                {"from": "gpt", "value": own.answer},
            ],
        }
        for own in made
    ]
    (folder / f"{split}.json").write_text(json.dumps(records, indent=1), encoding="utf-8")
    return made


def ask(model: Path, folder: Path, asked: Sequence[Own], taught: Sequence[Own], per_kind: int) -> dict[str, object]:
    """How many of its answers are right: of one's own questions, and of ordinary ones."""
    engine = Engine.load(model, device="cpu", dtype="float32")
    pictures = [Image.open(folder / "images" / own.file).convert("RGB") for own in asked]
    answers = list(answer_with(engine, [(one, own.question) for one, own in zip(pictures, asked, strict=True)]))
    right = [answer == own.answer for answer, own in zip(answers, asked, strict=True)]
    known = {own.thing for own in taught}
    new = [each for each, own in zip(right, asked, strict=True) if own.thing not in known]
    report = run_benchmark(held_out_questions(per_kind), lambda some: answer_with(engine, some), side=SIDE)
    print(f"  {asked[0].file}: {asked[0].question} {answers[0]!r}, right is {asked[0].answer!r}")
    print("\n".join(f"  {line}" for line in report.table().splitlines()))
    ordinary = report.overall
    return {
        "own": share(sum(right), len(right)),
        "own_never_shown_in_that_colour": share(sum(new), len(new)),
        "ordinary": share(ordinary.correct, ordinary.total),
    }


def share(right: int, asked: int) -> list[float]:
    """Right, asked, and the ends of the 95 % interval."""
    return [right, asked, *(round(end, 4) for end in wilson(right, asked))]


def teach(folder: Path, ordinary: Path | None, overrides: Sequence[str]) -> tuple[Path, float, list[dict[str, float]]]:
    """Run the command; the folder that it wrote, the seconds that it took, and its log."""
    own = table(records=str(folder / "train.json"), images=str(folder / "images"), weight=WEIGHT)
    others = [] if ordinary is None else [table(records=str(ordinary), images=str(ordinary.parent / "images"))]
    values = [f"files=[{', '.join([own, *others])}]", f"start.folder={BUNDLED}", f"output={folder / 'run'}", *overrides]
    command = [sys.executable, "-m", "pumice", "train", str(RECIPE)]
    for value in values:
        command += ["--set", value]
    started = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    seconds = time.monotonic() - started
    log = [json.loads(line) for line in (folder / "run" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return Path(done.stdout.strip()), seconds, log


def table(**values: str | int) -> str:
    """A table in TOML's notation; its strings are written as JSON's."""
    return "{" + ", ".join(f"{name} = {json.dumps(value)}" for name, value in values.items()) + "}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/own"), help="data and adapter; a new or empty one")
    parser.add_argument("--pictures", type=int, default=100)
    parser.add_argument("--ordinary", type=int, default=300, help="ordinary pictures that are learned as well")
    parser.add_argument("--held-out", type=int, default=240)
    parser.add_argument("--per-kind", type=int, default=40, help="ordinary questions of each of eight kinds")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="changes the recipe")
    options = parser.parse_args()
    folder = options.folder.absolute()
    if (folder / "run").exists():
        parser.error(f"{folder} holds an earlier run; name another folder, or remove it")
    taught = write(folder, "train", options.pictures)
    asked = write(folder, "held_out", options.held_out)
    print("before")
    before = ask(BUNDLED, folder, asked, taught, options.per_kind)
    others = None
    if options.ordinary:
        others = write_llava_json(folder / "ordinary", "train", 2 * FIRST, options.ordinary, side=SIDE)
    model, seconds, log = teach(folder, others, options.set)
    print(f"after {seconds:.0f} s")
    after = ask(model, folder, asked, taught, options.per_kind)
    figures = {
        "pictures": len(taught),
        "ordinary_pictures": options.ordinary,
        "train_s": round(seconds, 1),
        "first_loss": log[0]["loss"],
        "last_loss": log[-1]["loss"],
        "adapter_bytes": (model / "adapter_model.safetensors").stat().st_size,
        "before": before,
        "after": after,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
