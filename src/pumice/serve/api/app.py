"""The HTTP interface that OpenAI's clients know, upon anything that answers: an engine, or a cluster of workers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, FastAPI, Path, Request
from starlette.responses import Response

from pumice import __version__
from pumice.errors import PumiceError
from pumice.serve.api.answering import Answering, until_over
from pumice.serve.api.answers import ChatCompletion, ErrorBody, ModelCard, ModelList, State, TokenCount
from pumice.serve.api.events import Event, Heading
from pumice.serve.api.ledger import Ledger
from pumice.serve.api.question import conversation_of, question_of
from pumice.serve.api.schema import ChatRequest, TokenizeRequest
from pumice.serve.guard.errors import ApiError, Failure, failure_of, install, request_id_of
from pumice.serve.guard.limits import StrictRoute
from pumice.serve.guard.run import Drain

_log = logging.getLogger(__name__)

_STREAM: dict[str, Any] = {"text/event-stream": {"schema": {"type": "string"}}}
_TEXT: dict[str, Any] = {"text/plain": {"schema": {"type": "string"}}}
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody} for status in (400, 401, 403, 404, 408, 413, 415, 429, 500, 502, 503, 504)
}
# What an address can hold: the guard refuses control characters and backslashes.
_NAME = r"^[^\x00-\x1f\x7f\\]+$"


class Backend(Protocol):
    """Who answers."""

    def chat(self, request: ChatRequest, request_id: str) -> AsyncGenerator[Event]:
        """``Accepted``, then pieces, then for each answer its ``Finish``, then ``Used``. Raises what goes wrong."""

    async def models(self) -> Sequence[ModelCard]:
        """What can be asked for now."""

    async def count(self, request: TokenizeRequest, request_id: str) -> TokenCount:
        """Tokens of what would be asked."""

    async def unready(self) -> Failure | None:
        """Why no question can be answered now; None if one can."""


def create_app(backend: Backend, ledger: Ledger, drain: Drain, *, title: str = "Pumice") -> FastAPI:
    """The application, without its guards."""
    app = FastAPI(title=title, version=__version__, docs_url=None, redoc_url=None, responses=_ERRORS)
    install(app)
    app.state.refused = ledger.refused
    app.router.redirect_slashes = False
    app.include_router(_chat_routes(backend, ledger, drain), tags=["chat"])
    app.include_router(_model_routes(backend), tags=["models"])
    app.include_router(_state_routes(backend, ledger, drain), tags=["state"])
    return app


def _chat_routes(backend: Backend, ledger: Ledger, drain: Drain) -> APIRouter:
    router = APIRouter(route_class=StrictRoute)

    @router.post(
        "/v1/chat/completions",
        response_model=ChatCompletion,
        responses={200: {"content": _STREAM, "description": "The answer, or with stream its pieces"}},
    )
    async def chat_completions(body: ChatRequest, request: Request) -> Response:
        """Answer the last question about the pictures of the conversation."""
        if drain.draining:
            raise ApiError(Failure(503, "draining", "the server is shutting down", "try again", retry_after_s=5))
        question = await asyncio.to_thread(question_of, body)  # its texts may be long
        request_id = request_id_of(request.scope)
        request.state.counted = True  # from here on by what becomes of it
        return Answering(
            ledger.entered(until_over(backend.chat(body, request_id), drain.over)),
            Heading.of(request_id, body.model),
            question.choices,
            stream=bool(body.stream),
            usage=body.stream_options is not None and body.stream_options.include_usage,
            told=_told,
        )

    @router.post("/tokenize")
    async def tokenize(body: TokenizeRequest, request: Request) -> TokenCount:
        """Count the tokens of a text, or of messages with their pictures."""
        if body.messages is not None:  # nothing is fetched for what could not be asked
            await asyncio.to_thread(conversation_of, body.messages)
        return await backend.count(body, request_id_of(request.scope))

    return router


def _told(error: BaseException, request_id: str) -> None:
    """Only what is our fault goes to the log, and only a bug with its traceback."""
    failure = failure_of(error)
    if failure.status >= 500 and failure.code != "draining":
        ours = not isinstance(error, PumiceError)
        _log.error("request %s failed: %s", request_id, failure.message, exc_info=error if ours else None)


def _model_routes(backend: Backend) -> APIRouter:
    router = APIRouter()
    began = int(time.time())

    async def cards() -> list[ModelCard]:
        """When a model was made nobody knows; it was there when the server began."""
        return [each.model_copy(update={"created": each.created or began}) for each in await backend.models()]

    @router.get("/v1/models")
    async def models() -> ModelList:
        """The models that can be asked now."""
        return ModelList(data=await cards())

    @router.get("/v1/models/{model:path}")
    async def model(model: Annotated[str, Path(pattern=_NAME, max_length=256)]) -> ModelCard:
        """One of them."""
        found = {card.id: card for card in await cards()}
        if model not in found:
            raise no_such_model(model, list(found))
        return found[model]

    return router


def _state_routes(backend: Backend, ledger: Ledger, drain: Drain) -> APIRouter:
    router = APIRouter()

    @router.head("/health", include_in_schema=False)
    @router.get("/health")
    async def health() -> State:
        """Whether the process is alive."""
        return State(status="ok")

    @router.head("/ready", include_in_schema=False)
    @router.get("/ready")
    async def ready() -> State:
        """Whether it takes questions: 503 while it loads, drains, or has no worker."""
        if drain.draining:
            raise ApiError(Failure(503, "draining", "the server is shutting down", retry_after_s=5))
        failure = await backend.unready()
        if failure is not None:
            raise ApiError(failure)
        return State(status="ready")

    @router.get("/metrics", response_class=Response, responses={200: {"content": _TEXT}})
    async def metrics() -> Response:
        """Counts and times, as Prometheus reads them."""
        return Response(ledger.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @router.get("/version")
    async def version() -> dict[str, str]:
        """Of the program."""
        return {"version": __version__}

    return router


def no_such_model(model: str, there: Sequence[str]) -> ApiError:
    """The refusal of a name, with those that would do."""
    hint = f"models here: {', '.join(there)}" if there else "no model is loaded yet"
    return ApiError(Failure(404, "model_not_found", f"there is no model {model[:100]!r}", hint[:500], "model"))
