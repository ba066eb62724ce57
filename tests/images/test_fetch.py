"""The guarded fetcher against real servers on this machine, and its rules against hostile names and answers."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from images.pictures import array, encoded, noise
from pumice.errors import BlockedUrlError, ImageError
from pumice.images.fetch import FetchPolicy, fetch
from pumice.images.load import load_image
from pumice.images.policy import address_kind, host_is_plain, in_domains

PICTURE = encoded(noise(), "PNG")
LOCAL = FetchPolicy(allow_private=True, deadline_s=10)
GUARDED = FetchPolicy()
Script = Callable[[socket.socket, bytes], None]


class Server:
    """A server that hands every connection, once its request has come, to a script."""

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[bytes] = []
        self._script = script
        self._tls = tls
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/cat.png"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            request = b""
            while b"\r\n\r\n" not in request:
                more = connection.recv(65536)
                if not more:
                    return
                request += more
            self.requests.append(request)
            self._script(connection, request)
        except OSError:
            pass  # the client hung up, as it may
        finally:
            connection.close()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(script: Script, tls: ssl.SSLContext | None = None) -> Server:
        servers.append(Server(script, tls))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def reply(status: str = "200 OK", body: bytes = PICTURE, headers: Sequence[str] = (), sized: bool = True) -> Script:
    lines = [f"HTTP/1.1 {status}", *headers, "Connection: close"]
    if sized:
        lines.append(f"Content-Length: {len(body)}")
    message = "\r\n".join([*lines, "", ""]).encode() + body
    return lambda connection, _: connection.sendall(message)


def redirect(location: str, status: str = "302 Found") -> Script:
    return reply(status, b"", [f"Location: {location}"])


def answering(*addresses: str) -> Callable[[str, int], list[str]]:
    return lambda host, port: list(addresses)


def no_lookup(host: str, port: int) -> list[str]:
    raise AssertionError(f"looked up {host}")


def refused(url: str, policy: FetchPolicy = GUARDED, **options: object) -> BlockedUrlError:
    with pytest.raises(BlockedUrlError) as caught:
        fetch(url, policy, **options)  # type: ignore[arg-type]
    return caught.value


def failed(url: str, policy: FetchPolicy = LOCAL) -> str:
    with pytest.raises(ImageError) as caught:
        fetch(url, policy)
    assert not isinstance(caught.value, BlockedUrlError)
    assert "127.0.0.1:" not in str(caught.value)
    return str(caught.value)


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

    @pytest.mark.parametrize(
        "location",
        [
            "http://169.254.169.254/latest/meta-data",
            "//169.254.169.254/",
            "http://[fd00:ec2::254]/",
            "http://0x7f.1/",
            "http://user@127.0.0.1/",
            "file:///etc/passwd",
            "ftp://127.0.0.1/",
            "http:\\\\127.0.0.1/",
        ],
    )
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


HOSTILE = """
    127.0.0.1 localhost localhost. LOCALHOST foo.localhost 0 0.0.0.0 127.1 2130706433 0x7f000001 0x7f.1 0177.0.0.1
    127.0.0.1. 127.000.000.001 1.1.1.1.1 0x 8.8.8 134744072
    [::1] [::] [::ffff:127.0.0.1] [::ffff:7f00:1] [::ffff:8.8.8.8] [::127.0.0.1] [64:ff9b::7f00:1] [64:ff9b:1::1]
    [2002:7f00:1::] [2001::1] [fe80::1%25lo] [fe80::1%lo] [fe80::1] [fec0::1] [fd00::1] [ff02::1] [fd00:ec2::254] [v1.x]
    10.0.0.1 172.16.0.1 172.31.255.255 192.168.0.1 169.254.169.254 100.100.100.200 100.64.0.1 192.0.0.192 198.18.0.1
    240.0.0.1 255.255.255.255 224.0.0.1 168.63.129.16 192.88.99.1
    １２７.０.０.１ ①②⑦.0.0.1 127。0。0。1 127%2e0%2e0%2e1 loc%61lhost user@8.8.8.8 user:pw@8.8.8.8 8.8.8.8\\@127.0.0.1
    -a.example a..example a_%00.example ⓛocalhost
