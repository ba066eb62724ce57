"""Every error that Pumice raises on purpose.

    PumiceError                 exit 1
    ├── UsageError              exit 2   the command line or an option makes no sense
    │   ├── TooLongError        exit 2   a conversation that does not fit the model's context
    │   └── NoVisionError       exit 2   a picture for a model that sees none
    ├── ModelError              exit 3   a model is missing, incomplete, or not what it says
    ├── ImageError              exit 4   a picture cannot be read
    │   └── BlockedUrlError     exit 4   a URL that must not be fetched
    ├── ServerError             exit 5   a server cannot be reached, or refuses for now
    ├── MemoryLimitError        exit 6   not enough memory
    └── AuthError               exit 7   a key is missing or wrong

A message says what was expected and what was found; ``hint`` says what to do next. The command line prints both,
one line each, and exits with ``exit_code``. Anything that is not a ``PumiceError`` is a bug and keeps its traceback
for ``--debug``.
"""

from __future__ import annotations

import re
from typing import ClassVar

# What torch says when an allocation fails; on a CPU it is a plain RuntimeError.
_NO_MEMORY = re.compile(r"out of memory|not enough memory|can't allocate memory|failed to allocate", re.IGNORECASE)


class PumiceError(Exception):
    """Base of the tree. ``str(error)`` is the message alone; ``hint`` is kept apart for the second line."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        #: A server's number for the request that failed, for whoever reads its log.
        self.request_id: str | None = None


class UsageError(PumiceError):
    """Options that contradict each other, or a value outside its range."""

    exit_code = 2


class TooLongError(UsageError):
    """A conversation with more tokens than the model takes."""


class NoVisionError(UsageError):
    """A picture for a model without a vision tower."""


class ModelError(PumiceError):
    """A checkpoint that is absent, incomplete, malformed, or of an unsupported kind."""

    exit_code = 3


class ImageError(PumiceError):
    """A picture that cannot be found, decoded, or accepted within the limits."""

    exit_code = 4


class BlockedUrlError(ImageError):
    """A URL whose scheme, port or address is refused by the guarded fetcher."""


class ServerError(PumiceError):
    """A remote service that does not answer as expected."""

    exit_code = 5


class MemoryLimitError(PumiceError):
    """The model or the request does not fit into memory."""

    exit_code = 6


class AuthError(PumiceError):
    """Credentials that are missing or refused."""

    exit_code = 7


def lacks_memory(error: BaseException) -> bool:
    """Whether an exception of Python or torch says that memory ran out."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and bool(_NO_MEMORY.search(str(error))))
