"""Routes of a cluster, which know who may use them. Whoever asks is looked at before anything of the body is."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from pumice.serve.guard.doors import require_admin, require_cluster
from pumice.serve.guard.limits import StrictRoute

_Handler: TypeAlias = Callable[[Request], Coroutine[Any, Any, Response]]


def _only(require: Callable[[Scope], None]) -> type[StrictRoute]:
    """Routes for callers that ``require`` does not refuse."""

    class Route(StrictRoute):
        def get_route_handler(self) -> _Handler:
            handle = super().get_route_handler()

            async def handler(request: Request) -> Response:
                require(request.scope)
                return await handle(request)

            return handler

    return Route


#: For callers of the scope admin: a key that may only ask learns nothing of the workers.
AdminRoute = _only(require_admin)
#: For holders of the cluster token.
TokenRoute = _only(require_cluster)
