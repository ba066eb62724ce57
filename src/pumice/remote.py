"""Client of any OpenAI-compatible server, our own included: messages go out, pieces of text come back.

    async for event in Remote("http://127.0.0.1:8000/v1").stream([message("user", "What is this?", [data])]):
        print(event.text if isinstance(event, Delta) else event.finish_reason)

Requests, retries and server-sent events are the `openai` library's, which is imported on first use. Errors become ours,
with the server's own words, its hint and its number of the request.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

from pumice.errors import (
    AuthError,
    ImageError,
    ModelError,
    NoVisionError,
    PumiceError,
    ServerError,
    TooLongError,
    UsageError,
)

if TYPE_CHECKING:
    from httpx2 import Request
    from openai import APIError, AsyncOpenAI, AsyncStream
    from openai.types.chat import ChatCompletionChunk

Message: TypeAlias = dict[str, Any]

# Parameters that the library has names for; others travel in the body as they are.
_OPENAI = {
    *("model", "temperature", "top_p", "max_tokens", "max_completion_tokens", "seed", "stop", "n", "logprobs"),
    *("top_logprobs", "response_format", "user", "timeout"),
}
_NO_LIBRARY = "talking to a server needs the 'openai' library"
_SIGNATURES = ((b"\x89PNG", "image/png"), (b"\xff\xd8", "image/jpeg"), (b"GIF8", "image/gif"), (b"RIFF", "image/webp"))


@dataclass(frozen=True)
class Delta:
    """A piece of an answer, not empty."""

    text: str


@dataclass(frozen=True)
class End:
    """How an answer ended: ``stop``, ``length`` or what else the server says, and the tokens it counted, if it did."""

    finish_reason: str
    usage: Mapping[str, Any] = field(default_factory=dict)
    request_id: str | None = None


@dataclass(frozen=True)
class RemoteModel:
    """What a server says of one of its models; None and {} where it says nothing, as most servers do.

    details: everything that came with it.
    """

    id: str
    sees_images: bool | None = None
    max_model_len: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


class FailedRequestError(ServerError):
    """A server's refusal or failure. code: its own name for it; status: of HTTP; None if it did not come that far."""

    def __init__(
        self, text: str, *, hint: str | None = None, code: str | None = None, status: int | None = None
    ) -> None:
        super().__init__(text, hint=hint)
        self.code = code
        self.status = status


class Remote:
    """One server. Any number of requests at a time, all of one event loop."""

    def __init__(
        self, url: str, *, key: str | None = None, timeout_s: float = 600, retries: int = 2, connect_s: float = 5
    ) -> None:
        """url: as OpenAI's ``base_url``, mostly ending in ``/v1``. timeout_s: the longest silence.

        retries: of requests that were refused for now, or never reached the server; none once text has come.
        Raises: PumiceError if the library is not installed.
        """
        self.url = url.rstrip("/")
        self._has_key = bool(key)
        self._client = openai_client(self.url, key, timeout_s=timeout_s, retries=retries, connect_s=connect_s)

    async def models(self) -> list[RemoteModel]:
        """What the server offers. Raises as ``stream`` does."""
        import openai

        try:
            answer = await self._client.models.with_raw_response.list()
        except openai.APIError as error:
            raise self._ours(error) from None
        try:
            return [_model(each) for each in json.loads(answer.text)["data"]]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise FailedRequestError(
                f"what answers at {self.url} is no OpenAI-compatible server",
                hint="expected an address such as http://127.0.0.1:8000/v1",
            ) from None

    async def ready(self) -> bool:
        """Whether there is a model to ask just now."""
        try:
            return bool(await self.models())
        except PumiceError:
            return False

    async def unready(self) -> str | None:
        """Why it answers no questions just now, in its own words; None if it does, or does not say, as most servers."""
        import openai

        client = self._client.with_options(max_retries=0)
        try:
            await client.get(f"{self.url.removesuffix('/v1')}/ready", cast_to=object)
        except openai.APIStatusError as error:
            return str(self._ours(error)) if error.status_code == 503 and isinstance(error.body, dict) else None
        except openai.APIError:
            return None
        return None

    async def stream(self, messages: Sequence[Message], *, model: str, **parameters: Any) -> AsyncIterator[Delta | End]:
        """The answer piece by piece, then one ``End``. Leaving the loop (``aclose``) ends it on the server as well.

        parameters: as in the body of a request. Raises: FailedRequestError, AuthError, ModelError, ImageError or
        UsageError, by what the server says; a stream that breaks off is never taken for a whole answer.
        """
        import httpx2
        import openai

        usage: dict[str, Any] = {}
        reason = request_id = None
        began = False
        try:
            answer = await self._opened(list(messages), {"model": model, **parameters})
            began = True
            try:
                request_id = answer.response.headers.get("x-request-id")
                async for chunk in answer:
                    usage = chunk.usage.model_dump() if chunk.usage else usage
                    for choice in chunk.choices:
                        if choice.delta.content:
                            yield Delta(choice.delta.content)
                        reason = choice.finish_reason or reason
            finally:
                await answer.close()
        except openai.APIError as error:
            if began and isinstance(error, openai.APIConnectionError):
                late = isinstance(error, openai.APITimeoutError)
                raise self._broken("nothing more came" if late else "the connection was lost", request_id) from None
            raise self._ours(error, request_id) from None
        except httpx2.HTTPError as error:
            raise self._broken(f"{type(error).__name__}", request_id) from None
        if reason is None:
            raise self._broken("it never said that the answer was complete", request_id)
        yield End(reason, usage, request_id)

    async def _opened(self, messages: list[Any], wanted: dict[str, Any]) -> AsyncStream[ChatCompletionChunk]:
        create: Any = self._client.chat.completions.create  # its overloads know no parameters of other servers
        known = {name: value for name, value in wanted.items() if name in _OPENAI}
        extra = {name: value for name, value in wanted.items() if name not in _OPENAI}
        answer: AsyncStream[ChatCompletionChunk] = await create(
            messages=messages, stream=True, stream_options={"include_usage": True}, extra_body=extra or None, **known
        )
        return answer

    async def close(self) -> None:
        """Gives the connections back."""
        await self._client.close()

    def _broken(self, why: str, request_id: str | None) -> PumiceError:
        error = FailedRequestError(f"the server at {self.url} broke off: {why}", hint="ask again", code="broken_off")
        error.request_id = request_id
        return error

    def _ours(self, error: APIError, request_id: str | None = None) -> PumiceError:
        return our_error(error, self.url, has_key=self._has_key, request_id=request_id)


