"""Sends one request once, and says of each failure whether it may have been charged and whether to try again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pumice.errors import AuthError, ModelError, PumiceError
from pumice.paid.answers import FREE, SPOILT, UNSURE, Lost, QuotaError, RefusedForGoodError, Usage
from pumice.paid.keys import KEY_HINT
from pumice.paid.limits import retry_after_s
from pumice.paid.reading import Reply, UnreadableError, read, shortened
from pumice.paid.request import Request
from pumice.remote import FailedRequestError, openai_client, our_error

if TYPE_CHECKING:
    from openai import APIConnectionError, APIStatusError

# What servers call an account without money; it comes with status 429 as well.
_NO_MONEY = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}
_LIMITED = 429
#: Statuses for which this one request is at fault. All else below 500 concerns the key, the address or the model.
AT_FAULT = {400, 413, 415, 422, 451}
_PASSING = {408, 409, 425}
# Somebody in between lost an answer, or did not wait for it.
_PERHAPS_CHARGED = {408, 502, 504, *range(520, 528)}
_LONGEST_HOLD_S = 900.0


@dataclass(frozen=True)
class Failure:
    """Why a sending brought no answer.

    how: whether it was charged; usage: for what, if the server said so. again: it may pass.
    wait_s: when to come back, in the server's words. limited: it was asked too fast.
    """

    error: PumiceError
    how: Lost
    again: bool
    wait_s: float | None = None
    limited: bool = False
    usage: Usage | None = None


class Sender:
    """The connection to one server."""

    def __init__(
        self,
        url: str,
        key: str | None,
        *,
        timeout_s: float,
        connections: int,
        heed: Callable[[Mapping[str, str]], None],
    ) -> None:
        """timeout_s: for one whole answer. heed: is given the headers of all that the server sends."""
        self._url = url.rstrip("/")
        self._has_key = bool(key)
        self._timeout_s = timeout_s
        self._heed = heed
        self._client = openai_client(self._url, key, timeout_s=timeout_s, retries=0, connections=connections)

    async def send(self, request: Request, expected_tokens: int) -> Reply | Failure:
        """The answer, or why there is none."""
        import httpx2
        import openai

        sending = self._client.post("/chat/completions", cast_to=httpx2.Response, body=request.body)
        try:
            response = await asyncio.wait_for(sending, self._timeout_s)
        except (asyncio.TimeoutError, openai.APITimeoutError) as error:
            late = f"the server at {self._url} did not answer within {self._timeout_s:g} s"
            return self._unheard(late, error, "timeout")
        except openai.APIStatusError as error:
            self._heed(error.response.headers)
            return refused(error, self._url, has_key=self._has_key)
        except openai.APIConnectionError as error:
            return self._unheard(str(our_error(error, self._url, has_key=self._has_key)), error, "unreachable")
        self._heed(response.headers)
        try:
            return read(response.content, request.model, expected_tokens)
        except UnreadableError as error:
            text = f"the server at {self._url} sent no answer: {error}"
            how = UNSURE if error.usage is None else SPOILT
            return Failure(FailedRequestError(text, code="unreadable"), how, again=True, usage=error.usage)

    async def close(self) -> None:
        """Gives the connections back."""
        await self._client.close()

    def _unheard(self, text: str, error: APIConnectionError | asyncio.TimeoutError, code: str) -> Failure:
        import httpx2

        never_sent = isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout)
        hint = "is it running, and is the address right?"
        ours = FailedRequestError(text, hint=hint, code="unreachable" if never_sent else code)
        return Failure(ours, FREE if never_sent else UNSURE, again=True)


def refused(error: APIStatusError, url: str, *, has_key: bool) -> Failure:
    """What a refusal by the server at ``url`` means."""
    ours = our_error(error, url, has_key=has_key)
    status, text, wait_s = error.status_code, shortened(str(ours)), retry_after_s(error.response.headers)
    if error.code in _NO_MONEY or status == 402:
        return Failure(QuotaError(text, hint="add credit to the account, then go on; nothing is lost"), FREE, False)
    if wait_s is not None and wait_s > _LONGEST_HOLD_S:
        late = f"the server at {url} wants to be asked again in {wait_s / 3600:.1f} h: {text}"
        return Failure(QuotaError(late, hint="go on then; nothing is lost"), FREE, False)
    if status in (401, 403):
        return Failure(AuthError(text, hint=KEY_HINT), FREE, False)
    if status in AT_FAULT:
        final = RefusedForGoodError(text, hint=ours.hint, code=error.code, status=status)
        final.request_id = ours.request_id
        return Failure(final, FREE, False)
    if status >= 500 or status in (_LIMITED, *_PASSING):
        failed = FailedRequestError(f"status {status}: {text}", hint=ours.hint, code=error.code, status=status)
        how = UNSURE if status in _PERHAPS_CHARGED else FREE
        return Failure(failed, how, True, wait_s, limited=status == _LIMITED)
    hint = "is that model offered there? expected an address such as https://api.openai.com/v1"
    return Failure(ModelError(f"the server at {url} answered with status {status}: {text}", hint=hint), FREE, False)
