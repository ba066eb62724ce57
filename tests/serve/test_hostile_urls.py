"""Servers asked to fetch what they must not (server-side request forgery): by the API, the web page and Slack."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest

from images.hostile import REDIRECTS, every_url, system_like
from images.servers import PICTURE, Script, Server, redirect, reply
from pumice.cli.serving import Fetching
from pumice.errors import BlockedUrlError, ImageError
from pumice.images.fetch import FetchPolicy
from pumice.images.policy import address_kind
from pumice.remote import data_uri
from pumice.serve.slack.downloads import DownloadPolicy, Downloads
from pumice.serve.web.pictures import PictureStore
from pumice.serve.web.settings import WebSettings
from serve.apis import body
from serve.whole import Whole, whole

URLS = every_url()
_HINTS = re.compile(r"--allow|refused by|errno", re.IGNORECASE)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    with whole(tmp_path_factory.mktemp("whole"), Fetching().policy()) as found:
        yield found


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Odd names have addresses, as they would with a system's resolver. Dialling one gives another error, or fails."""
    monkeypatch.setattr("pumice.images.dial.system_resolver", system_like)


def shown(*urls: str) -> dict[str, Any]:
    return body(*({"type": "image_url", "image_url": {"url": url}} for url in urls), "What is this?")


def refusal(answer: Any, *, codes: tuple[str, ...] = ("url_not_allowed", "invalid_request")) -> str:
    error = answer.json()["error"]
    assert answer.status_code in (400, 403) and error["code"] in codes, error
    words = f"{error['message']} {error['hint']}"
    assert not _HINTS.search(words), words
    assert len(words) < 400
    return words


@pytest.mark.usefixtures("resolver")
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/tokenize"])
def test_through_the_api(servers: Whole, path: str) -> None:
    def ask(url: str) -> Any:
        value = shown(url)
        return servers.post(value if path != "/tokenize" else {k: value[k] for k in ("model", "messages")}, path=path)

    before = len(servers.asked.asked)
    with ThreadPoolExecutor(4) as pool:
        for answer in pool.map(ask, URLS):
            refusal(answer)
    assert len(servers.asked.asked) == before


@pytest.mark.usefixtures("resolver")
def test_through_the_web_page(tmp_path: Path) -> None:
    """Its box for a URL fetches by the same rules, whether started by the command or by itself."""
    settings = WebSettings()
    assert settings.fetch == Fetching().policy() == FetchPolicy(for_strangers=True)
    store = PictureStore(tmp_path).open()
    for url in (
        each for each in URLS if each == each.strip()
    ):  # around a URL white space is left out, as people paste it
        with pytest.raises(BlockedUrlError) as caught:
            store.keep_url(url, settings.fetch)
        assert not _HINTS.search(f"{caught.value} {caught.value.hint}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("resolver")
def test_through_slack() -> None:
    """What a file's description points to is fetched from Slack alone; where Slack points to, by the same rules."""
    policy = DownloadPolicy()
    assert policy.elsewhere == FetchPolicy(for_strangers=True)

    class Session:
        def get(self, url: str, **how: object) -> Any:
            raise AssertionError(f"asked {url} with the token")

    client = cast(Any, SimpleNamespace(token="xoxb-1", proxy=None))
    downloads = Downloads(client, cast(aiohttp.ClientSession, Session()), policy)

    async def refused(url: str) -> None:
        with pytest.raises(ImageError, match=r"not stored at Slack|cannot be downloaded"):
            await downloads.picture({"name": "a.png", "mode": "hosted", "url_private": url})
        assert not policy.is_slack(url)

    async def run() -> None:
        for url in URLS:
            await refused(url)

    asyncio.run(run())


def test_a_worker_fetches_nothing(tmp_path: Path) -> None:
    with whole(tmp_path, None) as servers:
        words = refusal(servers.post(shown("http://8.8.8.8/cat.png")), codes=("url_not_allowed",))
        assert "fetches no pictures from the web" in words


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Script], tuple[Whole, Server, str]]]:
    """A gateway that takes 127.0.0.1 for a public address, and a server there that does what a script says."""
    monkeypatch.setattr(
        "pumice.images.dial.address_kind", lambda text: "public" if text == "127.0.0.1" else address_kind(text)
    )
    names = {"outside.test": ["127.0.0.1"], "inside.test": ["10.0.0.1"], "mixed.test": ["127.0.0.1", "10.0.0.1"]}
    monkeypatch.setattr("pumice.images.dial.system_resolver", lambda host, port: names.get(host, [host]))
    opened: list[Any] = []

    def start(script: Script) -> tuple[Whole, Server, str]:
        server = Server(script)
        policy = FetchPolicy(ports=(80, 443, server.port), deadline_s=1.0, max_bytes=1 << 20, for_strangers=True)
        context = whole(tmp_path, policy)
        opened.append((context, server))
        return context.__enter__(), server, f"http://outside.test:{server.port}/a.png"

    yield start
    for context, server in opened:
        context.__exit__(None, None, None)
        server.close()


