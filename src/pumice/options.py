"""What a caller may ask of generation. Torch-free: shared by engine, command line, servers and evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from pumice.errors import UsageError

#: What becomes of writing in pictures: it is read like everything else; an answer that changes once it is painted over
#: says so; it is painted over (docs/text-in-images.md).
Writing: TypeAlias = Literal["read", "warn", "hide"]
#: Likeliest tokens that may be asked for at every place.
MOST_LOGPROBS = 20


@dataclass(frozen=True)
class SamplingOptions:
    """How tokens are chosen and when to stop.

    temperature: 0 is greedy; above, logits are divided by it.
    top_k: keep the k most likely tokens; 0 keeps all.
    top_p: keep the smallest set of tokens whose probability reaches it; 1 keeps all.
    seed: makes sampling repeatable, each request on its own, whatever else is in the batch.
    max_tokens: the most new tokens, the end token not counted.
    stop: strings that end the answer; they are not part of it.
    schema: the text of a JSON schema after which the answer is written: valid JSON, and nothing else.
    logprobs: also tell how likely each token was, and this many of the likeliest in its place; None tells nothing.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int | None = None
    max_tokens: int = 512
    stop: tuple[str, ...] = ()
    schema: str | None = None
    logprobs: int | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.temperature <= 100.0:  # also refuses NaN
            raise UsageError(f"temperature must be between 0 and 100, found {self.temperature}")
        if self.top_k < 0:
            raise UsageError(f"top_k must be 0 (off) or more, found {self.top_k}")
        if not 0.0 < self.top_p <= 1.0:
            raise UsageError(f"top_p must be above 0 and at most 1, found {self.top_p}")
        if self.seed is not None and not 0 <= self.seed < 2**63:
            raise UsageError(f"seed must be at least 0 and below 2**63, found {self.seed}")
        if self.max_tokens < 1:
            raise UsageError(f"max_tokens must be at least 1, found {self.max_tokens}")
        if self.logprobs is not None and not 0 <= self.logprobs <= MOST_LOGPROBS:
            raise UsageError(f"logprobs must be between 0 and {MOST_LOGPROBS}, found {self.logprobs}")
        if any(not text for text in self.stop):
            raise UsageError("a stop string must not be empty")
        if self.stop and self.schema is not None:
            raise UsageError("stop strings and a schema exclude each other: JSON that is cut off is none")
