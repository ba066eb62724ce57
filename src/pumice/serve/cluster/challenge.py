"""How one who may be called shows that it belongs to the cluster: it answers a number that nobody used before."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field
from starlette.types import Scope

from pumice.serve.cluster.status import Status
from pumice.serve.cluster.token import proof
from pumice.serve.guard.doors import require_cluster


class Challenge(BaseModel):
    """The body of ``/worker_get_status``, which the original leaves empty."""

    nonce: Annotated[str, Field(max_length=200)] | None = None


def answered(status: Status, challenge: Challenge | None, token: str, scope: Scope) -> dict[str, object]:
    """A status as the original shows it; to a holder of the token who asks for it, with proof and what else is known.

    Raises: ApiError for a challenge from anybody else.
    """
    if challenge is None or challenge.nonce is None:
        return status.as_json(with_info=False)
    require_cluster(scope)
    return {**status.as_json(), "nonce": proof(token, challenge.nonce)}
