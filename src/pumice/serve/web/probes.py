"""What those who operate a page that runs alone ask of it; beside an API these routes are the API's."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from pumice.serve.guard.errors import Failure, request_id_of, response
from pumice.serve.guard.run import Drain
from pumice.serve.web.catalogue import Catalogue


def probes(catalogue: Catalogue, drain: Drain | None) -> APIRouter:
    """``/health``: whether the process is alive. ``/ready``: 503 while it drains or its API has no model to ask."""
    router = APIRouter()

    @router.head("/health")
    @router.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @router.head("/ready")
    @router.get("/ready")
    async def ready(request: Request) -> Response:
        failure = await _failure()
        if failure is not None:
            return response(failure, request_id_of(request.scope))
        return JSONResponse({"status": "ready"})

    async def _failure() -> Failure | None:
        if drain is not None and drain.draining:
            return Failure(503, "draining", "the page is about to stop", retry_after_s=5)
        offer = await catalogue.offer()
        return (
            Failure(503, "no_worker", "the page's API has no model ready", "is its API running?", retry_after_s=2)
            if offer.trouble
            else None
        )

    return router
