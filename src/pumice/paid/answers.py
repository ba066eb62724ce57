"""What comes back for a request that was paid: the text, what it cost, and the ways in which none comes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from pumice.errors import AuthError, ModelError, PumiceError, ServerError
from pumice.remote import FailedRequestError

#: How a sending ended that brought no answer: nothing was charged; something may have been; something was.
Lost: TypeAlias = Literal["free", "unsure", "spoilt"]
FREE: Lost = "free"
UNSURE: Lost = "unsure"
SPOILT: Lost = "spoilt"


@dataclass(frozen=True)
class Usage:
    """Tokens that were charged. cached_tokens: those of the prompt that cost less, a part of prompt_tokens.

    estimated: the server did not say; the numbers are estimated from the text.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    estimated: bool = False


@dataclass(frozen=True)
class Answer:
    """An answer that is paid and safe on the disk.

    text: empty where the model said nothing, as when all its tokens went into thinking.
    finish_reason: ``stop``, ``length``, ``content_filter``, ``refusal`` or what else the server says.
    cost: in USD; None where the price of the model is unknown.
    model: the one that answered, in the server's words. seconds: from the sending to the last byte.
    from_ledger: nothing was sent; it had been paid before.
    """

    text: str
    finish_reason: str
    usage: Usage
    cost: float | None
    request_id: str | None
    model: str
    seconds: float
    from_ledger: bool = False


class RefusedForGoodError(FailedRequestError):
    """The server will not answer this one request, however often it is asked; others it may."""


class GaveUpError(FailedRequestError):
    """Too many failures in a row that could have passed; asking again another day may help."""


class QuotaError(ServerError):
    """The account has no money left, or may not spend more."""


class BudgetError(PumiceError):
    """One more request could cost more than was allowed."""


class OutageError(ServerError):
    """Request after request was given up, and none was answered in between."""


class EndedError(PumiceError):
    """It was not sent, for nobody wants to wait for it any more."""


class LedgerError(PumiceError):
    """The ledger cannot be read or written; without it nothing may be spent."""


#: After one of these every further request fails the same way; what was asked stays open and may be asked another day.
HOPELESS: tuple[type[PumiceError], ...] = (
    *(AuthError, ModelError, QuotaError),
    *(OutageError, BudgetError, LedgerError),
)
