"""The requests behind ``images.fetch``: one parser, one check, one dialler for every hop.

The parser that reads a URL for the check is the one that builds the request, so the two cannot disagree.
"""

from __future__ import annotations

import ssl
import time

import httpcore2
import httpx2

from pumice.errors import BlockedUrlError, ImageError
from pumice.images.dial import GuardedDialler, RefusedAddressError, Resolver, TlsError
from pumice.images.policy import FetchPolicy, host_is_plain, in_domains, is_local_name

_OK = 200
_REDIRECTS = (301, 302, 303, 307, 308)
_PRIVATE_HINT = "pass --allow-private-urls to reach addresses and ports of your own network"
_NEVER_HINT = "download the picture yourself and pass the file"
_STRANGERS_HINT = "send the picture itself"
_HEADERS = [(b"Accept", b"image/*"), (b"Accept-Encoding", b"identity"), (b"User-Agent", b"pumice")]


def download(url: str, policy: FetchPolicy, resolve: Resolver, tls: ssl.SSLContext | None) -> bytes:
    """What ``images.fetch.fetch`` promises."""
    deadline = time.monotonic() + policy.deadline_s
    dialler = GuardedDialler(
        allow_private=policy.allow_private,
        ports=policy.ports,
        connect_s=policy.connect_s,
        deadline=deadline,
        resolve=resolve,
    )
    first = _checked(url, policy)
    what = f"cannot fetch image from {_quoted(first)}"
    try:
        with httpcore2.ConnectionPool(network_backend=dialler, ssl_context=tls) as pool:
            return _follow(pool, first, policy, what)
    except RefusedAddressError as refusal:
        raise _refused(what, policy, could_be_allowed=refusal.can_be_allowed) from None
    except (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError, ValueError) as error:
        raise ImageError(f"{what}: {_reason(error, deadline, policy)}") from None


def _follow(pool: httpcore2.ConnectionPool, target: httpx2.URL, policy: FetchPolicy, what: str) -> bytes:
    for _ in range(policy.max_redirects + 1):
        answer = _get(pool, target, policy, what)
        if isinstance(answer, bytes):
            return answer
        target = _checked(answer, policy, base=target)
    raise ImageError(f"{what}: more than {policy.max_redirects} redirects")


def _get(pool: httpcore2.ConnectionPool, target: httpx2.URL, policy: FetchPolicy, what: str) -> bytes | str:
    """One request: the body, or where the server sends us instead."""
    address = httpcore2.URL(
        scheme=target.raw_scheme, host=target.raw_host, port=target.port, target=target.raw_path or b"/"
    )
    with pool.stream("GET", address, headers=[(b"Host", target.netloc), *_HEADERS]) as response:
        headers = {name.lower(): value for name, value in response.headers}
        if response.status in _REDIRECTS and b"location" in headers:
            return headers[b"location"].decode("latin-1")
        if response.status != _OK:
            raise ImageError(f"{what}: the server answered {response.status}, expected {_OK}")
        if headers.get(b"content-encoding", b"identity").strip().lower() not in (b"identity", b""):
            raise ImageError(f"{what}: the server compressed the answer although it was asked not to")
        too_large = ImageError(f"{what}: larger than the limit of {policy.max_bytes / (1 << 20):g} MiB")
        if int(headers.get(b"content-length", b"0")) > policy.max_bytes:
            raise too_large
        body = bytearray()
        for chunk in response.iter_stream():
            body += chunk
            if len(body) > policy.max_bytes:
                raise too_large
        return bytes(body)


def _checked(url: str, policy: FetchPolicy, base: httpx2.URL | None = None) -> httpx2.URL:
    """The URL parsed, its host without the root's dot; raises BlockedUrlError for what nobody should have to guess."""
    malformed = BlockedUrlError("cannot fetch image: the URL is malformed", hint="expected http(s)://host/path")
    if "\\" in url or any(character <= " " or character == "\x7f" for character in url):
        raise malformed
    try:
        parsed = httpx2.URL(url) if base is None else base.join(url)
        host = parsed.raw_host.decode("ascii").removesuffix(".")
    except (httpx2.InvalidURL, ValueError):
        raise malformed from None
    if parsed.scheme not in ("http", "https"):
        raise BlockedUrlError(
            "cannot fetch image: only http and https URLs are allowed",
            hint="a file is named by its plain path, without file://",
        )
    if parsed.userinfo or parsed.port == 0 or not host_is_plain(host):
        raise malformed
    parsed = parsed.copy_with(host=host)
    if is_local_name(host) and not policy.allow_private:
        raise _refused(f"cannot fetch image from {_quoted(parsed)}", policy, could_be_allowed=True)
    if policy.domains is not None and not in_domains(host, _ascii_domains(policy.domains)):
        raise BlockedUrlError(f"cannot fetch image from {_quoted(parsed)}: the host is not among the allowed domains")
    return parsed


def _refused(what: str, policy: FetchPolicy, *, could_be_allowed: bool) -> BlockedUrlError:
    tells = could_be_allowed and not policy.allow_private and not policy.for_strangers
    hint = _PRIVATE_HINT if tells else _STRANGERS_HINT if policy.for_strangers else _NEVER_HINT
    return BlockedUrlError(f"{what}: its address or port is not allowed", hint=hint)


def _ascii_domains(domains: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(httpx2.URL(f"https://{domain}/").raw_host.decode("ascii") for domain in domains)


def _quoted(url: httpx2.URL) -> str:
    """The host alone: paths and queries may hold secrets."""
    return f"'{url.raw_host.decode('ascii')[:100]}'"


def _reason(error: Exception, deadline: float, policy: FetchPolicy) -> str:
    """A class of failure, never its details: they would tell a stranger which ports and hosts exist."""
    if time.monotonic() >= deadline or isinstance(error, httpcore2.ReadTimeout | httpcore2.WriteTimeout):
        return f"it took longer than {policy.deadline_s:g} s"
    if isinstance(error, TlsError):
        return "no secure connection could be made"
    if isinstance(error, httpcore2.ConnectError | httpcore2.ConnectTimeout):
        return "the server cannot be reached"
    return "the answer broke off or is not valid HTTP"