def our_error(error: APIError, url: str, *, has_key: bool, request_id: str | None = None) -> PumiceError:
    """What the library says went wrong at ``url``, as one of our errors."""
    import openai

    if isinstance(error, openai.APIConnectionError):
        why = "does not answer in time" if isinstance(error, openai.APITimeoutError) else "cannot be reached"
        return FailedRequestError(
            f"the server at {url} {why}", hint="is it running, and is the address right?", code="unreachable"
        )
    body: Mapping[str, Any] = error.body if isinstance(error.body, dict) else {}
    text, hint = str(body.get("message") or body.get("detail") or error.message), body.get("hint") or None
    status = error.status_code if isinstance(error, openai.APIStatusError) else None
    kind = _KINDS.get(error.code) or _KINDS.get(status)
    if status == 401 and not has_key:
        text, hint = "this server wants a key", "put it into PUMICE_API_KEY"
    failed = FailedRequestError(text, hint=hint, code=error.code, status=status)
    ours = failed if kind is None else kind(text, hint=hint)
    ours.request_id = body.get("request_id") or getattr(error, "request_id", None) or request_id
    return ours


# What a refusal means here, by the server's name for it, else by its status.
_KINDS: dict[str | int | None, type[PumiceError]] = {
    "invalid_image": ImageError,
    "url_not_allowed": ImageError,
    "model_not_found": ModelError,
    "context_length_exceeded": TooLongError,
    "model_does_not_support_images": NoVisionError,
    400: UsageError,
    401: AuthError,
    403: AuthError,
    404: ModelError,
    413: UsageError,
    415: UsageError,
    422: UsageError,
}


def message(role: str, text: str, pictures: Sequence[bytes | str] = ()) -> Message:
    """A message, its pictures in front of the words: files' bytes, or URLs of a kind that the server takes."""
    if not pictures:
        return {"role": role, "content": text}
    urls = (picture if isinstance(picture, str) else data_uri(picture) for picture in pictures)
    parts: list[Message] = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return {"role": role, "content": [*parts, {"type": "text", "text": text}]}


def base_url(text: str, flag: str) -> str:
    """Where a server's interface begins; where only a host is given, its usual path is added. Raises UsageError."""
    url = server_url(text, flag, "http://127.0.0.1:8000/v1")
    return url + ("" if urlsplit(url).path.strip("/") else "/v1")


def server_url(text: str, flag: str, such_as: str = "http://127.0.0.1:21001") -> str:
    """A server's address, without a slash at its end. Raises UsageError, which names ``flag``."""
    try:
        parts = urlsplit(text)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port or an address that is none
        fine = False
    if not fine:
        raise UsageError(f"{flag}: expected a URL like {such_as}, found {text!r}")
    return text.rstrip("/")


def data_uri(data: bytes) -> str:
    """A file's bytes as a ``data:`` URI."""
    kind = next((kind for start, kind in _SIGNATURES if data.startswith(start)), "application/octet-stream")
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _model(found: Mapping[str, Any]) -> RemoteModel:
    kinds = found.get("input_modalities")
    length = found.get("max_model_len")
    return RemoteModel(
        id=str(found["id"]),
        sees_images="image" in kinds if isinstance(kinds, list) else None,
        max_model_len=length if isinstance(length, int) else None,
        details=dict(found),
    )


def openai_client(
    url: str, key: str | None, *, timeout_s: float, retries: int, connect_s: float = 5, connections: int = 100
) -> AsyncOpenAI:
    """The library's client of one server, which sends nothing anywhere else. Raises PumiceError without the library."""
    try:
        import httpx2
        from openai import AsyncOpenAI
    except ImportError:
        raise PumiceError(_NO_LIBRARY, hint="pip install 'pumice[client]'") from None
    timeout = httpx2.Timeout(timeout_s, connect=connect_s)
    # Without proxies and ambient settings: keys and pictures go where the caller said, and nowhere else.
    transport = httpx2.AsyncClient(
        trust_env=False,
        timeout=timeout,
        limits=httpx2.Limits(max_connections=connections, keepalive_expiry=3),  # before the usual server's 5 s
        follow_redirects=False,
        event_hooks={} if key else {"request": [_without_key]},
    )
    return AsyncOpenAI(base_url=url, api_key=key or "none", max_retries=retries, timeout=timeout, http_client=transport)


async def _without_key(request: Request) -> None:
    """The library insists on a key; a server would take its stand-in for a wrong one."""
    del request.headers["authorization"]
