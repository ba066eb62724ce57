"""The controller's routes: the original's seven, with its shapes, and those that our own roles ask.

Who may register or say goodbye holds the cluster token; the rest is for callers of the scope admin.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response, StreamingResponse

from pumice.errors import ServerError, UsageError
from pumice.serve.cluster.admission import AdminRoute, TokenRoute
from pumice.serve.cluster.challenge import Challenge, answered
from pumice.serve.cluster.controller import Controller
from pumice.serve.cluster.registry import Refused
from pumice.serve.cluster.status import Status, read_status
from pumice.serve.cluster.stream import Joiner, trouble
from pumice.serve.guard.errors import ApiError, Failure, failure_of, install, request_id_of, response
from pumice.serve.guard.limits import StrictRoute, json_body
from pumice.serve.guard.run import Drain

_log = logging.getLogger(__name__)
_Name = Annotated[str, Field(min_length=1, max_length=200)]
_HIGHEST = 1_000_000


class Registration(BaseModel):
    """What a worker registers with. worker_status: asked of the worker itself if it is missing."""

    worker_name: _Name
    check_heart_beat: bool
    worker_status: dict[str, Any] | None = None


class Beat(BaseModel):
    """A sign of life."""

    worker_name: _Name
    queue_length: Annotated[int, Field(ge=0, le=_HIGHEST)]


class Named(BaseModel):
    """A worker's name."""

    worker_name: _Name


class Wanted(BaseModel):
    """A model's name."""

    model: Annotated[str, Field(max_length=200)]


def make_app(controller: Controller, drain: Drain) -> FastAPI:
    """The controller as an application, to be put behind ``guarded``."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await controller.calls.close()

    app = FastAPI(title="Pumice controller", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    install(app)
    app.include_router(original_routes(controller))
    app.include_router(cluster_routes(controller))
    app.include_router(_state_routes(controller, drain))
    return app


def original_routes(controller: Controller) -> APIRouter:
    """The original's seven routes."""
    router, members = APIRouter(route_class=AdminRoute), APIRouter(route_class=TokenRoute)

    @members.post("/register_worker")
    async def register_worker(body: Registration, request: Request) -> None:
        try:
            status = None if body.worker_status is None else read_status(body.worker_status)
        except ServerError as error:
            raise UsageError(f"worker_status: {error}") from None
        try:
            await controller.register(body.worker_name, _peer(request), status, beats=body.check_heart_beat)
        except Refused as error:
            _log.warning("a worker was refused: %s", error)
            raise _forbidden(error) from None
        _log.info("worker registered: %s", body.worker_name)

    @router.post("/refresh_all_workers")
    async def refresh_all_workers() -> None:
        await controller.refresh()

    @router.post("/list_models")
    async def list_models() -> dict[str, list[str]]:
        return {"models": controller.registry.models(controller.now())}

    @router.post("/get_worker_address")
    async def get_worker_address(body: Wanted) -> dict[str, str]:
        chosen = controller.registry.pick(body.model, controller.now())
        return {"address": "" if chosen is None else chosen.name}

    @members.post("/receive_heart_beat")
    async def receive_heart_beat(body: Beat, request: Request) -> dict[str, bool]:
        try:
            known = controller.beat(body.worker_name, _peer(request), body.queue_length)
        except Refused as error:
            raise _forbidden(error) from None
        return {"exist": known}

    @router.post("/worker_generate_stream")
    async def worker_generate_stream(request: Request) -> Response:
        await request.body()  # once the answer has begun, what is received counts as leaving
        return StreamingResponse(_proxied(controller, request))

    @router.post("/worker_get_status")
    async def worker_get_status(request: Request, body: Challenge | None = None) -> dict[str, object]:
        found = [status for status in (await controller.ask_all()).values() if status is not None]
        names = sorted({name for status in found for name in status.models})
        speed, queue = sum(status.speed for status in found), sum(status.queue for status in found)
        whole = Status(tuple(names), speed, queue)
        return answered(whole, body, controller.token, request.scope)  # a controller above takes it for a worker

    router.include_router(members)
    return router


def cluster_routes(controller: Controller) -> APIRouter:
    """What our own roles ask."""
    router, members = APIRouter(route_class=AdminRoute), APIRouter(route_class=TokenRoute)

    @members.post("/cluster/leave")
    async def leave(body: Named, request: Request) -> dict[str, bool]:
        try:
            return {"left": controller.leave(body.worker_name, _peer(request))}
        except Refused as error:
            raise _forbidden(error) from None

    @router.get("/cluster/workers")
    async def workers() -> dict[str, object]:
        return listing(controller)

    router.include_router(members)
    return router


def _state_routes(controller: Controller, drain: Drain) -> APIRouter:
    """What those who operate it ask."""
    router = APIRouter(route_class=StrictRoute)

    @router.head("/health", include_in_schema=False)
    @router.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @router.head("/ready", include_in_schema=False)
    @router.get("/ready")
    async def ready(request: Request) -> Response:
        if drain.draining:
            failure = Failure(503, "draining", "the controller is about to stop", retry_after_s=2)
            return response(failure, request_id_of(request.scope))
        return JSONResponse({"status": "ready", "workers": len(controller.workers())})

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(_metrics(controller), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router


def listing(controller: Controller) -> dict[str, object]:
    """What ``GET /cluster/workers`` answers."""
    shown = [
        {
            "name": each.name,
            "address": each.address,
            "models": list(each.models),
            "queue": each.queue,
            "speed": each.speed,
            "info": dict(each.info),
            "age": age,
        }
        for each, age in controller.aged()
    ]
    return {"workers": shown, "epoch": controller.epoch, "left": list(controller.registry.left(controller.now()))}


async def _proxied(controller: Controller, request: Request) -> AsyncIterator[bytes]:
    """A worker's stream, message by message; one that breaks off ends with a message that says so."""
    request_id = request_id_of(request.scope)
    try:
        wanted = Wanted.model_validate(await json_body(request)).model
    except ApiError as error:
        yield trouble(1, error.failure.body(request_id)["error"])
        return
    except ValueError:
        failure = Failure(400, "invalid_request", "expected a JSON object that names a model", param="model")
        yield trouble(1, failure.body(request_id)["error"])
        return
    worker = controller.registry.pick(wanted, controller.now())
    if worker is None:
        failure = Failure(503, "no_worker", "no worker has this model", "POST /list_models tells those that are there")
        yield trouble(2, failure.body(request_id)["error"])
        return
    joiner = Joiner()
    try:
        async with aclosing(controller.calls.stream(worker.address, await request.body())) as parts:
            async for part in parts:
                if whole := joiner.whole(part):
                    yield whole
        joiner.finish()
    except ServerError as error:
        _log.warning("the stream of worker %s failed: %s", worker.name, error)
        yield trouble(3, failure_of(error).body(request_id)["error"])


def _metrics(controller: Controller) -> bytes:
    from prometheus_client import CollectorRegistry, Gauge, generate_latest

    shown = CollectorRegistry()
    count = Gauge("pumice_workers", "Workers that are registered.", registry=shown)
    queue = Gauge("pumice_queue_length", "Requests that run or wait, all workers together.", registry=shown)
    found = controller.workers()
    count.set(len(found))
    queue.set(sum(each.queue for each in found))
    return generate_latest(shown)


def _peer(request: Request) -> str:
    if request.client is None:
        raise ApiError(Failure(403, "forbidden", "workers register over TCP"))
    return request.client.host


def _forbidden(error: Refused) -> ApiError:
    return ApiError(Failure(403, "forbidden", str(error), error.hint))
