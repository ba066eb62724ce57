"""What data generation makes: drafts of a teacher, refusals with a reason, and finished samples with their origin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

#: What a sample trains. The first three are LLaVA's (paper section 3); the others are written from boxes.
Kind: TypeAlias = Literal["conversation", "detail", "reasoning", "negatives", "counting", "position", "grounding"]
KINDS: tuple[Kind, ...] = get_args(Kind)

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


@dataclass(frozen=True)
class Exchange:
    """One question and its answer, as plain text: no picture's placeholder in it."""

    question: str
    answer: str


@dataclass(frozen=True)
class Draft:
    """What a teacher wrote about one scene, read but not yet checked. At least one exchange."""

    kind: Kind
    exchanges: tuple[Exchange, ...]


@dataclass(frozen=True)
class Rejection:
    """Why a reply became no sample. reason: a stable code, for counting ("cut-off"). detail: the particulars."""

    reason: str
    detail: str


@dataclass(frozen=True)
class Provenance:
    """Where a sample came from.

    teacher: the model's name, or "rules". prompt_version: of the prompts that were sent, empty for rules.
    annotation_ids: of what the teacher was told. time: UTC, ISO 8601. cost: US dollars, None if unknown.
    checks: every claim that was compared with the annotations, and its verdict.
    """

    teacher: str
    parameters: Mapping[str, Json]
    prompt_version: str
    annotation_ids: tuple[str, ...]
    time: str
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = None
    checks: tuple[Mapping[str, Json], ...] = ()


@dataclass(frozen=True)
class Sample:
    """A finished sample. image: the picture's file name, relative to the folder of pictures."""

    id: str
    image: str
    kind: Kind
    exchanges: tuple[Exchange, ...]
    provenance: Provenance
