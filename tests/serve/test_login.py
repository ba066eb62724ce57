"""The page to log in with: no script, a cookie that cannot be forged, and an end with the key's."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import quote

import pytest
from starlette.datastructures import Headers

from pumice.serve.guard.keys import Keys
from pumice.serve.guard.login import COOKIE, LASTS_S, Login, Throttle
from serve.served import Answer, Running, ask, doorkeeping, get, json_request, request, running, sample_app

FORM = ("Content-Type", "application/x-www-form-urlencoded")
BROWSER = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Running]:
    with running(sample_app(), doorkeeping(tmp_path, scope="web", login=True)) as server:
        yield server


def _log_in(server: Running, key: str, *headers: tuple[str, str | bytes]) -> Answer:
    return ask(server.port, request("POST", "/login", (FORM, *headers), f"key={quote(key)}".encode()))


def _cookie(answer: Answer) -> tuple[str, str]:
    cookie: SimpleCookie = SimpleCookie(answer.headers["set-cookie"])
    return "Cookie", f"{COOKIE}={cookie[COOKIE].value}"


def test_in_and_out(page: Running, tmp_path: Path) -> None:
    key = Keys(tmp_path).create("person")
    sent_away = get(page.port, "/v1/models", BROWSER)
    assert (sent_away.status, sent_away.headers["location"]) == (303, "/login")
    welcome = _log_in(page, key)
    assert (welcome.status, welcome.headers["location"]) == (303, "/")
    attributes = welcome.headers["set-cookie"].lower()
    assert "httponly" in attributes
    assert "samesite=strict" in attributes
    assert f"max-age={LASTS_S}" in attributes
    assert "secure" not in attributes  # over plain HTTP the browser would throw it away
    assert key not in attributes
    inside = get(page.port, "/v1/models", BROWSER, _cookie(welcome))
    assert (inside.status, json.loads(inside.body)["caller"]) == (200, "person")
    assert ask(page.port, json_request("/v1/echo", b"{}", _cookie(welcome))).status == 200
    goodbye = ask(page.port, request("POST", "/logout", (FORM, _cookie(welcome))))
    assert (goodbye.status, goodbye.headers["location"]) == (303, "/login")
    assert "max-age=0" in goodbye.headers["set-cookie"].lower()


def test_programs_are_told_instead_of_sent_away(page: Running, tmp_path: Path) -> None:
    Keys(tmp_path).create("person")
    assert get(page.port, "/v1/models").status == 401
    assert ask(page.port, json_request("/v1/echo", b"{}", BROWSER)).status == 401


def test_a_session_ends_with_its_key(page: Running, tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    cookie = _cookie(_log_in(page, keys.create("person")))
    assert get(page.port, "/v1/models", cookie).status == 200
    keys.revoke("person")
    assert get(page.port, "/v1/models", cookie).status == 401
    keys.create("person")
    assert get(page.port, "/v1/models", cookie).status == 401


def test_a_cookie_beside_a_wrong_key_does_not_help(page: Running, tmp_path: Path) -> None:
    cookie = _cookie(_log_in(page, Keys(tmp_path).create("person")))
    assert get(page.port, "/v1/models", cookie, ("x-api-key", "wrong")).status == 401


def test_a_stranger_page_cannot_use_the_session(page: Running, tmp_path: Path) -> None:
    cookie = _cookie(_log_in(page, Keys(tmp_path).create("person")))
    evil = ("Origin", "http://evil.example")
    assert ask(page.port, json_request("/v1/echo", b"{}", cookie, evil)).status == 403
    assert ask(page.port, request("POST", "/v1/echo", (cookie, FORM), b"a=1")).status == 415
    assert _log_in(page, "x", evil).status == 403
    assert ask(page.port, request("POST", "/logout", (FORM, cookie, evil))).status == 403


def test_the_page_has_no_script(page: Running) -> None:
    for path in ("/login", "/logout"):
        answer = get(page.port, path, BROWSER)
        assert answer.status == 200
        tags = _Tags()
        tags.feed(answer.body.decode())
        assert not {"script", "link", "img", "iframe", "style"} & tags.names
        assert {"form", "button"} <= tags.names
        assert not re.search(rb"\son\w+=|javascript:|http", answer.body)
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; form-action 'self'")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"key=",
        b"key",
        b"kee=x",
        b"key=a&key=b",
        b"key=%ff%fe",
        "key=ü".encode(),
        b"key=" + b"a" * 5000,
        b"&" * 3000,
        b"{}",
    ],
    ids=["nothing", "empty", "bare", "misspelt", "twice", "no UTF-8", "not encoded", "long", "many fields", "JSON"],
)
def test_forms_that_are_none(page: Running, tmp_path: Path, body: bytes) -> None:
    Keys(tmp_path).create("person")
    answer = ask(page.port, request("POST", "/login", (FORM,), body))
    assert answer.status == 401
    assert "set-cookie" not in answer.headers


def test_other_methods(page: Running) -> None:
    assert ask(page.port, request("DELETE", "/login")).status == 405
    assert ask(page.port, request("PUT", "/logout", (FORM,))).status == 405


def test_guessing_is_slowed_down(page: Running, tmp_path: Path) -> None:
    key = Keys(tmp_path).create("person")
    for _ in range(5):
        assert _log_in(page, "pumice-" + "A" * 43).status == 401
    slowed = _log_in(page, key)
    assert slowed.status == 429
    assert int(slowed.headers["retry-after"]) >= 1
    assert "set-cookie" not in slowed.headers


def test_without_the_setting_there_is_no_page(locked: Running) -> None:
    assert get(locked.port, "/login", BROWSER).status == 401
    assert ask(locked.port, request("POST", "/login", (FORM,), b"key=x")).status == 415


def _session(login: Login, value: str) -> object:
    return login.session(Headers({"cookie": f"a=b; {COOKIE}={value}"}))


def test_cookies_cannot_be_made(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    key = keys.find(keys.create("person").encode())
    assert key is not None
    now = [1_000_000.0]
    login = Login(keys, now=lambda: now[0])
    secret = (tmp_path / "session-secret").read_text(encoding="utf-8") if (tmp_path / "session-secret").exists() else ""
    assert not secret  # made at first use

    end = 1_000_100
    assert _session(login, f"{key.id}.{end}.{'0' * 64}") is None
    signing = (tmp_path / "session-secret").read_text(encoding="utf-8").strip().encode()
    good = hmac.new(signing, f"{key.id}.{end}".encode(), "sha256").hexdigest()
    assert _session(login, f"{key.id}.{end}.{good}") == key
    for value in (
        f"{key.id}.{end + 1}.{good}",
        f"{'0' * 16}.{end}.{good}",
        f"{key.id}.{end}.{good.upper()}",
        f"{key.id}.{end}.{good}0",
        f"{key.id}.{end}.",
        f"{key.id}.-1.{good}",
        "",
        "...",
        '"\\303\\274"',
        "ü" * 10,
        "a" * 5000,
    ):
        assert _session(login, value) is None
    assert login.session(Headers({"cookie": "[];=,\x01"})) is None
    now[0] = end
    assert _session(login, f"{key.id}.{end}.{good}") is None
    assert _session(Login(keys, now=lambda: 0.0), f"{key.id}.{end}.{good}") == key  # a restart ends no session


def test_behind_tls_the_cookie_is_secure(page: Running, tmp_path: Path) -> None:
    key = Keys(tmp_path).create("person")
    host = "127.0.0.1"
    answer = _log_in(page, key, ("Host", host), ("Origin", f"https://{host}"))
    assert "secure" in answer.headers["set-cookie"].lower()


def test_the_throttle() -> None:
    now = [0.0]
    throttle = Throttle(lambda: now[0])
    waits = []
    for _ in range(15):
        throttle.failed("a")
        waits.append(throttle.wait_s("a"))
    assert waits[:6] == [0, 0, 0, 0, 1, 2]
    assert waits[-1] == 60
    assert throttle.wait_s("b") == 0
    now[0] = 60
    assert throttle.wait_s("a") == 0
    throttle.failed("a")
    assert throttle.wait_s("a") == 60
    throttle.succeeded("a")
    throttle.failed("a")
    assert throttle.wait_s("a") == 0


def test_the_throttle_forgets_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pumice.serve.guard.login._MOST_PEERS", 3)
    throttle = Throttle(lambda: 0.0)
    for _ in range(6):
        throttle.failed("kept")
    for number in range(2):
        throttle.failed(f"other {number}")
    throttle.failed("kept")
    for number in range(2, 4):
        throttle.failed(f"other {number}")
    assert throttle.wait_s("kept") > 0


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.names.add(tag)
