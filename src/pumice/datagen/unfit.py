"""Notices a server that refuses whatever it is asked: then it is the way of asking that does not suit it, no question.

A wrong parameter, for instance: were its questions given up one by one, all of them would be lost.
"""

from __future__ import annotations

from collections.abc import Sequence

from pumice.errors import ServerError
from pumice.paid.answers import RefusedForGoodError

#: So many refusals, and no answer ever, are enough; fewer if there are no more questions.
ENOUGH = 8


class UnfitError(ServerError):
    """The server refuses everything."""


def unfit(refused: Sequence[RefusedForGoodError]) -> UnfitError | None:
    """The error, if there are any and all are of the same kind."""
    if len({(each.status, each.code) for each in refused}) != 1:
        return None
    last = refused[-1]
    return UnfitError(
        f"the teacher refuses everything that it is asked; status {last.status}: {last}",
        hint="nothing was given up; once the server is mended, the same command goes on. Other parameters"
        " (--set NAME=JSON, --max-tokens) or another --teacher-model need a new folder",
    )
