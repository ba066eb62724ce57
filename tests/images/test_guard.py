"""The guard before every fetch: which addresses may be dialled, whatever a URL or a resolver says."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from images.hostile import HOSTS, URLS, system_like
from images.servers import (
    GUARDED,
    LOCAL,
    PICTURE,
    Server,
    answering,
    no_lookup,
    refused,
    reply,
)
from pumice.errors import ImageError
from pumice.images.fetch import FetchPolicy, fetch
from pumice.images.policy import address_kind, host_is_plain, in_domains


class TestGuard:
    @pytest.mark.parametrize("host", HOSTS.split())
    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_hostile_hosts(self, host: str, scheme: str) -> None:
        refused(f"{scheme}://{host}/cat.png", resolve=system_like)

    @pytest.mark.parametrize("url", URLS)
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
