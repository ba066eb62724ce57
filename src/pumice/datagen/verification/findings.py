"""How true a statement is, and what that makes of a claim or of its denial."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from pumice.datagen.verification.claims import Verdict


class Truth(Enum):
    """True; true as people say it, so that its denial is no lie; open; false by no more than annotators err; false."""

    TRUE = "true"
    FITS = "fits"
    OPEN = "open"
    OFF = "off"
    FALSE = "false"


class Finding(NamedTuple):
    """A truth, and what the annotations say."""

    truth: Truth
    reason: str


_ASSERTED: dict[Truth, Verdict] = {
    Truth.TRUE: "supported",
    Truth.FITS: "supported",
    Truth.OPEN: "unknown",
    Truth.OFF: "contradicted",
    Truth.FALSE: "contradicted",
}
_DENIED: dict[Truth, Verdict] = {
    Truth.TRUE: "contradicted",
    Truth.FITS: "unknown",
    Truth.OPEN: "unknown",
    Truth.OFF: "unknown",
    Truth.FALSE: "supported",
}


def verdict(truth: Truth, denied: bool) -> Verdict:
    """What becomes of a claim with this truth, or of its denial."""
    return (_DENIED if denied else _ASSERTED)[truth]
