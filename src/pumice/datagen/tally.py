"""What a run has made so far, counted; small enough to be written down with its progress, again and again."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pumice.datagen.pipeline import Attempt, Made, Outcome
from pumice.datagen.plan import share
from pumice.datagen.samples import Json, Sample

_EXAMPLES = 3  # kept of each kind, and of each reason; whichever, the seed decides
_LONGEST_SHOWN = 1500  # characters of an example


def _nested() -> defaultdict[str, Counter[str]]:
    return defaultdict(Counter)


@dataclass
class Tally:
    """Counts, all of what was taken in.

    missing: scenes that were left out for want of a picture. kinds: of each kind ``ordered``, ``samples``,
    ``exchanges`` and ``attempts``. refused: attempts by reason. given_up: orders by the reason of their last attempt.
    verdicts: of claims in samples, by the claims' kind. words: answers by kind and by length. turns: samples by the
    number of their questions. cost: USD, as far as known. kept, lost: examples by kind, by reason. seed: chooses them.
    """

    seed: int = 0
    scenes: int = 0
    missing: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    kinds: dict[str, Counter[str]] = field(default_factory=_nested)
    refused: Counter[str] = field(default_factory=Counter)
    given_up: Counter[str] = field(default_factory=Counter)
    verdicts: dict[str, Counter[str]] = field(default_factory=_nested)
    words: dict[str, Counter[str]] = field(default_factory=_nested)
    turns: Counter[str] = field(default_factory=Counter)
    kept: dict[str, list[Json]] = field(default_factory=lambda: defaultdict(list))
    lost: dict[str, list[Json]] = field(default_factory=lambda: defaultdict(list))

    def add(self, made: Made) -> None:
        """Everything that was made of one scene."""
        self.scenes += 1
        self.missing += made.missing
        for outcome in made.outcomes:
            self._count(outcome, made.image)

    def _count(self, outcome: Outcome, image: str) -> None:
        of_kind = self.kinds[outcome.order.kind]
        of_kind["ordered"] += 1
        of_kind["attempts"] += len(outcome.attempts) + (outcome.sample is not None)
        for attempt in outcome.attempts:
            self._refuse(attempt, outcome, image)
        sample = outcome.sample
        if sample is None:
            self.given_up[outcome.attempts[-1].rejection.reason] += 1
            return
        of_kind["samples"] += 1
        of_kind["exchanges"] += len(sample.exchanges)
        self.turns[str(len(sample.exchanges))] += 1
        for exchange in sample.exchanges:
            self.words[sample.kind][str(len(exchange.answer.split()))] += 1
        origin = sample.provenance
        for claim in origin.checks:
            self.verdicts[str(claim["kind"])][str(claim["verdict"])] += 1
        self._pay(origin.tokens_in, origin.tokens_out, origin.cost)
        self._show(self.kept[sample.kind], sample.id, lambda: _example(sample))

    def _refuse(self, attempt: Attempt, outcome: Outcome, image: str) -> None:
        rejection, reply = attempt.rejection, attempt.reply
        self.refused[rejection.reason] += 1
        self._pay(reply.tokens_in, reply.tokens_out, reply.cost)
        id = outcome.order.id
        self._show(self.lost[rejection.reason], id, lambda: _lost_example(attempt, id, image))

    def _show(self, shown: list[Json], id: str, example: Callable[[], Json]) -> None:
        """Keeps an example if its number in the lottery is among the smallest: all have the same chance."""
        if len(shown) < _EXAMPLES or self._lot(id) < self._lot(_id(shown[-1])):
            shown.append(example())
            shown.sort(key=lambda each: self._lot(_id(each)))
            del shown[_EXAMPLES:]

    def _lot(self, id: str) -> float:
        return share(f"{self.seed}:example:{id}")

    def _pay(self, tokens_in: int, tokens_out: int, cost: float | None) -> None:
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out
        self.cost += cost or 0.0

    @property
    def samples(self) -> int:
        """Of all kinds."""
        return sum(each["samples"] for each in self.kinds.values())

    @property
    def ordered(self) -> int:
        """Samples that were wanted."""
        return sum(each["ordered"] for each in self.kinds.values())

    def as_json(self) -> dict[str, Json]:
        """To be written down."""
        found: dict[str, Json] = json.loads(json.dumps(vars(self)))
        return found

    @classmethod
    def from_json(cls, found: Mapping[str, Json]) -> Tally:
        """What ``as_json`` wrote. Raises KeyError, TypeError or ValueError for anything else."""
        tally = cls()
        for name, value in found.items():
            now = getattr(tally, name)
            if isinstance(now, dict):
                assert isinstance(value, dict)
                inner = {key: Counter(each) if isinstance(each, dict) else each for key, each in value.items()}
                now.update(inner)
            else:
                setattr(tally, name, type(now)(value))
        return tally


def _example(sample: Sample) -> Json:
    checks: list[Json] = [dict(each) for each in sample.provenance.checks]
    said: list[Json] = [{"question": each.question, "answer": each.answer} for each in sample.exchanges]
    return _shortened({"id": sample.id, "image": sample.image, "exchanges": said, "checks": checks})


def _lost_example(attempt: Attempt, id: str, image: str) -> Json:
    said: list[Json] = [{"question": each.question, "answer": each.answer} for each in attempt.exchanges]
    return _shortened({"id": id, "image": image, "detail": attempt.rejection.detail, "exchanges": said})


def _id(example: Json) -> str:
    assert isinstance(example, dict)
    return str(example["id"])


def _shortened(value: Json) -> Json:
    if isinstance(value, str):
        return value if len(value) <= _LONGEST_SHOWN else value[:_LONGEST_SHOWN] + "…"
    if isinstance(value, dict):
        return {name: _shortened(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_shortened(each) for each in value[:12]]
    return value