def drip(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        time.sleep(0.05)
        connection.sendall(b"x")


def endless_headers(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in range(1 << 20):
        connection.sendall(b"X-%d: %s\r\n" % (number, b"y" * 1000))


def again(connection: socket.socket, request: bytes) -> None:
    redirect(request.split()[1].decode())(connection, request)


#: What a server answers that may be asked, and whether the picture is taken.
ANSWERS: dict[str, tuple[Script, bool]] = {
    "a picture": (reply(), True),
    "a picture that is called HTML": (reply(headers=["Content-Type: text/html"]), True),
    **{f"a redirect to {place}": (redirect(place), False) for place in REDIRECTS},
    **{
        f"a redirect with {code}": (redirect("http://inside.test/", f"{code} X"), False)
        for code in (301, 303, 307, 308)
    },
    "a redirect to another port": (redirect("http://outside.test:22/"), False),
    "a redirect to a name with mixed answers": (redirect("http://mixed.test/"), False),
    "a redirect in a loop": (again, False),
    "10 GB announced": (reply(body=b"", headers=["Content-Length: 10737418240"], sized=False), False),
    "more than is allowed, unannounced": (reply(body=b"x" * (2 << 20), sized=False), False),
    "a length that lies": (reply(body=PICTURE[:50], headers=["Content-Length: 5000"], sized=False), False),
    "gzip": (reply(headers=["Content-Encoding: gzip"]), False),
    "gzip twice": (reply(headers=["Content-Encoding: gzip, gzip"]), False),
    "a byte now and then": (drip, False),
    "headers without end": (endless_headers, False),
    "a header of 5 MB": (reply(headers=["X-A: " + "a" * (5 << 20)]), False),
    **{f"status {code}": (reply(f"{code} X", b""), False) for code in (204, 206, 304, 401, 407, 500)},
}


def test_what_a_server_may_answer(outside: Callable[[Script], tuple[Whole, Server, str]]) -> None:
    """One server, whose answer the path chooses."""
    scripts = list(ANSWERS.values())

    def choose(connection: socket.socket, request: bytes) -> None:
        number = re.search(rb"GET /(\d+)\.png", request)
        scripts[int(number[1]) if number else 0][0](connection, request)

    servers, server, url = outside(choose)

    def ask(number: int) -> Any:
        return servers.post(shown(url.replace("/a.png", f"/{number}.png")))

    with ThreadPoolExecutor(8) as pool:
        for (name, (_, taken)), answer in zip(ANSWERS.items(), pool.map(ask, range(len(scripts))), strict=True):
            if taken:
                assert answer.status_code == 200, name
            else:
                assert answer.status_code != 200, name
                words = refusal(answer, codes=("url_not_allowed", "invalid_image"))
                assert "127.0.0.1" not in words and str(server.port) not in words, name
    assert not any(b"authorization" in each.lower() or b"cookie" in each.lower() for each in server.requests)
    inlined = {part.image_url.url for each in servers.asked.asked for part in each.messages[0].parts[:1]}  # type: ignore[union-attr]
    assert inlined == {data_uri(PICTURE)}, "the worker is sent the picture, never its address"


def test_all_pictures_of_a_request_together(
    outside: Callable[[Script], tuple[Whole, Server, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    servers, server, url = outside(reply(body=b"x" * (900 << 10)))
    monkeypatch.setattr("pumice.serve.api.pictures.MOST_FETCHED", 4 << 20)
    answer = servers.post(shown(*(f"{url}?{number}" for number in range(9))))
    assert "more than 4 MiB together" in refusal(answer, codes=("invalid_image",))
    late = url.replace("a.png", "late.png")
    for count in (17, 200):  # nothing is fetched for what would be refused anyway
        for path in ("/v1/chat/completions", "/tokenize"):
            value = shown(*(f"{late}?{number}" for number in range(count)))
            answer = servers.post({key: value[key] for key in ("model", "messages")}, path=path)
            assert "at most 16 pictures" in refusal(answer)
    assert not any(b"late.png" in each for each in server.requests)


def test_a_proxy_of_the_surroundings_is_not_asked(
    outside: Callable[[Script], tuple[Whole, Server, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Server(reply("500 Proxy", b""))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    servers, _, url = outside(reply())
    assert servers.post(shown(url)).status_code == 200
    assert not proxy.requests
    proxy.close()
