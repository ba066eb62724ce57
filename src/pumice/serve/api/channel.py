"""One OpenAI-compatible server as a source of events: a worker of ours, or an engine of somebody else's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import httpx2
from httpx2 import EventSource, SSEError

from pumice.serve.api.answers import PromptDetails, TokenLogprob, Usage
from pumice.serve.api.events import Accepted, Event, Finish, Piece, Used
from pumice.serve.guard.errors import ApiError, Failure

#: Our workers say something every two seconds; longer silence means that one hangs.
SILENCE_S = 10.0
CONNECT_S = 2.0
_LONGEST_ANSWER = 1 << 20
_DONE = "[DONE]"


class BrokenError(ApiError):
    """The server on the other side failed, is gone, or hangs; another one may do. Not said of a refusal.

    absent: it was not there, or is about to go: the request did not reach it. alive: it said so itself.
    """

    def __init__(self, failure: Failure, *, absent: bool = False, alive: bool = False) -> None:
        super().__init__(failure)
        self.absent = absent
        self.alive = alive


class Channel:
    """Connections to any number of servers; of one event loop."""

    def __init__(self, token: str | None, *, silence_s: float = SILENCE_S, other: str = "the worker") -> None:
        """token: sent as the API key. other: what errors call the server on the other side."""
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        self._client = httpx2.AsyncClient(
            headers=headers | {"accept-encoding": "identity"},
            follow_redirects=False,
            trust_env=False,
            timeout=httpx2.Timeout(silence_s, connect=CONNECT_S),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=2),
        )
        self._silence_s = silence_s
        self._other = other

    async def chat(self, base: str, body: Mapping[str, Any], request_id: str) -> AsyncGenerator[Event]:
        """The events of one request to the server at ``base``, which ends before ``/v1`` or whatever it has there.

        Raises: ApiError for what the server refuses, BrokenError for one that cannot be reached, falls silent, or
        breaks off.
        """
        asked = {**body, "stream": True, "stream_options": {"include_usage": True}}
        headers = {"x-request-id": request_id, "content-type": "application/json"}
        try:
            url, content = f"{base}/chat/completions", await asyncio.to_thread(_encoded, asked)
            async with self._client.stream("POST", url, content=content, headers=headers) as answer:
                if answer.status_code != 200:
                    raise await self._refusal(answer)
                yield Accepted()
                ended = False
                async for event in EventSource(answer):
                    if event.data == _DONE:
                        ended = True
                        break
                    for found in self._events(event.data):
                        yield found
                if not ended:
                    raise self._broken("broke off in the middle of the answer")
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            raise self._broken("cannot be reached", absent=True) from None
        except httpx2.TimeoutException:
            raise BrokenError(
                Failure(504, "stalled", f"{self._other} has been silent for {self._silence_s:g} seconds", "try again")
            ) from None
        except (httpx2.HTTPError, SSEError):
            raise self._broken("broke off in the middle of the answer") from None

    async def post(self, url: str, body: Mapping[str, Any], request_id: str) -> Any:
        """A JSON answer. Raises as ``chat`` does."""
        headers = {"content-type": "application/json"}
        return await self._whole("POST", url, request_id, headers, content=await asyncio.to_thread(_encoded, body))

    async def get(self, url: str) -> Any:
        """A JSON answer. Raises as ``chat`` does."""
        return await self._whole("GET", url, "-", {})

    async def close(self) -> None:
        """Ends all connections."""
        await self._client.aclose()

    async def _whole(self, method: str, url: str, request_id: str, headers: dict[str, str], **more: Any) -> Any:
        headers = headers | {"x-request-id": request_id}
        try:
            async with self._client.stream(method, url, headers=headers, **more) as answer:
                if answer.status_code != 200:
                    raise await self._refusal(answer)
                return json.loads(await self._text(answer))
        except (httpx2.HTTPError, ValueError):
            raise self._broken("cannot be reached, or broke off") from None

    def _broken(self, what: str, *, absent: bool = False) -> BrokenError:
        return BrokenError(Failure(502, "worker_failed", f"{self._other} {what}", "try again"), absent=absent)

    async def _text(self, answer: httpx2.Response) -> bytes:
        text = b""
        async for part in answer.aiter_raw():
            text += part
            if len(text) > _LONGEST_ANSWER:
                raise self._broken("sends an answer that is too long")
        return text

    async def _refusal(self, answer: httpx2.Response) -> ApiError:
        """What the server said, in our shape. Its trouble with our token is no business of the client's."""
        try:
            said = json.loads(await self._text(answer))
        except ValueError:
            said = {}
        failure = self._failure(said.get("error") if isinstance(said, dict) else None, answer.status_code)
        retry = answer.headers.get("retry-after", "")
        wait = min(float(retry), 600.0) if retry.isdecimal() else failure.retry_after_s
        failure = Failure(failure.status, failure.code, failure.message, failure.hint, failure.param, wait)
        if failure.status in (401, 403) and failure.code != "url_not_allowed":
            return BrokenError(Failure(502, "worker_failed", f"{self._other} does not accept the key that it was sent"))
        leaving = failure.code in ("draining", "loading")
        return BrokenError(failure, absent=leaving, alive=not leaving) if failure.status >= 500 else ApiError(failure)

    def _failure(self, error: object, status: int) -> Failure:
        """Of an error in OpenAI's shape, or as near to it as the server comes."""
        found = error if isinstance(error, dict) else {}
        message = str(found.get("message") or f"{self._other} answered with status {status}")[:2000]
        code = str(found.get("code") or ("invalid_request" if status < 500 else "worker_failed"))
        hint, param = found.get("hint"), found.get("param")
        return Failure(status, code[:64], message, str(hint) if hint else None, str(param) if param else None)

    def _events(self, data: str) -> list[Event]:
        """Of one server-sent event. Raises ApiError for one that says the answer failed."""
        try:
            chunk = json.loads(data)
            if chunk.get("error"):
                error = chunk["error"]
                refused = error.get("type") == "invalid_request_error"  # nobody else would do better
                failure = self._failure(error, _STATUS.get(str(error.get("code")), 400 if refused else 502))
                hopeless = refused or failure.code == "deadline_exceeded"
                raise ApiError(failure) if hopeless else BrokenError(failure, alive=True)
            found: list[Event] = []
            for choice in chunk.get("choices") or ():
                index, delta = int(choice.get("index", 0)), choice.get("delta") or {}
                marks = (choice.get("logprobs") or {}).get("content") or ()
                if delta.get("content") or marks:
                    logprobs = tuple(TokenLogprob.model_validate(each) for each in marks)
                    found.append(Piece(index, delta.get("content") or "", logprobs))
                if reason := choice.get("finish_reason"):
                    found.append(Finish(index, "length" if reason == "length" else "stop"))
            if usage := chunk.get("usage"):
                found.append(Used(_usage(usage)))
            return found
        except (ValueError, TypeError, AttributeError):
            raise self._broken("said something that is no answer") from None


def _encoded(body: Mapping[str, Any]) -> bytes:
    """Pictures make it long; so it is made in a thread."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


# What an error in the middle of a stream would have been before it.
_STATUS = {"deadline_exceeded": 504, "stalled": 504, "out_of_memory": 503, "draining": 503, "internal_error": 500}


def _usage(raw: Mapping[str, Any]) -> Usage:
    details = raw.get("prompt_tokens_details") or {}
    return Usage(
        prompt_tokens=int(raw.get("prompt_tokens") or 0),
        completion_tokens=int(raw.get("completion_tokens") or 0),
        total_tokens=int(raw.get("total_tokens") or 0),
        prompt_tokens_details=PromptDetails(
            cached_tokens=int(details.get("cached_tokens") or 0), image_tokens=int(details.get("image_tokens") or 0)
        ),
    )
