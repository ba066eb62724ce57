"""A page to log in with an API key, for browsers, which cannot send one by themselves. It has no script.

The session is a cookie that names a key and an end, signed with a secret that stays on this machine. So it survives a
restart, and ends when the key is revoked.
"""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Callable
from functools import cached_property
from http.cookies import CookieError, SimpleCookie
from secrets import token_hex
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from pumice.serve.guard.keys import Key, Keys
from pumice.serve.guard.secret_files import kept_secret

OPEN_PATHS = ("/login", "/logout")
COOKIE = "pumice_session"
LASTS_S = 7 * 24 * 3600
_TICKET = re.compile(r"([0-9a-f]{16})\.([0-9]{1,12})\.([0-9a-f]{64})")
_LONGEST_FORM = 4096
_FREE_TRIES, _LONGEST_WAIT_S, _MOST_PEERS = 5, 60.0, 10_000
_HEADERS = {
    "content-security-policy": "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "cache-control": "no-store",
}
_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Pumice</title>
</head>
<body>
<h1>Pumice</h1>
{content}
</body>
</html>
"""
_LOGIN_FORM = """\
<form method="post" action="/login">
<p><label for="key">API key</label>
<input id="key" name="key" type="password" required autocomplete="current-password"></p>
<p><button type="submit">Log in</button></p>
</form>"""
_LOGOUT_FORM = '<form method="post" action="/logout"><p><button type="submit">Log out</button></p></form>'


class Login:
    """The ASGI application behind ``/login`` and ``/logout``, and the reader of its own cookies.

    now: seconds since the epoch. clock: seconds that only grow.
    """

    def __init__(
        self, keys: Keys, *, now: Callable[[], float] = time.time, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._keys = keys
        self._now = now
        self._throttle = Throttle(clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        path = scope["path"]
        if request.method == "GET":
            answer: Response = _page(_LOGIN_FORM if path == "/login" else _LOGOUT_FORM)
        elif request.method != "POST":
            answer = _page("<p>GET or POST.</p>", 405)
        elif path == "/logout":
            answer = RedirectResponse("/login", 303)
            answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        else:
            answer = await self._log_in(request)
        await answer(scope, receive, send)

    def session(self, headers: Headers) -> Key | None:
        """The key behind a request's cookie; None if it is forged, has ended, or its key was revoked."""
        cookies = SimpleCookie()
        try:
            cookies.load(headers.get("cookie", ""))
        except CookieError:
            return None
        ticket = _TICKET.fullmatch(cookies[COOKIE].value) if COOKIE in cookies else None
        if ticket is None:
            return None
        key_id, end, signature = ticket.groups()
        if not hmac.compare_digest(signature, self._sign(key_id, end)) or int(end) <= self._now():
            return None
        return self._keys.by_id(key_id)

    async def _log_in(self, request: Request) -> Response:
        peer = request.client.host if request.client else ""
        wait = self._throttle.wait_s(peer)
        if wait > 0:
            answer = _page(f"<p>Too many tries. Wait {wait:.0f} seconds.</p>{_LOGIN_FORM}", 429)
            answer.headers["retry-after"] = str(int(wait) + 1)
            return answer
        given = await _field(request, "key")
        key = self._keys.find(given.strip().encode("utf-8", "replace")) if given is not None else None
        if key is None or not key.may("infer"):
            self._throttle.failed(peer)
            return _page(f"<p>This key is wrong, or was revoked.</p>{_LOGIN_FORM}", 401)
        self._throttle.succeeded(peer)
        end = str(int(self._now()) + LASTS_S)
        welcome = RedirectResponse("/", 303)
        ticket = f"{key.id}.{end}.{self._sign(key.id, end)}"
        secure = request.url.scheme == "https" or request.headers.get("origin", "").startswith("https://")
        welcome.set_cookie(COOKIE, ticket, max_age=LASTS_S, httponly=True, samesite="strict", secure=secure)
        return welcome

    @cached_property
    def _secret(self) -> bytes:
        return kept_secret(self._keys.file.with_name("session-secret"), lambda: token_hex(32)).encode("utf-8")

    def _sign(self, key_id: str, end: str) -> str:
        return hmac.new(self._secret, f"{key_id}.{end}".encode("ascii"), "sha256").hexdigest()


class Throttle:
    """Makes those wait who fail often: five tries are free, then each failure doubles the pause."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures: dict[str, tuple[int, float]] = {}  # peer: how many, and when the pause ends

    def wait_s(self, peer: str) -> float:
        """Seconds until ``peer`` may try again."""
        return max(0.0, self._failures.get(peer, (0, 0.0))[1] - self._clock())

    def failed(self, peer: str) -> None:
        count = self._failures.pop(peer, (0, 0.0))[0] + 1
        pause = min(2.0 ** min(count - _FREE_TRIES, 10), _LONGEST_WAIT_S) if count >= _FREE_TRIES else 0.0
        if len(self._failures) >= _MOST_PEERS:  # who failed longest ago is forgotten
            del self._failures[next(iter(self._failures))]
        self._failures[peer] = (count, self._clock() + pause)

    def succeeded(self, peer: str) -> None:
        self._failures.pop(peer, None)


async def _field(request: Request, name: str) -> str | None:
    """One field of a short form; None if it is not there exactly once."""
    body = b""
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > _LONGEST_FORM:
                return None
        values = parse_qs(body.decode("ascii"), max_num_fields=8).get(name, [])
    except (ClientDisconnect, ValueError):
        return None
    return values[0] if len(values) == 1 else None


def _page(content: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(_PAGE.format(content=content), status, _HEADERS)