"""


class TestGuard:
    @pytest.mark.parametrize("host", HOSTILE.split())
    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_hostile_hosts(self, host: str, scheme: str) -> None:
        """The resolver answers as the system would; for odd spellings it would even answer something public."""
        known = {"localhost": ["127.0.0.1", "::1"], "foo.localhost": ["127.0.0.1"]}

        def resolve(name: str, port: int) -> list[str]:
            literal = ":" in name or name.replace(".", "").isdigit()
            return [name] if literal else known.get(name.lower(), ["8.8.8.8"])

        refused(f"{scheme}://{host}/cat.png", resolve=resolve)

    @pytest.mark.parametrize(
        "url",
        [
            "file:///etc/passwd",
            "ftp://example.com/",
            "gopher://example.com/",
            "dict://example.com/",
            "jar:http://example.com/!/",
            "blob:http://example.com/",
            "javascript:alert(1)",
            "unix:/run/docker.sock",
            "http:///cat.png",
            "//example.com/cat.png",
            "example.com/cat.png",
            "",
            "http:example.com",
            "http://",
            "http://exa mple.com/",
            "http://example.com/a\tb",
            "http://example.com/\r\nHost: x",
            " http://example.com/",
            "http://example.com\\@127.0.0.1/",
            "http://example.com:99999999/",
            "http://example.com:x/",
            "http://example.com:0/",
            "http://[::1/",
            "http://" + "a" * 300 + ".com/",
            "http://example.com/" + "a" * 70000,
            "http://exam\u0000ple.com/",
        ],
    )
    def test_malformed_urls_and_other_schemes(self, url: str) -> None:
        assert len(str(refused(url, resolve=no_lookup))) < 200

    @pytest.mark.parametrize(
        "answers",
        [
            ["10.0.0.1"],
            ["8.8.8.8", "10.0.0.1"],
            ["2001:4860:4860::8888", "::1"],
        ],
    )
    def test_all_answers_must_be_public(self, answers: list[str]) -> None:
        error = refused("http://example.com/", resolve=answering(*answers))
        assert str(error) == "cannot fetch image from 'example.com': its address or port is not allowed"
        assert "--allow-private-urls" in (error.hint or "")

    @pytest.mark.parametrize(
        "answers", [["fe80::1%eth0"], ["::ffff:127.0.0.1"], ["169.254.169.254"], ["8.8.8.8", "0.0.0.0"]]
    )
    def test_the_flag_is_not_offered_where_it_would_not_help(self, answers: list[str]) -> None:
        error = refused("http://example.com/", resolve=answering(*answers))
        assert str(error) == "cannot fetch image from 'example.com': its address or port is not allowed"
        assert "--allow-private-urls" not in (error.hint or "")

    @pytest.mark.parametrize("port", [21, 22, 25, 6379, 8000, 8080])
    def test_other_ports(self, port: int) -> None:
        error = refused(f"http://example.com:{port}/", resolve=no_lookup)
        assert str(error) == "cannot fetch image from 'example.com': its address or port is not allowed"
        assert "--allow-private-urls" in (error.hint or "")

    @pytest.mark.parametrize("url", ["ftp://example.com/", "http://a@b/", "http://0x7f.1/"])
    def test_the_flag_is_not_offered_where_it_does_not_help(self, url: str) -> None:
        assert "--allow-private-urls" not in (refused(url).hint or "")
        assert "--allow-private-urls" not in (refused("http://169.254.169.254/", LOCAL).hint or "")

    def test_one_lookup_and_only_its_answer_is_dialled(self, serve: Callable[..., Server]) -> None:
        """Rebinding: a second answer would be private. There is no second question."""
        server = serve(reply())
        asked: list[str] = []

        def rebinding(host: str, port: int) -> list[str]:
            asked.append(host)
            return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

        assert fetch(f"http://camera.test:{server.port}/", LOCAL, resolve=rebinding) == PICTURE
        assert asked == ["camera.test"]
        assert f"host: camera.test:{server.port}" in server.requests[0].decode().lower()

    def test_the_next_address_is_tried(self, serve: Callable[..., Server]) -> None:
        server = serve(reply())
        assert (
            fetch(f"http://camera.test:{server.port}/", LOCAL, resolve=answering("127.0.0.9", "127.0.0.1")) == PICTURE
        )

    def test_no_answer(self) -> None:
        def unknown(host: str, port: int) -> list[str]:
            raise socket.gaierror(-2, "Name or service not known")

        for resolve in (unknown, answering()):
            with pytest.raises(ImageError, match=r"'example\.com': the server cannot be reached"):
                fetch("http://example.com/", GUARDED, resolve=resolve)

    def test_proxies_are_ignored(self, serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
        proxy, server = serve(reply("500 Proxy", b"")), serve(reply())
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert fetch(server.url, LOCAL) == PICTURE
        assert not proxy.requests

    def test_allowed_domains(self, serve: Callable[..., Server]) -> None:
        server = serve(reply())
        policy = FetchPolicy(allow_private=True, domains=("example.com", "MÜNCHEN.de"))
        for host in (
            "example.com",
            "EXAMPLE.com",
            "img.example.com",
            "example.com.",
            "münchen.de",
            "xn--mnchen-3ya.de",
        ):
            assert fetch(f"http://{host}:{server.port}/", policy, resolve=answering("127.0.0.1")) == PICTURE
        for host in ("evilexample.com", "example.com.evil.org", "example.org", "com", "127.0.0.1"):
            assert "allowed domains" in str(refused(f"http://{host}/", policy, resolve=no_lookup))

    def test_a_domain_list_does_not_open_private_addresses(self) -> None:
        policy = FetchPolicy(domains=("example.com",))
        refused("http://example.com/", policy, resolve=answering("127.0.0.1"))


def test_kinds_of_addresses() -> None:
    for public in ("8.8.8.8", "2001:4860:4860::8888", "2606:4700::1111"):
        assert address_kind(public) == "public"
    for private in ("127.0.0.1", "10.1.2.3", "192.168.1.1", "100.64.0.1", "::1", "fd12::1"):
        assert address_kind(private) == "private"
    for never in (
        "169.254.169.254",
        "0.0.0.0",
        "fe80::1",
        "::",
        "::ffff:10.0.0.1",
        "100.100.100.200",
        "ff02::1",
        "nonsense",
    ):
        assert address_kind(never) == "refused"


def test_plain_hosts() -> None:
    for plain in ("example.com", "a", "my_camera.lan", "xn--mnchen-3ya.de", "8.8.8.8", "2001:db8::1", "1e100.net"):
        assert host_is_plain(plain)
    for odd in ("", "a..b", "0x7f.1", "127.1", "08.8.8.8", "fe80::1%lo", "a%2e", "-a", "a-", "exämple"):
        assert not host_is_plain(odd)
    assert not in_domains("example.com", ("", "."))


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
