"""What a request must look like before anything is done with it: address, host, origin, kind of body. Pure rules."""

from __future__ import annotations

import re

from starlette.datastructures import Headers
from starlette.types import Scope

from pumice.serve.guard.errors import Failure
from pumice.serve.guard.keeping import Doorkeeping, is_loopback

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
MOST_HEADERS, MOST_HEADER_BYTES = 200, 64 << 10
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\\]")
# The only place that takes files, and the only one that takes a form.
_UPLOADS, _LOGIN = "/gradio_api/", "/login"


def objection(scope: Scope, how: Doorkeeping) -> Failure | None:
    """Why a request is refused whoever sends it; None if it may come to the door."""
    headers = Headers(scope=scope)
    return (
        _about_framing(scope, headers)
        or _about_address(scope["path"])
        or _about_host(headers, how)
        or _about_origin(headers, how)
        or _about_content(scope, headers, how)
        or _about_length(headers, how)
    )


def host_is_ours(headers: Headers, how: Doorkeeping) -> bool:
    """Whether the server was called by a name that a stranger's domain cannot have."""
    host = _host_name(headers.get("host", ""))
    return is_loopback(host) or host in {each.lower() for each in how.allowed_hosts}


def _about_framing(scope: Scope, headers: Headers) -> Failure | None:
    """Two servers must not disagree on where a request ends."""
    if scope["method"] not in METHODS:
        return Failure(405, "method_not_allowed", f"expected one of {', '.join(sorted(METHODS))}")
    if len(headers.raw) > MOST_HEADERS:
        return Failure(431, "request_too_large", f"expected at most {MOST_HEADERS} headers, found {len(headers.raw)}")
    held = len(scope["path"]) + len(scope["query_string"]) + sum(len(name) + len(value) for name, value in headers.raw)
    if held > MOST_HEADER_BYTES:
        return long_headers()
    if scope["http_version"] not in ("1.0", "1.1"):
        return Failure(400, "invalid_request", "expected HTTP/1.1")
    if "transfer-encoding" in headers and "content-length" in headers:
        return Failure(400, "invalid_request", "a request has Content-Length or Transfer-Encoding, not both")
    if len(headers.getlist("content-type")) > 1:
        return Failure(400, "invalid_request", "expected one Content-Type, found several")
    return None


def _about_address(address: str) -> Failure | None:
    if _UNPRINTABLE.search(address) or {".", ".."} & set(address.split("/")):
        return Failure(400, "invalid_request", "the address holds '..', a backslash or control characters")
    return None


def _about_host(headers: Headers, how: Doorkeeping) -> Failure | None:
    """A page of a stranger can make a browser call this machine, under the stranger's name (DNS rebinding)."""
    for_others = not is_loopback(how.host)
    if host_is_ours(headers, how) or (for_others and not how.allowed_hosts):
        return None
    if for_others and _host_name(headers.get("host", "")) == how.host.lower():
        return None
    return Failure(
        400, "invalid_request", "this server does not go by that host name", "start it with --allowed-host NAME"
    )


def _about_origin(headers: Headers, how: Doorkeeping) -> Failure | None:
    """No page but this server's own may use it from a browser."""
    for origin in headers.getlist("origin"):
        _, _, place = origin.partition("://")
        allowed = {each.lower() for each in how.allowed_hosts}
        if not place or (place.lower() != headers.get("host", "").lower() and _host_name(place) not in allowed):
            return Failure(403, "forbidden", "requests from other web pages are refused")
    return None


def _about_content(scope: Scope, headers: Headers, how: Doorkeeping) -> Failure | None:
    """A form on a stranger's page can send anything but JSON."""
    if scope["method"] not in ("POST", "PUT", "PATCH"):
        return None
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        return Failure(
            415, "unsupported_media_type", "expected a body without Content-Encoding", "send it uncompressed"
        )
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    empty = headers.get("content-length", "0").strip() == "0" and "transfer-encoding" not in headers
    if kind == "application/json" or (not kind and empty):
        return None
    if kind == "multipart/form-data" and how.scope == "web" and scope["path"].startswith(_UPLOADS):
        return None
    if kind == "application/x-www-form-urlencoded" and how.login and scope["path"] in (_LOGIN, "/logout"):
        return None
    found = kind if re.fullmatch(r"[a-z0-9.+/-]{1,80}", kind) else "something else"
    words = f"found {found}" if kind else "and the request has no Content-Type"
    return Failure(415, "unsupported_media_type", f"expected content type application/json, {words}")


def _about_length(headers: Headers, how: Doorkeeping) -> Failure | None:
    try:
        long = int(headers.get("content-length", "0")) > how.max_body
    except ValueError:
        return Failure(400, "invalid_request", "Content-Length is not a number")
    return too_large(how.max_body) if long else None


def long_headers() -> Failure:
    """The refusal of headers that are too long, be they seen here or before."""
    return Failure(431, "request_too_large", f"the address and the headers may have {MOST_HEADER_BYTES} bytes")


def too_large(limit: int) -> Failure:
    """The refusal of a body that is longer than ``limit`` bytes."""
    return Failure(
        413, "request_too_large", f"a request's body may have {limit} bytes", "send fewer or smaller pictures"
    )


def _host_name(host: str) -> str:
    """A Host header or the place of an Origin without the port."""
    if host.startswith("["):
        return host.partition("]")[0].strip("[").lower()
    return host.partition(":")[0].lower()
