"""Who may come in: one rule, in front of every route. What is not let in explicitly stays out.

``/health`` is open. Callers from this machine need nothing as long as there never was an API key. Everybody else needs
an API key; on a server of the realm cluster, the cluster token or a key with the scope admin.
"""

from __future__ import annotations

import hmac
import math
from dataclasses import dataclass
from functools import partial

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from pumice.serve.guard.errors import ApiError, Failure, request_id_of, response
from pumice.serve.guard.keeping import Doorkeeping, is_loopback
from pumice.serve.guard.keys import Key, Permission
from pumice.serve.guard.login import OPEN_PATHS, Login
from pumice.serve.guard.rates import Rates
from pumice.serve.guard.request_checks import host_is_ours

OPEN = "/health"
#: Where a request is a question. The page's are counted by the page: most of what it posts is none.
_QUESTIONS = ("/v1/chat/completions", "/worker_generate_stream")
# A request with one of these came through a proxy: its sender is somewhere else, whatever the socket says.
_PROXY_MARKS = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")

_NO_ADMIN = Failure(403, "forbidden", "this key has not the scope admin", "pumice keys create NAME --scope admin")


@dataclass(frozen=True)
class Caller:
    """Who a request comes from.

    name: of the API key, or ``cluster``, or ``loopback``. scopes: what it may do. cluster: it holds the cluster token.
    key: it is known by an API key.
    """

    name: str
    scopes: tuple[Permission, ...] = ()
    cluster: bool = False
    key: bool = False

    def may(self, scope: Permission) -> bool:
        return scope in self.scopes or "admin" in self.scopes


def caller_of(scope: Scope) -> Caller:
    """Who the doors let in."""
    caller = scope["state"]["caller"]
    assert isinstance(caller, Caller)
    return caller


def require_cluster(scope: Scope) -> None:
    """Raises ApiError unless the caller holds the cluster token: no key and no place stands in for it."""
    if not caller_of(scope).cluster:
        raise ApiError(
            Failure(
                401,
                "invalid_api_key",
                "this needs the cluster token",
                "set PUMICE_CLUSTER_TOKEN to the same value on every machine",
            )
        )


def require_admin(scope: Scope) -> None:
    """Raises ApiError unless the caller may do everything. The doors of a cluster's server have asked already."""
    if not caller_of(scope).may("admin"):
        raise ApiError(_NO_ADMIN)


def count_question(scope: Scope) -> Failure | None:
    """Counts a question that the caller asks by way of another request; why it may not be asked, if that is so."""
    count = scope.get("state", {}).get("count_question")
    found = None if count is None else count()  # without doors nobody counts
    assert found is None or isinstance(found, Failure)
    return found


class Doors:
    """ASGI middleware. Puts the ``Caller`` into ``scope["state"]["caller"]``, or answers itself."""

    def __init__(self, app: ASGIApp, how: Doorkeeping) -> None:
        self._app = app
        self._how = how
        self._login = Login(how.keys) if how.login else None
        self._rates = Rates(how.per_minute) if how.per_minute is not None else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        if scope["path"] == OPEN:
            scope["state"]["caller"] = Caller("anyone")
        elif self._login is not None and scope["path"] in OPEN_PATHS:
            await self._login(scope, receive, send)
            return
        else:
            found = self._caller(scope, headers)
            if isinstance(found, Failure):
                if found.status == 401 and self._login is not None and _is_browser(scope, headers):
                    await RedirectResponse("/login", 303)(scope, receive, send)
                else:
                    await response(found, request_id_of(scope))(scope, receive, send)
                return
            asks = scope["method"] == "POST" and scope["path"] in _QUESTIONS
            if asks and (failure := self._asked_too_often(found)) is not None:
                await response(failure, request_id_of(scope))(scope, receive, send)
                return
            scope["state"]["caller"] = found
            scope["state"]["count_question"] = partial(self._asked_too_often, found)
        await self._app(scope, receive, send)

    def _asked_too_often(self, caller: Caller) -> Failure | None:
        """Counts a question of the caller's; why it may not be asked. Only those of API keys are limited."""
        if self._rates is None or not caller.key or not (wait := self._rates.wait_for(caller.name)):
            return None
        words = f"this key may ask {self._how.per_minute:g} questions a minute"
        return Failure(429, "rate_limit", words, f"ask again in {math.ceil(wait)} s", retry_after_s=wait)

    def _caller(self, scope: Scope, headers: Headers) -> Caller | Failure:
        keys = self._how.keys
        presented = credentials(headers)
        if len(presented) > 1:
            return Failure(401, "invalid_api_key", "expected one API key, found several that differ")
        secret = next(iter(presented), None)
        token = self._how.cluster_token
        if token and hmac.compare_digest(secret or b"", token.encode("utf-8")):
            return Caller("cluster", ("admin",), cluster=True)
        for name, own in self._how.clients.items():
            if hmac.compare_digest(secret or b"", own.encode("utf-8")):
                return Caller(name, ("infer",))
        if not keys.exist and self._is_here(scope, headers):
            return Caller("loopback", ("admin",))
        key = keys.find(secret) if secret is not None else None
        if key is None and secret is None and self._login is not None:
            key = self._login.session(headers)
        return self._admitted(key, secret)

    def _admitted(self, key: Key | None, secret: bytes | None) -> Caller | Failure:
        cluster = self._how.scope == "cluster"
        if key is None:
            what = "the cluster token or an API key with the scope admin" if cluster else "an API key"
            message = f"this needs {what}" if secret is None else "this key is wrong, or was revoked"
            return Failure(401, "invalid_api_key", message, "send it as: Authorization: Bearer KEY")
        if not key.may("admin" if cluster else "infer"):
            return _NO_ADMIN
        return Caller(key.name, key.scopes, key=True)

    def _is_here(self, scope: Scope, headers: Headers) -> bool:
        """Whether the request was made on this machine, and not by a stranger's page in a browser on it."""
        client = scope.get("client")
        if client is None or not is_loopback(client[0]) or any(mark in headers for mark in _PROXY_MARKS):
            return False
        return host_is_ours(headers, self._how)


def credentials(headers: Headers) -> set[bytes]:
    """The different keys that a request brings, as the bytes that were sent."""
    found = set()
    for value in headers.getlist("authorization"):
        scheme, _, rest = value.strip().partition(" ")
        found.add(rest.strip() if scheme.lower() == "bearer" else "")
    for name in ("x-api-key", "api-key"):
        found.update(value.strip() for value in headers.getlist(name))
    return {each.encode("latin-1") for each in found}


def _is_browser(scope: Scope, headers: Headers) -> bool:
    return scope["method"] == "GET" and "text/html" in headers.get("accept", "")
