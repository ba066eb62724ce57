"""Another engine's server (vLLM, SGLang, llama.cpp, anything that speaks OpenAI's protocol) as one of our workers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from pumice.errors import ServerError
from pumice.serve.api.answers import ModelCard, TokenCount
from pumice.serve.api.app import no_such_model
from pumice.serve.api.channel import BrokenError, Channel
from pumice.serve.api.events import Event
from pumice.serve.api.schema import ChatRequest, TokenizeRequest
from pumice.serve.cluster.status import Status
from pumice.serve.guard.errors import ApiError, Failure

#: A foreign server sends no signs of life while a long prompt is read.
SILENCE_S = 120.0
#: What errors call it: whoever asked knows no worker.
OTHER = "the model's server"


class Upstream:
    """As ``api.app.Backend`` says, by the server at ``url``, whose key is the channel's token."""

    def __init__(self, url: str, channel: Channel, *, most: int) -> None:
        """most: requests that are passed on at the same time."""
        self._url = url.rstrip("/")
        self._channel = channel
        self._most = most
        self._cards: tuple[ModelCard, ...] = ()
        self.held = 0

    async def start(self) -> None:
        """Looks what the server has. Raises ServerError if it has nothing, or is not there."""
        try:
            self._cards = _cards(await self._channel.get(f"{self._url}/models"))
        except ApiError as error:
            raise ServerError(
                f"the server at {self._url} does not tell its models: {error}",
                hint="expected an OpenAI-compatible address, such as http://localhost:8000/v1",
            ) from None
        if not self._cards:
            raise ServerError(f"the server at {self._url} has no models")

    async def stop(self) -> None:
        """Ends the connections."""
        await self._channel.close()

    def status(self) -> Status:
        """For the controller."""
        return Status(tuple(card.id for card in self._cards), queue=self.held)

    def gauges(self) -> dict[str, float]:
        """For monitoring."""
        return {"queue_length": max(0, self.held - self._most)}

    async def chat(self, request: ChatRequest, request_id: str) -> AsyncGenerator[Event]:
        """The server's own events."""
        if request.model not in self.status().models:
            raise no_such_model(request.model, self.status().models)
        if self.held >= self._most:
            raise ApiError(Failure(429, "queue_full", f"{self.held} requests are being answered", retry_after_s=2))
        body = request.model_dump(exclude_none=True, by_alias=True, exclude_defaults=True)
        self.held += 1
        try:
            async with aclosing(self._channel.chat(self._url, body, request_id)) as events:
                async for event in events:
                    yield event
        finally:
            self.held -= 1

    async def models(self) -> Sequence[ModelCard]:
        """As they were at the start."""
        return self._cards

    async def count(self, request: TokenizeRequest, request_id: str) -> TokenCount:
        """Not everybody's server counts in the same way."""
        raise ApiError(Failure(400, "unsupported_parameter", "this model's server counts no tokens beforehand"))

    def broken(self) -> Failure | None:
        """Never: the server behind it may come back."""
        return None

    async def unready(self) -> Failure | None:
        """Whether the server does not answer."""
        try:
            await self._channel.get(f"{self._url}/models")
        except BrokenError as error:
            return Failure(503, "no_worker", "the server behind this worker does not answer", str(error))
        return None


def _cards(found: Any) -> tuple[ModelCard, ...]:
    """Of what ``/v1/models`` answered, however little it says."""
    data = found.get("data") if isinstance(found, Mapping) else None
    cards = []
    for each in data if isinstance(data, list) else ():
        if isinstance(each, Mapping) and isinstance(each.get("id"), str):
            length = each.get("max_model_len")
            kinds = ["text", "image"] if each.get("input_modalities") != ["text"] else ["text"]
            cards.append(
                ModelCard.model_validate(
                    {
                        "id": each["id"],
                        "owned_by": str(each.get("owned_by") or "upstream"),
                        "input_modalities": kinds,
                        "max_model_len": length if isinstance(length, int) else None,
                    }
                )
            )
    return tuple(cards)
