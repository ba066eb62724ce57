"""How well verification tells false sentences from true ones, and what it says about real answers of GPT-4.

    python benchmarks/verification.py [--data ../shared/data/coco] [--world 150] [--each 4] [--wordings known]

Sentences are planted into true answers: GPT-4's where there are any, else those of the offline teacher; and words of
true answers are changed where they stand. A plant is caught if its sample is refused strictly. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from verification_edits import edited
from verification_planting import Planted, planted
from verification_wordings import SETS, wordings

from pumice.annotations.scene import Scene
from pumice.annotations.sources.table import open_source
from pumice.datagen.rules.write import write
from pumice.datagen.samples import KINDS, Exchange
from pumice.datagen.verification.claims import refused
from pumice.datagen.verification.verify import verify
from pumice.world.benchmark import wilson

Row = tuple[str, Scene, Planted, tuple[Exchange, ...]]


def scenes(data: Path, world: int) -> dict[str, list[Scene]]:
    """By source; none that has nothing to speak of."""
    return {
        "caps_boxes": list(open_source("caps-boxes", [data / "caps_boxes_coco2014_val_80.jsonl"])),
        "coco": list(open_source("coco", [data / "captions_val2017.json", data / "instances_val2017.json"])),
        "world": list(open_source("world", numbers=range(world), split="held_out")),
    }


def gpt4(data: Path) -> dict[str, list[tuple[str, Exchange]]]:
    """The real answers by picture, each with its kind."""
    found: dict[str, list[tuple[str, Exchange]]] = defaultdict(list)
    for line in (data / "coco2014_val_gpt4_qa_30x3.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        found[row["id"]].append((row["type"], Exchange(row["instruction"], row["output"])))
    return found


def bases(scene: Scene, real: dict[str, list[tuple[str, Exchange]]]) -> list[Exchange]:
    """True answers about the scene: real ones that are not flagged, else a description by the offline teacher."""
    found = [exchange for _, exchange in real.get(scene.id, ()) if refused(verify(scene, [exchange])) is None]
    if not found:
        draft = write(scene, "detail", seed=0) or write(scene, "conversation", seed=0)
        found = list(draft.exchanges[:1]) if draft is not None else []
    return found


def with_plant(base: Exchange, plant: Planted, rng: random.Random) -> tuple[Exchange, ...]:
    """The answer with the sentence somewhere between its own, or with the question and its answer behind."""
    if plant.question:
        return (base, Exchange(plant.question, plant.text))
    parts = re.split(r"(?<=[.!?])\s+", base.answer)
    at = rng.randint(0, len(parts))
    return (Exchange(base.question, " ".join([*parts[:at], plant.text, *parts[at:]])),)


def rows(known: dict[str, list[Scene]], data: Path, each: int, name: str) -> Iterator[Row]:
    """Every plant in its sample."""
    real = gpt4(data)
    words = wordings(name)
    for source, listed in known.items():
        for scene in listed:
            rng = random.Random(f"{name}:{scene.id}")
            answers = bases(scene, real)
            for plant in planted(scene, words, rng, each) if answers else ():
                yield source, scene, plant, with_plant(rng.choice(answers), plant, rng)
            for plant, exchange in edited(scene, answers, rng):
                yield source, scene, plant, (exchange,)


def share(found: Sequence[bool]) -> dict[str, object]:
    """How many, of how many, and Wilson's interval at 95 %."""
    low, high = wilson(sum(found), len(found)) if found else (0.0, 1.0)
    return {
        "found": sum(found),
        "of": len(found),
        "share": round(sum(found) / max(len(found), 1), 4),
        "interval": [round(low, 4), round(high, 4)],
    }


def plants(known: dict[str, list[Scene]], args: argparse.Namespace) -> dict[str, object]:
    """Caught false ones and alarmed true ones, by kind and by source."""
    caught: dict[str, list[bool]] = defaultdict(list)
    alarms: list[bool] = []
    for source, scene, plant, exchanges in rows(known, args.data, args.each, args.wordings):
        rejection = refused(verify(scene, exchanges))
        if plant.false:
            for key in (plant.kind, f"source {source}", f"way {plant.way}", "all"):
                caught[key].append(rejection is not None)
        else:
            alarms.append(rejection is not None)
        if args.show and (rejection is None) == plant.false:
            said = f"{plant.question} {plant.text}".strip()
            print(
                "missed" if plant.false else "ALARM", plant.way, plant.kind, scene.id, "|", said, "|", rejection or ""
            )
    return {"caught": {key: share(found) for key, found in sorted(caught.items())}, "false alarms": share(alarms)}


def teacher(known: dict[str, list[Scene]]) -> dict[str, object]:
    """The offline teacher's samples of all kinds that verification refuses, and how fast it is."""
    found: dict[str, list[bool]] = defaultdict(list)
    seconds = 0.0
    for source, listed in known.items():
        for scene in listed:
            for kind in KINDS:
                draft = write(scene, kind, seed=0)
                if draft is not None:
                    began = time.process_time()
                    rejection = refused(verify(scene, draft.exchanges))
                    seconds += time.process_time() - began
                    found[source].append(rejection is not None)
                    if rejection is not None:
                        print("offline teacher refused:", scene.id, kind, rejection.detail)
    total = sum(len(each) for each in found.values())
    speed = round(total / max(seconds, 1e-9))
    return {"refused": {key: share(each) for key, each in found.items()}, "samples a CPU second": speed}


def captions(known: dict[str, list[Scene]]) -> dict[str, object]:
    """What people wrote, each caption against the boxes and the others."""
    found = []
    for scene in (*known["caps_boxes"], *known["coco"]):
        for at, text in enumerate(scene.captions):
            others = (*scene.captions[:at], *scene.captions[at + 1 :])
            alone = Scene(scene.id, scene.image, None, None, others, scene.things, closed=scene.closed)
            found.append(refused(verify(alone, [Exchange("", text)])) is not None)
    return share(found)


def real_answers(known: dict[str, list[Scene]], data: Path) -> dict[str, object]:
    """GPT-4's answers that are flagged, each flag with its sentence and what is annotated."""
    by_id = {scene.id: scene for scene in known["caps_boxes"]}
    flags, total, seconds = [], 0, 0.0
    for name, answers in gpt4(data).items():
        for kind, exchange in answers:
            total += 1
            began = time.process_time()
            claims = verify(by_id[name], [exchange])
            seconds += time.process_time() - began
            wrong = [claim for claim in claims if claim.verdict == "contradicted"]
            if wrong:
                flags.append({"id": name, "type": kind, "claims": [[c.kind, c.text, c.reason] for c in wrong]})
    flagged = share([True] * len(flags) + [False] * (total - len(flags)))
    return {"flagged": flagged, "flags": flags, "samples a CPU second": round(total / max(seconds, 1e-9))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/coco"))
    parser.add_argument("--world", type=int, default=150, help="held-out scenes of the synthetic world")
    parser.add_argument("--each", type=int, default=4, help="plants of each kind in a scene")
    parser.add_argument("--wordings", choices=SETS, default=SETS[0])
    parser.add_argument("--show", action="store_true", help="print every plant missed and every false alarm")
    args = parser.parse_args()
    known = scenes(args.data, args.world)
    result = {
        "wordings": args.wordings,
        "plants": plants(known, args),
        "offline teacher": teacher(known),
        "captions flagged": captions(known),
        "gpt-4": real_answers(known, args.data),
    }
    for part, found in result.items():
        print(f"{part}: {json.dumps(found, indent=1)}" if isinstance(found, dict) else f"{part}: {found}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
