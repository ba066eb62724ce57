"""Captions for the first stage, balanced: frequent noun phrases are thinned out, rare ones are kept.

As LLaVA chose 595K of CC3M's three million captions (Visual Instruction Tuning, section 4.2 and appendix): phrases that
occur in fewer than three captions count for nothing; from the rarest phrase to the most frequent one, all captions with
the phrase are taken, or a hundred of them at random where there are more.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from pumice.data.rules import PLACEHOLDER
from pumice.datagen.phrases import phrases_of
from pumice.datagen.samples import Json
from pumice.datagen.spread import chunks, in_order

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


@dataclass
class Balance:
    """Which captions were chosen, by their numbers, and what was counted.

    phrases: distinct ones; frequent: those that count. longest: captions with the commonest phrase, of all and of those
    that were chosen.
    """

    chosen: bytearray
    phrases: int = 0
    frequent: int = 0
    longest: tuple[str, int, int] = ("", 0, 0)

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


def choose(captions: Iterable[str], rule: Rule, workers: int, watch: Callable[[int], object]) -> Balance:
    """Which of the captions to take. watch: told how many were read. Captions are not held; their phrases are.

    Raises: UsageError if the tagger is not installed.
    """
    index = _Index()
    with closing(in_order(phrases_of, chunks(captions, _CHUNK), workers)) as results:
        for found in results:
            for phrases in found:
                index.add(phrases)
            watch(len(index.ends))
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
        found = members[starts[number] : starts[number] + counts[number]]
        if len(found) > rule.most:
            found = np.array(random.Random(f"{rule.seed}:{names[number]}").sample(found.tolist(), rule.most))
        chosen[found] = 1
    balance = Balance(bytearray(chosen.tobytes()), len(names), int((counts >= rule.least).sum()))
    if names:
        last = order[-1]
        found = members[starts[last] : starts[last] + counts[last]]
        balance.longest = (names[last], len(found), int(chosen[found].sum()))
    return balance


def records(captions: Iterable[tuple[str, str, str]], balance: Balance, rule: Rule) -> Iterator[dict[str, Json]]:
    """LLaVA's records of the chosen captions. captions: (id, picture, caption), in the same order as before."""
    for number, (name, image, caption) in enumerate(captions):
        if balance.chosen[number]:
            asked = random.Random(f"{rule.seed}:{name}").choice(INSTRUCTIONS)
            turns: list[Json] = [
                {"from": "human", "value": f"{PLACEHOLDER}\n{asked}"},
                {"from": "gpt", "value": caption},
            ]
            yield {"id": name, "image": image, "conversations": turns}
