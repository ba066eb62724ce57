"""What comes back from the engine: plain values, torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pumice.images.config import Mode, Preprocessing
from pumice.images.grid import plan

FinishReason: TypeAlias = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True)
class Usage:
    """Tokens of one answer.

    prompt_tokens counts everything before the answer, image_tokens the part of it that are picture positions,
    cached_tokens the part that was taken from the KV cache of an earlier turn; completion_tokens the new ones.
    """

    prompt_tokens: int
    image_tokens: int
    cached_tokens: int
    completion_tokens: int


@dataclass(frozen=True)
class Sight:
    """What a model makes of a picture: how it is fitted, tiles of ``side`` x ``side`` pixels, and tokens."""

    mode: Mode
    side: int
    tiles: int
    tokens: int

    @classmethod
    def of(cls, how: Preprocessing, width: int, height: int, *, alone: bool) -> Sight:
        """Of a picture of ``width`` by ``height`` pixels. alone: whether it is the only one of its conversation."""
        grid = plan(width, height, how, alone=alone)
        mode = "pad" if how.mode == "anyres" and grid.tiles == 1 else how.mode
        return cls(mode, how.image_size, grid.tiles, grid.tokens)


@dataclass(frozen=True)
class Timings:
    """Seconds spent in preparing the inputs, in encoding pictures, before the first token, and in all."""

    prepare_s: float
    vision_s: float
    first_token_s: float
    total_s: float


@dataclass(frozen=True)
class Chance:
    """A token's bytes, perhaps a part of a character or none, and the natural logarithm of its probability."""

    token: bytes
    logprob: float


@dataclass(frozen=True)
class TokenChances:
    """The token that was taken, and the likeliest ones at its place, likeliest first."""

    taken: Chance
    likeliest: tuple[Chance, ...]


@dataclass(frozen=True)
class Activity:
    """What an engine is doing, and what its memories hold: requests, hits and misses since the start, bytes.

    turns grows as long as it makes progress.
    """

    waiting: int
    answering: int
    turns: int
    hits: Mapping[str, int]
    misses: Mapping[str, int]
    bytes: Mapping[str, int]


@dataclass(frozen=True)
class Answer:
    """One finished answer. ``stop``: the model or a stop string ended it; ``length``: a token limit did.

    changed_by_writing: whether the answer is another one once the writing that was found in the pictures is painted
    over; None if nobody wanted to know or none was found.
    """

    text: str
    finish_reason: FinishReason
    usage: Usage
    timings: Timings
    seed: int | None = None
    logprobs: tuple[TokenChances, ...] | None = None
    changed_by_writing: bool | None = None
