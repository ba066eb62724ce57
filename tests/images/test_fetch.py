"""The guarded fetcher against real servers on this machine, and its rules against hostile names and answers."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from images.hostile import REDIRECTS
from images.pictures import array, noise
from images.servers import (
    LOCAL,
    PICTURE,
    Script,
    Server,
    answering,
    failed,
    redirect,
    refused,
    reply,
)
from pumice.errors import ImageError
from pumice.images.fetch import FetchPolicy, fetch
from pumice.images.load import load_image
from pumice.images.policy import address_kind


class TestAnswers:
    def test_a_picture(self, serve: Callable[..., Server]) -> None:
        server = serve(reply(headers=["Content-Type: text/html"]))
        assert fetch(server.url + "?a=b%20c#fragment", LOCAL) == PICTURE
        assert (array(load_image(server.url, fetch=LOCAL)) == array(noise())).all()
        request = server.requests[0].decode().lower()
        assert request.startswith("get /cat.png?a=b%20c http/1.1\r\n")
        assert f"host: 127.0.0.1:{server.port}\r\n" in request
        assert "accept-encoding: identity\r\n" in request
        assert "cookie" not in request
        assert "authorization" not in request

    def test_a_picture_without_a_length(self, serve: Callable[..., Server]) -> None:
        assert fetch(serve(reply(sized=False)).url, LOCAL) == PICTURE

    def test_a_picture_in_chunks(self, serve: Callable[..., Server]) -> None:
        body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (PICTURE[:99], PICTURE[99:])) + b"0\r\n\r\n"
        assert fetch(serve(reply(body=body, headers=["Transfer-Encoding: chunked"], sized=False)).url, LOCAL) == PICTURE

    def test_within_a_running_loop(self, serve: Callable[..., Server]) -> None:
        server = serve(reply())

        async def both() -> tuple[bytes, bytes]:
            return fetch(server.url, LOCAL), await asyncio.to_thread(fetch, server.url, LOCAL)

        assert asyncio.run(both()) == (PICTURE, PICTURE)

    @pytest.mark.parametrize("status", ["404 Not Found", "500 Oops", "204 No Content", "206 Partial Content"])
    def test_other_statuses(self, serve: Callable[..., Server], status: str) -> None:
        assert f"the server answered {status[:3]}, expected 200" in failed(serve(reply(status, b"")).url)

    def test_a_body_too_large(self, serve: Callable[..., Server]) -> None:
        small = FetchPolicy(allow_private=True, max_bytes=1000)
        body = b"x" * 5000
        for script in (reply(body=body), reply(body=body, sized=False)):
            assert "larger than the limit" in failed(serve(script).url, small)
        claims = reply(body=b"", headers=["Content-Length: 10737418240"], sized=False)
        assert "larger than the limit of 20 MiB" in failed(serve(claims).url)

    def test_an_endless_body(self, serve: Callable[..., Server]) -> None:
        def script(connection: socket.socket, _: bytes) -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                connection.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")

        assert "larger than the limit" in failed(serve(script).url, FetchPolicy(allow_private=True, max_bytes=1 << 20))

    @pytest.mark.parametrize("coding", ["gzip", "GZIP, gzip", "br", "deflate"])
    def test_a_compressed_body(self, serve: Callable[..., Server], coding: str) -> None:
        server = serve(reply(body=gzip.compress(PICTURE), headers=[f"Content-Encoding: {coding}"]))
        assert "compressed" in failed(server.url)

    def test_a_body_that_breaks_off(self, serve: Callable[..., Server]) -> None:
        half = reply(body=PICTURE[:100], headers=[f"Content-Length: {len(PICTURE)}"], sized=False)
        assert "broke off" in failed(serve(half).url)
        chunk = reply(body=b"5\r\nab", headers=["Transfer-Encoding: chunked"], sized=False)
        assert "broke off" in failed(serve(chunk).url)

    @pytest.mark.parametrize("answer", [b"", b"hello\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"])
    def test_what_is_not_http(self, serve: Callable[..., Server], answer: bytes) -> None:
        assert "not valid HTTP" in failed(serve(lambda connection, _: connection.sendall(answer)).url)

    def test_headers_without_end(self, serve: Callable[..., Server]) -> None:
        def script(connection: socket.socket, _: bytes) -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            for number in range(1 << 20):
                connection.sendall(b"X-%d: %s\r\n" % (number, b"y" * 1000))

        assert "not valid HTTP" in failed(serve(script).url)

    def test_nobody_listens(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        assert "cannot be reached" in failed(f"http://127.0.0.1:{port}/")


class TestTime:
    SHORT = FetchPolicy(allow_private=True, deadline_s=0.5)

    def drip(self, head: bytes) -> Script:
        def script(connection: socket.socket, _: bytes) -> None:
            connection.sendall(head)
            while True:
                time.sleep(0.05)
                connection.sendall(b"x")

        return script

    @pytest.mark.parametrize(
        "head",
        [b"", b"HTTP/1.1 200 OK\r\nX-", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"],
    )
    def test_a_drip_meets_the_deadline(self, serve: Callable[..., Server], head: bytes) -> None:
        assert "longer than 0.5 s" in failed(serve(self.drip(head)).url, self.SHORT)

    def test_silence_meets_the_deadline(self, serve: Callable[..., Server]) -> None:
        assert "longer than 0.5 s" in failed(serve(lambda connection, _: time.sleep(20)).url, self.SHORT)

    def test_a_slow_lookup_meets_the_deadline(self) -> None:
        def slow(host: str, port: int) -> list[str]:
            time.sleep(20)
            return []

        with pytest.raises(ImageError, match=r"longer than 0\.5 s"):
            fetch("http://example.com/", self.SHORT, resolve=slow)

    def test_a_slow_handshake_meets_the_deadline(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(ImageError, match=r"longer than 0\.5 s"):
            fetch(f"https://127.0.0.1:{server.getsockname()[1]}/", self.SHORT)

    def test_redirects_share_one_deadline(self, serve: Callable[..., Server]) -> None:
        def script(connection: socket.socket, request: bytes) -> None:
            time.sleep(0.3)
            redirect("/again")(connection, request)

        assert "longer than 0.5 s" in failed(serve(script).url, self.SHORT)


class TestRedirects:
    @pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
    def test_followed(self, serve: Callable[..., Server], status: str) -> None:
        target = serve(reply())
        assert fetch(serve(redirect(target.url, status)).url, LOCAL) == PICTURE

    def test_relative(self, serve: Callable[..., Server]) -> None:
        def script(connection: socket.socket, request: bytes) -> None:
            (reply() if request.startswith(b"GET /b/dog.png ") else redirect("b/dog.png"))(connection, request)

        assert fetch(serve(script).url, LOCAL) == PICTURE

    @pytest.mark.parametrize("location", REDIRECTS)
    def test_to_where_nobody_may_go(self, serve: Callable[..., Server], location: str) -> None:
        """Even with private addresses allowed."""
        refused(serve(redirect(location)).url, LOCAL)

    def test_in_a_loop(self, serve: Callable[..., Server]) -> None:
        server = serve(redirect("/cat.png"))
        assert "more than 3 redirects" in failed(server.url)
        assert len(server.requests) == 4

    def test_from_outside_into_ones_own_network(
        self, monkeypatch: pytest.MonkeyPatch, serve: Callable[..., Server]
    ) -> None:
        """127.0.0.1 plays a public server here; private addresses are allowed, but not by a stranger's redirect."""
        server = serve(redirect("http://camera.test/"))
        answers = {"outside.test": ["127.0.0.1"], "camera.test": ["192.168.1.9"]}
        monkeypatch.setattr(
            "pumice.images.dial.address_kind", lambda text: "public" if text == "127.0.0.1" else address_kind(text)
        )
        refused(f"http://outside.test:{server.port}/", LOCAL, resolve=lambda host, port: answers[host])


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    folder: Path = tmp_path_factory.mktemp("tls")
    try:
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem"),
                *("-days", "2", "-subj", "/CN=camera.test", "-addext", "subjectAltName=DNS:camera.test"),
            ],
            cwd=folder,
            check=True,
            capture_output=True,
        )
    except FileNotFoundError:
        pytest.skip("no openssl command to make a certificate with")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return server, ssl.create_default_context(cafile=str(folder / "cert.pem"))


class TestTls:
    def test_the_name_is_proven_although_the_address_is_dialled(
        self, serve: Callable[..., Server], contexts: tuple[ssl.SSLContext, ssl.SSLContext]
    ) -> None:
        names: list[str | None] = []
        contexts[0].sni_callback = lambda _, name, __: names.append(name)
        server = serve(reply(), contexts[0])
        url = f"https://camera.test.:{server.port}/"
        assert fetch(url, LOCAL, resolve=answering("127.0.0.1"), tls=contexts[1]) == PICTURE
        assert names == ["camera.test"]

    def test_a_wrong_name_and_a_strange_issuer_are_refused(
        self, serve: Callable[..., Server], contexts: tuple[ssl.SSLContext, ssl.SSLContext]
    ) -> None:
        port = serve(reply(), contexts[0]).port
        for host, trusted in (("other.test", contexts[1]), ("camera.test", None)):
            with pytest.raises(ImageError, match="no secure connection"):
                fetch(f"https://{host}:{port}/", LOCAL, resolve=answering("127.0.0.1"), tls=trusted)
