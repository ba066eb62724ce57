"""What a text says about a picture, claim by claim, and whether that is reason to refuse it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pumice.datagen.samples import Json, Rejection

ClaimKind: TypeAlias = Literal["existence", "count", "colour", "place", "size", "yes_no"]
Verdict: TypeAlias = Literal["supported", "contradicted", "unknown"]
#: strict: one contradicted claim is enough. lenient: only what no slip of an annotator explains.
Mode: TypeAlias = Literal["strict", "lenient"]

REFUSED = "contradicted"  # the stable code of the rejection


@dataclass(frozen=True)
class Claim:
    """Something that was said, compared with the annotations.

    text: the words, or the sentence that they stand in. exchange: the number of the question and its answer, from 0.
    reason: what the annotations say. clear: of a contradicted claim, that it is wrong by more than annotators err:
    a count by one of five, or a thing just over the middle, are not.
    """

    kind: ClaimKind
    text: str
    exchange: int
    verdict: Verdict
    reason: str
    clear: bool = True

    def as_json(self) -> dict[str, Json]:
        """For the provenance of a sample."""
        return {
            "kind": self.kind,
            "text": self.text,
            "exchange": self.exchange,
            "verdict": self.verdict,
            "reason": self.reason,
        }


def refused(claims: Sequence[Claim], mode: Mode = "strict") -> Rejection | None:
    """Why a sample with these claims should not be kept; None if it may.

    A lenient reader forgives what is not ``clear``; a strict one forgives nothing.
    """
    for claim in claims:
        if claim.verdict == "contradicted" and (mode == "strict" or claim.clear):
            return Rejection(REFUSED, f"{claim.kind}: {claim.text!r}, but {claim.reason}")
    return None
