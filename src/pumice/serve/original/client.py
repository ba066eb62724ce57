"""A client of the original's protocol, for its two small helpers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

from pumice.errors import AuthError, ServerError
from pumice.serve.cluster.stream import END, LONGEST, Joiner

_SILENCE_S = 60.0


class OriginalClient:
    """Speaks to controllers and workers. token: the cluster's."""

    def __init__(self, token: str) -> None:
        self._client = httpx2.Client(
            headers={"authorization": f"Bearer {token}", "accept-encoding": "identity"},
            timeout=_SILENCE_S,
            follow_redirects=False,
            trust_env=False,
        )

    def register(self, controller: str, name: str, *, beats: bool) -> None:
        """Registers the worker of that name, whose status the controller asks for itself."""
        told = {"worker_name": name, "check_heart_beat": beats, "worker_status": None}
        self._post(f"{controller}/register_worker", told)

    def address(self, controller: str, model: str) -> str:
        """The address of a worker that has the model. Raises ServerError if there is none."""
        self._post(f"{controller}/refresh_all_workers", None)
        address = self._post(f"{controller}/get_worker_address", {"model": model})["address"]
        if not address:
            models = self._post(f"{controller}/list_models", None)["models"]
            hint = f"there are: {', '.join(models)}" if models else "no worker is registered"
            raise ServerError(f"no worker has the model {model!r}", hint=hint)
        return str(address)

    def stream(self, worker: str, payload: dict[str, object]) -> Iterator[str]:
        """The pieces of an answer, the prompt left out. Raises ServerError if the worker fails."""
        done = len(str(payload["prompt"]))
        for message in self._messages(f"{worker}/worker_generate_stream", payload):
            if message["error_code"]:
                error = message.get("error", {})
                raise ServerError(error.get("message", message["text"]), hint=error.get("hint"))
            yield message["text"][done:]
            done = len(message["text"])

    def _messages(self, url: str, payload: dict[str, object]) -> Iterator[dict[str, Any]]:
        joiner = Joiner()
        with self._asked(url, payload) as answer:
            for part in answer.iter_raw():
                yield from map(json.loads, joiner.whole(part).split(END)[:-1])
            joiner.finish()

    def _post(self, url: str, value: object) -> Any:
        with self._asked(url, value) as answer:
            return json.loads(_text(answer))

    @contextmanager
    def _asked(self, url: str, value: object) -> Iterator[httpx2.Response]:
        """The answer, to be read. value: sent as JSON; None for an empty body."""
        try:
            with self._client.stream("POST", url, json=value) as answer:
                if answer.status_code != 200:
                    raise _refusal(url, answer)
                yield answer
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise ServerError(f"{url} cannot be reached: {error}", hint="is it running?") from None
        except ValueError:
            raise ServerError(f"what {url} answers is not JSON", hint="is that the original's protocol?") from None


def _text(answer: httpx2.Response) -> bytes:
    """The whole answer. Raises ServerError for one without bounds."""
    text = b""
    for part in answer.iter_raw():
        text += part
        if len(text) > LONGEST:
            raise ServerError("the answer is too long")
    return text


def _refusal(url: str, answer: httpx2.Response) -> ServerError | AuthError:
    try:
        error = json.loads(_text(answer))["error"]
        words, hint = str(error["message"]), error.get("hint")
    except (ValueError, KeyError, TypeError):
        words, hint = f"{url} answered with status {answer.status_code}", None
    return (AuthError if answer.status_code in (401, 403) else ServerError)(words, hint=hint)
