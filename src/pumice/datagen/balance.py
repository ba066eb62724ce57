"""Captions for the first stage, balanced: frequent noun phrases are thinned out, rare ones are kept.

As LLaVA chose 595K of CC3M's three million captions (Visual Instruction Tuning, section 4.2 and appendix): phrases that
occur in fewer than three captions count for nothing; from the rarest phrase to the most frequent one, all captions with
the phrase are taken, or a hundred of them at random where there are more.
"""

from __future__ import annotations

import json
import random
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from pumice.annotations.sources.source import Source
from pumice.data.rules import PLACEHOLDER
from pumice.datagen.phrases import phrases_of, require_tagger
from pumice.datagen.samples import Json
from pumice.datagen.spread import chunks, in_order
from pumice.errors import UsageError
from pumice.files import fresh_file

#: Requests for a brief caption, eleven as LLaVA has them; each record gets one at random.
INSTRUCTIONS = (
    "Say briefly what this picture shows.",
    "Give a short description of the image.",
    "Sum up the picture in a few words.",
    "What is in this image? Answer briefly.",
    "Write a concise caption for the picture.",
    "Describe the image in one short sentence.",
    "In brief, what can be seen here?",
    "Put the content of this picture into a short sentence.",
    "Caption this image, and keep it short.",
    "Name the main things in the picture in one sentence.",
    "Give a brief and clear account of what the image shows.",
)
_CHUNK = 500  # captions that go to another process together


@dataclass(frozen=True)
class Rule:
    """least: captions that a phrase must be in to count. most: captions that are taken for one phrase."""

    least: int = 3
    most: int = 100
    seed: int = 0


@dataclass(frozen=True)
class Options:
    """images: where pictures must be, if anybody looks. workers: processes. watch: told how many captions were read."""

    images: Path | None = None
    workers: int = 1
    overwrite: bool = False
    watch: Callable[[int], object] = lambda read: None


@dataclass(frozen=True)
class Captioned:
    """A picture and one of its captions."""

    id: str
    image: str
    caption: str


@dataclass
class Balance:
    """Which captions were chosen, by their numbers, and what was counted.

    phrases: distinct ones; frequent: those that count. commonest: the phrase in most captions, in how many, and in how
    many of those that were chosen.
    """

    chosen: bytearray
    phrases: int = 0
    frequent: int = 0
    captions: int = 0
    commonest: tuple[str, int, int] = ("", 0, 0)

    @property
    def count(self) -> int:
        """Captions that were chosen."""
        return sum(self.chosen)


@dataclass
class _Index:
    """Phrases by caption: numbers of phrases in one row, and where each caption's end."""

    numbers: dict[str, int] = field(default_factory=dict)
    row: array[int] = field(default_factory=lambda: array("I"))
    ends: array[int] = field(default_factory=lambda: array("Q"))

    def add(self, phrases: Sequence[str]) -> None:
        self.row.extend(self.numbers.setdefault(phrase, len(self.numbers)) for phrase in phrases)
        self.ends.append(len(self.row))


def choose(captions: Iterable[str], rule: Rule, options: Options) -> Balance:
    """Which of the captions to take. Captions are not held; their phrases are.

    Raises: UsageError if the tagger is not installed.
    """
    index = _Index()
    with closing(in_order(phrases_of, chunks(captions, _CHUNK), options.workers)) as results:
        for found in results:
            for phrases in found:
                index.add(phrases)
            options.watch(len(index.ends))
    return _chosen(index, rule)


def _chosen(index: _Index, rule: Rule) -> Balance:
    import numpy as np

    row = np.array(index.row, dtype=np.int64)
    ends = np.array(index.ends, dtype=np.int64)
    captions = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))
    counts = np.bincount(row, minlength=len(index.numbers))
    members, starts = captions[np.argsort(row, kind="stable")], np.cumsum(counts) - counts
    names = list(index.numbers)
    order = sorted(range(len(names)), key=lambda number: (counts[number], names[number]))
    chosen = np.zeros(len(ends), np.uint8)
    for number in order:
        if counts[number] < rule.least:
            continue
        taken = members[starts[number] : starts[number] + counts[number]]
        if len(taken) > rule.most:
            taken = np.array(random.Random(f"{rule.seed}:{names[number]}").sample(taken.tolist(), rule.most))
        chosen[taken] = 1
    found = Balance(bytearray(chosen.tobytes()), len(names), int((counts >= rule.least).sum()), len(ends))
    if names:
        last = order[-1]
        with_it = members[starts[last] : starts[last] + counts[last]]
        found.commonest = (names[last], len(with_it), int(chosen[with_it].sum()))
    return found


def balance(source: Source, target: Path, rule: Rule, options: Options) -> Balance:
    """Writes LLaVA's records of the chosen captions of ``source``, a JSON list.

    Raises: UsageError if the target is there, the tagger is not installed, or there is nothing to choose.
    """
    require_tagger()
    with fresh_file(target, overwrite=options.overwrite) as file:  # before the work, which may take hours
        found = choose((each.caption for each in _captions(source, options.images)), rule, options)
        _require_some(found, rule, options)
        before = b"[\n"
        for number, each in enumerate(_captions(source, options.images)):
            if found.chosen[number]:
                file.write(before + json.dumps(_record(each, rule), ensure_ascii=False).encode("utf-8", "replace"))
                before = b",\n"
        file.write(b"\n]\n")
    return found


def _require_some(found: Balance, rule: Rule, options: Options) -> None:
    if not found.captions:
        what = "no caption" if options.images is None else f"no caption of a picture that is in {options.images}"
        raise UsageError(
            f"expected captions, found {what}",
            hint="name a file that has them: captions_*.json of COCO's, say; --from says what it is",
        )
    if not found.count:
        raise UsageError(
            f"no phrase is in {rule.least} captions or more, of {found.captions:,}",
            hint="take more captions, or a smaller --least",
        )


def _captions(source: Source, images: Path | None) -> Iterator[Captioned]:
    for scene in source:
        if images is None or (images / scene.image).is_file():
            for number, caption in enumerate(scene.captions):
                yield Captioned(
                    scene.id if len(scene.captions) == 1 else f"{scene.id}-{number + 1}", scene.image, caption
                )


def _record(captioned: Captioned, rule: Rule) -> dict[str, Json]:
    asked = random.Random(f"{rule.seed}:{captioned.id}").choice(INSTRUCTIONS)
    turns: list[Json] = [
        {"from": "human", "value": f"{PLACEHOLDER}\n{asked}"},
        {"from": "gpt", "value": captioned.caption},
    ]
    return {"id": captioned.id, "image": captioned.image, "conversations": turns}
