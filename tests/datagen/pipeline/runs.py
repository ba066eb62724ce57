"""Runs for tests: small annotations, small prompts, a teacher that answers by rules, and processes that are killed."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from pumice.datagen.folder import PROVENANCE, RECORDS, REJECTIONS, TIMES
from pumice.datagen.generation import Ended, Generation, generate
from pumice.datagen.paying import Paid
from pumice.datagen.plan import Plan, read_rates
from pumice.datagen.prompting import Prompt, PromptSet
from pumice.datagen.samples import Kind
from pumice.datagen.supply import Supply
from pumice.paid.limits import Limits
from pumice.paid.prices import Price, Prices

ALL = "conversation,detail,reasoning,negatives,counting,position,grounding"
#: What two runs with the same arguments have in common to the byte.
EQUAL = (RECORDS, PROVENANCE, REJECTIONS)
PRICE = Price(input=2.5, cached_input=1.25, output=10.0, batch=0.5)
_KINDS: tuple[Kind, ...] = ("conversation", "detail", "reasoning")
PROMPTS = PromptSet({kind: Prompt(f"You write of the kind {kind} about a picture.", ()) for kind in _KINDS}, "of tests")


def annotations(path: Path, number: int) -> Path:
    """LLaVA's table of captions and boxes about ``number`` pictures, each a little different."""
    animals = ("dog", "cat", "horse", "cow", "sheep")
    with path.open("w", encoding="utf-8") as file:
        for which in range(number):
            animal, count = animals[which % 5], 1 + which % 3
            words, verb = (f"{count} {animal}s", "are") if count > 1 else (f"a {animal}", "is")
            boxes = [[0.1 + 0.3 * at, 0.2, 0.3 + 0.3 * at, 0.2 + 0.01 * (which % 60 + 20)] for at in range(count)]
            scene = {
                "id": f"{which:06d}",
                "image": f"{which:06d}.jpg",
                "captions": [f"There {verb} {words} in field number {which}.", f"A bench and {words}."],
                "instances": [{"category": animal, "bbox": box} for box in boxes]
                + [{"category": "bench", "bbox": [0.1, 0.85, 0.9, 0.99]}],
            }
            file.write(json.dumps(scene) + "\n")
    return path


def written(messages: Sequence[Mapping[str, Any]]) -> str:
    """What a teacher replies who reads what it is told: true, different for each picture and kind, and readable."""
    told, kind = str(messages[-1]["content"]), str(messages[0]["content"]).split()[5]
    number = re.findall(r"number (\d+)", told)[0]
    if kind == "detail":
        return f"It is as the sign says: {told.splitlines()[0]} Behind it is a wall, painted {number} times."
    if kind == "reasoning":
        asked, said = "Why might a sign be here?", f"So that everybody knows that this is meadow {number} of the farm."
    else:
        asked, said = "Which field is it?", f"Number {number}."
    return f"Question:\n{asked}\n===\nAnswer:\n{said}\n===\n"


def paid(url: str, **more: Any) -> Paid:
    """A teacher that is quick to try again."""
    limits = Limits(attempts=6, first_wait_s=0.01, longest_wait_s=0.05)
    prices = Prices({"teacher": PRICE}, date(2026, 1, 1))
    usual = Paid(url, "teacher", PROMPTS, {"max_tokens": 300}, "k", limits, None, prices, 20, 5.0, False, 0.01)
    return replace(usual, **more)


def rules(folder: Path, table: Path, kinds: str = ALL, **more: Any) -> Generation:
    """A run of the offline teacher."""
    chosen = {name: more.pop(name) for name in ("seed", "verify", "tries", "distinct") if name in more}
    plan = Plan(read_rates(kinds), **chosen)
    return Generation(folder, Supply("caps-boxes", (table,)), plan, **more)


def contents(folder: Path) -> dict[str, bytes]:
    """The files that must be equal."""
    return {name: (folder / name).read_bytes() for name in EQUAL}


def lines(folder: Path, name: str) -> list[dict[str, Any]]:
    """A file of lines of JSON."""
    return [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()]


def records(folder: Path) -> list[dict[str, Any]]:
    """The records, which must be a list at any time."""
    found: list[dict[str, Any]] = json.loads((folder / RECORDS).read_text(encoding="utf-8"))
    return found


def complete(folder: Path, ordered: int) -> None:
    """Every sample that was wanted is there once, or was given up once with a reason; the files agree."""
    made = [each["id"] for each in records(folder)]
    lost = [each["id"] for each in lines(folder, REJECTIONS) if each.get("given_up")]
    assert len({*made, *lost}) == len(made) + len(lost) == ordered
    assert [each["id"] for each in lines(folder, PROVENANCE)] == made
    assert [each["id"] for each in lines(folder, TIMES)] == made
    assert all(each["reason"] and each["detail"] for each in lines(folder, REJECTIONS))


_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["datagen.pipeline.warm"])


def started(generation: Generation) -> BaseProcess:
    """A process that runs it."""
    process = _FORKS.Process(target=_run, args=(generation,), daemon=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # what is loaded in advance is found by this alone
        process.start()
    return process


def _run(generation: Generation) -> None:
    import pumice.datagen.keeping

    pumice.datagen.keeping._EVERY_S = 0.01
    generate(generation)


@contextmanager
def stopping(after: int) -> Iterator[Callable[[], bool]]:
    """A wish to stop that comes when it was asked for ``after`` times."""
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > after

    yield stop


def ran(generation: Generation) -> Ended:
    """A whole run."""
    ended = generate(generation)
    assert ended.finished and not ended.idle
    return ended
