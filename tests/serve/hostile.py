"""What attackers send, as tables: the guard puts them to a small application, the API's tests to the real one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from serve.served import Answer, json_request, request

LEAKS = re.compile(rb"0x[0-9a-f]{6,}|/home|/tmp|/srv|/var|/etc|site-packages|Traceback|\d+\.\d+\.\d+\.\d+:\d+")
JSON = ("Content-Type", "application/json")
EVIL = "http://evil.example"


@dataclass(frozen=True)
class Hostile:
    """Bytes on the wire, and the statuses of which one must come."""

    name: str
    data: bytes
    statuses: tuple[int, ...]


def http_cases(path: str, *key: tuple[str, bytes | str], body: bytes = b"{}") -> list[Hostile]:
    """Against a route that takes POST with JSON. key: the header that opens the door."""
    one = json_request(path, body, *key)
    big = str(33 << 20)
    return [
        Hostile("a body of 33 MiB, announced", json_request(path, b"", *key, ("Content-Length", big)), (413,)),
        Hostile("a body of 33 MiB, sent", json_request(path, b" " * (33 << 20), *key), (413,)),
        Hostile("a body of 33 MiB in chunks", _chunked(path, b" " * (1 << 20), 33, *key), (413,)),
        Hostile("a header of 100 KB", json_request(path, body, *key, ("X-Long", "a" * 100_000)), (431,)),
        Hostile("an address of 100 KB", request("GET", "/" + "a" * 100_000, key), (431,)),
        Hostile("1000 headers", json_request(path, body, *key, *((f"X-{n}", "1") for n in range(1000))), (431,)),
        Hostile(
            "Content-Length and Transfer-Encoding",
            request(
                "POST", path, (*key, JSON, ("Content-Length", "5"), ("Transfer-Encoding", "chunked")), b"0\r\n\r\nGET /"
            ),
            (400,),
        ),
        Hostile(
            "two lengths", json_request(path, body, *key, ("Content-Length", "2"), ("Content-Length", "9")), (400,)
        ),
        Hostile("a negative length", json_request(path, body, *key, ("Content-Length", "-1")), (400,)),
        Hostile("an unknown encoding", json_request(path, body, *key, ("Transfer-Encoding", "gzip")), (400, 501)),
        Hostile("a size of a chunk that is none", _raw_chunks(path, b"zz\r\n\r\n", *key), (400,)),
        Hostile("HTTP/1.0", one.replace(b"HTTP/1.1", b"HTTP/1.0", 1), (200, 400, 422)),
        Hostile("HTTP/1.0 without a host", b"GET /health HTTP/1.0\r\n\r\n", (400,)),
        Hostile("HTTP/1.1 without a host", b"GET /health HTTP/1.1\r\n\r\n", (400,)),
        Hostile("two hosts", json_request(path, body, *key, ("Host", "localhost"), ("Host", "evil.example")), (400,)),
        Hostile("HTTP/9.9", one.replace(b"HTTP/1.1", b"HTTP/9.9", 1), (400, 505)),
        Hostile("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", (400,)),
        Hostile("an unknown method", request("BREW", path, key), (405,)),
        Hostile("TRACE", request("TRACE", path, key), (405,)),
        Hostile("CONNECT", request("CONNECT", "evil.example:443", key), (405,)),
        Hostile("dots", request("GET", "/v1/../admin", key), (400,)),
        Hostile("encoded dots", request("GET", "/v1/%2e%2e/admin", key), (400,)),
        Hostile("dots behind an encoded slash", request("GET", "/v1%2f..%2fadmin", key), (400,)),
        Hostile("encoded twice", request("GET", "/v1/%252e%252e/admin", key), (404,)),
        Hostile("a backslash", request("GET", "/v1/..%5cadmin", key), (400,)),
        Hostile("a NUL in the address", request("GET", "/health%00.png", key), (400,)),
        Hostile("a line break in the address", request("GET", "/v1/%0d%0aSet-Cookie:%20a=b", key), (400,)),
        Hostile("two slashes", request("GET", "//health", key), (404,)),
        Hostile("somebody else's address", request("GET", "http://evil.example/health", key), (404,)),
        Hostile("another host", json_request(path, body, *key, ("Host", "evil.example")), (400,)),
        Hostile(
            "another host that looks like ours",
            json_request(path, body, *key, ("Host", "127.0.0.1.evil.example")),
            (400,),
        ),
        Hostile("another host's page", json_request(path, body, *key, ("Origin", EVIL)), (403,)),
        Hostile("a page without a place", json_request(path, body, *key, ("Origin", "null")), (403,)),
        Hostile("another port's page", json_request(path, body, *key, ("Origin", "http://127.0.0.1:1")), (403,)),
        Hostile(
            "a preflight from elsewhere",
            request("OPTIONS", path, (("Origin", EVIL), ("Access-Control-Request-Method", "POST"))),
            (403,),
        ),
        Hostile(
            "a form",
            request("POST", path, (*key, ("Content-Type", "application/x-www-form-urlencoded")), b"a=1"),
            (415,),
        ),
        Hostile("plain text", request("POST", path, (*key, ("Content-Type", "text/plain")), body), (415,)),
        Hostile(
            "files", request("POST", path, (*key, ("Content-Type", "multipart/form-data; boundary=x")), body), (415,)
        ),
        Hostile("no content type", request("POST", path, key, body), (415,)),
        Hostile("two content types", request("POST", path, (*key, JSON, ("Content-Type", "text/plain")), body), (400,)),
        Hostile(
            "a pickle",
            request("POST", path, (*key, ("Content-Type", "application/octet-stream")), b"\x80\x04."),
            (415,),
        ),
        *(Hostile(f"JSON: {name}", json_request(path, bad, *key), (400,)) for name, bad in BAD_JSON.items()),
    ]


def _raw_chunks(path: str, chunks: bytes, *key: tuple[str, bytes | str]) -> bytes:
    return request("POST", path, (*key, JSON, ("Transfer-Encoding", "chunked")), chunks)


def _chunked(path: str, chunk: bytes, count: int, *key: tuple[str, bytes | str]) -> bytes:
    return _raw_chunks(path, (b"%x\r\n%s\r\n" % (len(chunk), chunk)) * count + b"0\r\n\r\n", *key)


BAD_JSON = {
    "nothing": b"",
    "cut off": b'{"a": [1, 2',
    "no JSON": b"a=1&b=2",
    "two values": b"{} {}",
    "no UTF-8": b'{"a": "\xff\xfe"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "65 levels": b"[" * 65 + b"]" * 65,
    "100,000 levels": b"[" * 100_000,
    "100,000 levels of objects": b'{"a":' * 100_000,
    "levels behind a text with quotes": b'["\\"\\\\",' + b"[" * 80 + b"]" * 81,
    "a field twice": b'{"model": "a", "model": "b"}',
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": -Infinity}',
    "too large for a float": b'{"a": 1e999}',
    "a whole number of 5000 digits": b'{"a": ' + b"9" * 5000 + b"}",
    "half of a character": b'{"a": "\\ud800"}',
    "half of a character in a name": b'{"\\udc00": 1}',
    "a NUL": b'{"a": "x\\u0000y"}',
}

Headers = tuple[tuple[str, bytes | str], ...]


@dataclass(frozen=True)
class Knock:
    """Headers (made from a good key and another good one) and whether they open the door."""

    name: str
    headers: Callable[[str, str], Headers]
    opens: bool


KNOCKS = [
    Knock("Bearer", lambda key, _: (("Authorization", f"Bearer {key}"),), True),
    Knock("bearer in small letters", lambda key, _: (("authorization", f"bearer {key}"),), True),
    Knock("BEARER in capitals", lambda key, _: (("AUTHORIZATION", f"BEARER {key}"),), True),
    Knock("several spaces", lambda key, _: (("Authorization", f"Bearer   {key} "),), True),
    Knock("x-api-key", lambda key, _: (("X-Api-Key", key),), True),
    Knock("api-key", lambda key, _: (("Api-Key", key),), True),
    Knock("the same key twice", lambda key, _: (("Authorization", f"Bearer {key}"), ("x-api-key", key)), True),
    Knock("nothing", lambda key, _: (), False),
    Knock("two keys", lambda key, other: (("Authorization", f"Bearer {key}"), ("x-api-key", other)), False),
    Knock("two keys in one way", lambda key, other: (("x-api-key", key), ("x-api-key", other)), False),
    Knock("a right and a wrong one", lambda key, _: (("Authorization", f"Bearer {key}"), ("api-key", "wrong")), False),
    Knock("a right and an empty one", lambda key, _: (("Authorization", f"Bearer {key}"), ("api-key", "")), False),
    Knock("a wrong one", lambda key, _: (("Authorization", "Bearer pumice-" + "A" * 43),), False),
    Knock("one letter short", lambda key, _: (("Authorization", f"Bearer {key[:-1]}"),), False),
    Knock("one letter long", lambda key, _: (("Authorization", f"Bearer {key}a"),), False),
    Knock("other capitals", lambda key, _: (("Authorization", f"Bearer {key.swapcase()}"),), False),
    Knock("empty Bearer", lambda key, _: (("Authorization", "Bearer"),), False),
    Knock("empty Bearer with a space", lambda key, _: (("Authorization", "Bearer "),), False),
    Knock("empty header", lambda key, _: (("Authorization", ""),), False),
    Knock("no scheme", lambda key, _: (("Authorization", key),), False),
    Knock("Basic", lambda key, _: (("Authorization", f"Basic {key}"),), False),
    Knock("unicode", lambda key, _: (("Authorization", "Bearer schlüssel-\U0001f511".encode()),), False),
    Knock("Latin-1", lambda key, _: (("x-api-key", b"\xe9\xff" * 20),), False),
    Knock("100 KB would be a header too long; 10 KB", lambda key, _: (("x-api-key", "a" * 10_000),), False),
    Knock("a cookie", lambda key, _: (("Cookie", f"pumice_session={key}; key={key}"),), False),
    Knock("a proxy's word", lambda key, _: (("X-Forwarded-For", "127.0.0.1"), ("X-Real-IP", "::1")), False),
]

BAD_IDS = ["a b", "a\tb", "", "a" * 65, "ü", "<script>", "../../x", "a;b", "$(id)", "a%0d%0aSet-Cookie:x=y"]


def routes_of(app: FastAPI) -> list[tuple[str, str]]:
    """Every method and address that an application answers, with something in place of parameters.

    Of an application that is mounted inside, only the place is known: it counts with GET and POST.
    """
    found = []
    for route in iter_route_contexts(app.routes):
        path = route.path or "/"
        found += [(method, re.sub(r"\{[^}]*\}", "x", path)) for method in sorted(route.methods or {"GET", "POST"})]
    return found


def assert_clean(answer: Answer) -> None:
    """What every refusal has in common."""
    assert not LEAKS.search(answer.body), answer.body
    assert "set-cookie" not in answer.headers
    assert not any(name.startswith("access-control") for name in answer.headers)
    if answer.status >= 400:
        error = json.loads(answer.body)["error"]
        assert set(error) == {"message", "type", "param", "code", "hint", "request_id"}
        assert error["message"]
        assert error["code"]
        assert len(answer.body) < 2000
