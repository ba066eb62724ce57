"""POPE's questions for any pictures whose things are known: written in POPE's own format, asked by the task ``pope``.

    made = make(scenes, pictures=500)
    write(made, Path("pope"))          # pope/coco/coco_pope_{random,popular,adversarial}.json

Of every picture three things that are there, and three that are not (Li et al. 2023, "Evaluating Object Hallucination
in Large Vision-Language Models"): any ("random"), those that most pictures show ("popular"), or those that are most
often seen beside the thing that was just asked about ("adversarial"). The original draws its pictures without a seed,
so its very list cannot be had again; here the same scenes and the same seed give the same files.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from pumice.annotations.scene import Scene
from pumice.errors import UsageError
from pumice.files import fresh_file
from pumice.world.vocabulary import article

Strategy: TypeAlias = Literal["random", "popular", "adversarial"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
PICTURES = 500
EACH = 3  # things that are there, of a picture, and as many that are not


@dataclass(frozen=True)
class Asked:
    """One line of a file."""

    image: str
    category: str
    there: bool

    def line(self, number: int) -> Mapping[str, str | int]:
        """As POPE writes it; numbers begin with 1."""
        text = f"Is there {article(self.category)} in the image?"
        return {"question_id": number, "image": self.image, "text": text, "label": "yes" if self.there else "no"}


@dataclass(frozen=True)
class Made:
    """The questions of each strategy. left_out: pictures with too few things, or too few that are absent."""

    questions: Mapping[Strategy, tuple[Asked, ...]]
    pictures: int
    left_out: int


@dataclass(frozen=True)
class _Frequencies:
    """In how many pictures each category is, and each beside each other."""

    seen: Counter[str]
    together: Mapping[str, Counter[str]]

    def ranked(self, strategy: Strategy, beside: str, absent: Sequence[str], rng: random.Random) -> list[str]:
        """Absent categories, the likeliest to be asked for first; chance decides between equals."""
        shuffled = rng.sample(absent, len(absent))
        if strategy == "random":
            return shuffled
        counted = self.seen if strategy == "popular" else self.together.get(beside, Counter[str]())
        return sorted(shuffled, key=lambda category: -counted[category])


def make(scenes: Iterable[Scene], *, pictures: int = PICTURES, seed: int = 0) -> Made:
    """The questions of all strategies about the same pictures, drawn from those that show at least three categories.

    Raises: UsageError if no picture does.
    """
    known = [(scene, _present(scene)) for scene in scenes]
    frequencies = _frequencies([present for _, present in known])
    fit = [
        (scene.image, present, absent)
        for scene, present in known
        if len(present) >= EACH and len(absent := _absent(scene, present, frequencies)) >= EACH
    ]
    if not fit:
        raise UsageError(
            f"none of {len(known)} pictures shows at least {EACH} categories and lacks as many",
            hint="POPE's questions need annotated things, such as COCO's instances_val2014.json",
        )
    rng = random.Random(f"pope:{seed}")
    chosen = sorted(rng.sample(range(len(fit)), min(pictures, len(fit))))
    questions: dict[Strategy, list[Asked]] = {strategy: [] for strategy in STRATEGIES}
    for image, present, absent in (fit[at] for at in chosen):
        there = rng.sample(present, EACH)
        for strategy in STRATEGIES:
            questions[strategy] += _about(image, there, absent, strategy, frequencies, rng)
    lists = {strategy: tuple(asked) for strategy, asked in questions.items()}
    return Made(lists, len(chosen), len(known) - len(fit))


def write(made: Made, folder: Path, *, overwrite: bool = False) -> tuple[Path, ...]:
    """The files of a benchmark folder, below ``coco/``. Raises UsageError if one is there already."""
    paths = []
    for strategy, asked in made.questions.items():
        path = folder / "coco" / f"coco_pope_{strategy}.json"
        with fresh_file(path, overwrite=overwrite) as file:
            for number, each in enumerate(asked, start=1):
                file.write(json.dumps(each.line(number)).encode() + b"\n")
        paths.append(path)
    return tuple(paths)


def _present(scene: Scene) -> list[str]:
    return sorted({thing.category for thing in scene.things} & scene.closed)


def _absent(scene: Scene, present: Sequence[str], frequencies: _Frequencies) -> list[str]:
    """What is known not to be there, of all that some picture shows: as in POPE nothing else is asked for."""
    return sorted((scene.closed & frequencies.seen.keys()) - set(present))


def _frequencies(pictures: Iterable[Sequence[str]]) -> _Frequencies:
    seen: Counter[str] = Counter()
    together: dict[str, Counter[str]] = {}
    for present in pictures:
        seen.update(present)
        for category in present:
            together.setdefault(category, Counter()).update(each for each in present if each != category)
    return _Frequencies(seen, together)


def _about(
    image: str,
    there: Sequence[str],
    absent: Sequence[str],
    strategy: Strategy,
    frequencies: _Frequencies,
    rng: random.Random,
) -> Iterable[Asked]:
    """Something that is there and something that is not, in turns."""
    asked: set[str] = set()
    for category in there:
        yield Asked(image, category, there=True)
        other = next(each for each in frequencies.ranked(strategy, category, absent, rng) if each not in asked)
        asked.add(other)
        yield Asked(image, other, there=False)
