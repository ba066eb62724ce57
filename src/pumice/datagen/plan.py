"""What is to be made of every scene: how many samples of which kind. A plan and a scene decide them, nothing else does.

plan = Plan(read_rates("conversation=3,detail=0.5"), seed=0)
[order.id for order in plan.orders("139")]     # ["139-conversation", "139-conversation-2", ...]
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pumice.datagen.samples import KINDS, Json, Kind
from pumice.errors import UsageError
from pumice.near import did_you_mean, nearest

#: How a draft is judged by its claims: at least not contradicted (lenient), or nothing in doubt (strict).
Verify: TypeAlias = Literal["strict", "lenient", "off"]
#: Of one kind for one scene. Beyond, a teacher has nothing left to say.
MOST_OF_A_KIND = 100


@dataclass(frozen=True)
class Order:
    """One sample that is wanted. number: of its kind for the scene, from 0."""

    scene: str
    kind: Kind
    number: int

    @property
    def id(self) -> str:
        """The sample's, unique within a run."""
        return f"{self.scene}-{self.kind}" + (f"-{self.number + 1}" if self.number else "")


@dataclass(frozen=True)
class Plan:
    """What decides the output, beside the scenes and the teacher.

    rates: samples of a kind for each scene; of 0.25 every fourth scene gets one, chosen by its id. tries: how often the
    teacher is asked for a sample before it is given up. distinct: leave out near-duplicates of earlier samples.
    """

    rates: Mapping[Kind, float]
    seed: int = 0
    verify: Verify = "strict"
    tries: int = 2
    distinct: bool = True

    def __post_init__(self) -> None:
        """Raises UsageError for what makes no plan."""
        if not self.rates:
            raise UsageError("no kind of sample is wanted", hint=f"--kinds names some of {', '.join(KINDS)}")
        if self.tries < 1:
            raise UsageError(f"--tries must be at least 1, found {self.tries}")

    def orders(self, scene: str) -> Iterator[Order]:
        """What is wanted of the scene with this id, the kinds in their usual order."""
        for kind in KINDS:
            rate = self.rates.get(kind, 0)
            whole = math.floor(rate)
            count = whole + (share(f"{self.seed}:{kind}:{scene}") < rate - whole)
            yield from (Order(scene, kind, number) for number in range(count))

    def as_json(self) -> dict[str, Json]:
        """Its fields, to be written down and compared."""
        rates: dict[str, Json] = {kind: self.rates[kind] for kind in KINDS if kind in self.rates}
        return {
            "kinds": rates,
            "seed": self.seed,
            "verify": self.verify,
            "tries": self.tries,
            "distinct": self.distinct,
        }


def share(text: str) -> float:
    """A number from 0 up to 1 that the text decides, the same on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "backslashreplace")).digest()[:8], "big") / 2**64


def read_rates(text: str) -> dict[Kind, float]:
    """``conversation=3,detail=0.5``; a kind alone means one for each scene.

    Raises: UsageError for a kind that nobody knows, or a number that makes no sense.
    """
    rates: dict[Kind, float] = {}
    for piece in filter(None, (each.strip() for each in text.split(","))):
        name, _, number = piece.partition("=")
        name = name.strip()
        if name not in KINDS:
            hint = did_you_mean(nearest(name, KINDS), f"there are {', '.join(KINDS)}")
            raise UsageError(f"--kinds: nobody knows the kind {name!r}", hint=hint)
        if name in rates:
            raise UsageError(f"--kinds names {name} twice")
        rates[name] = _rate(name, number.strip() or "1")
    return rates


def _rate(name: str, number: str) -> float:
    try:
        rate = float(number)
    except ValueError:
        rate = math.nan
    if not 0 < rate <= MOST_OF_A_KIND:
        raise UsageError(
            f"--kinds: {name} needs a number of samples for each scene, above 0 and at most {MOST_OF_A_KIND},"
            f" found {number!r}",
            hint=f"{name}=1 is one for each scene, {name}=0.25 one for every fourth",
        )
    return rate
