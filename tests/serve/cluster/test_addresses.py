"""Which address a worker may have, decided without network."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

import pytest

from pumice.errors import UsageError
from pumice.serve.cluster import addresses
from pumice.serve.cluster.addresses import (
    Address,
    Place,
    dialled,
    is_own,
    machine,
    plain,
    read_name,
    read_networks,
    resolve,
)
from pumice.serve.cluster.registry import Refused

LAN = "192.168.7.5"  # an address of this machine, in these tests


def own(address: Address) -> bool:
    return address.is_loopback or str(address) == LAN


def dial(name: str, peer: str, *allowed: str) -> str:
    return asyncio.run(dialled(read_name(name), peer, read_networks(allowed), own=own))


@pytest.mark.parametrize(
    ("name", "peer", "allowed", "expected"),
    [
        ("http://127.0.0.1:21002", "127.0.0.1", [], "http://127.0.0.1:21002"),
        ("http://127.0.0.1:21002/", "::1", [], "http://127.0.0.1:21002"),
        ("http://[::1]:21002", "127.0.0.1", [], "http://[::1]:21002"),
        ("http://10.0.0.5:21002", "10.0.0.5", [], "http://10.0.0.5:21002"),
        ("http://10.0.0.5", "::ffff:10.0.0.5", [], "http://10.0.0.5:80"),
        ("http://[::ffff:10.0.0.5]:7", "10.0.0.5", [], "http://10.0.0.5:7"),
        ("https://10.0.0.5", "10.0.0.5", [], "https://10.0.0.5:443"),
        (f"http://{LAN}:21002", "127.0.0.1", [], f"http://{LAN}:21002"),
        ("http://127.0.0.1:21002", LAN, [], "http://127.0.0.1:21002"),
        ("http://10.0.0.5:21002", "10.9.9.9", ["10.0.0.0/24"], "http://10.0.0.5:21002"),
        ("http://[fd00::5]:21002", "10.9.9.9", ["10.0.0.0/24", "fd00::/8"], "http://[fd00::5]:21002"),
    ],
)
def test_permitted(name: str, peer: str, allowed: list[str], expected: str) -> None:
    assert dial(name, peer, *allowed) == expected


@pytest.mark.parametrize(
    ("name", "peer", "allowed"),
    [
        ("http://127.0.0.1:21002", "10.0.0.5", []),  # the controller's own machine, seen from elsewhere
        ("http://[::1]:21002", "10.0.0.5", []),
        (f"http://{LAN}:22", "10.0.0.5", []),
        ("http://10.0.0.6:21002", "10.0.0.5", []),
        ("http://10.0.0.6:21002", "127.0.0.1", []),
        ("http://169.254.169.254", "127.0.0.1", []),
        ("http://169.254.169.254", "10.0.0.5", ["10.0.0.0/8"]),
        ("http://0.0.0.0:21002", "10.0.0.5", ["0.0.0.0/0"]),
        ("http://224.0.0.1:21002", "10.0.0.5", ["0.0.0.0/0"]),
        ("http://nowhere.test:21002", "10.0.0.5", ["0.0.0.0/0"]),
    ],
)
def test_refused(name: str, peer: str, allowed: list[str]) -> None:
    with pytest.raises(Refused):
        dial(name, peer, *allowed)


def _answers(monkeypatch: pytest.MonkeyPatch, *found: str) -> list[str]:
    asked: list[str] = []

    async def answer(host: str) -> list[Address]:
        asked.append(host)
        return [ip_address(each) for each in found]

    monkeypatch.setattr(addresses, "resolve", answer)
    return asked


def test_every_answer_must_be_permitted(monkeypatch: pytest.MonkeyPatch) -> None:
    _answers(monkeypatch, "10.0.0.5", "169.254.169.254")
    with pytest.raises(Refused):
        dial("http://gpu1:21002", "10.0.0.5")


def test_a_name_is_looked_up_once_and_then_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """So a name that means something else later leads nobody anywhere. A certificate keeps its name."""
    asked = _answers(monkeypatch, "10.0.0.5")
    assert dial("http://gpu1:21002", "10.0.0.5") == "http://10.0.0.5:21002"
    assert dial("https://gpu1:21002", "10.0.0.5") == "https://gpu1:21002"
    assert asked == ["gpu1", "gpu1"]


def test_a_name_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async def forever(*_: object, **__: object) -> list[object]:
            await asyncio.sleep(60)
            return []

        monkeypatch.setattr(addresses, "_RESOLVE_S", 0.05)
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", forever)
        with pytest.raises(Refused, match="not known"):
            await resolve("slow")

    asyncio.run(run())


def test_this_machines_addresses() -> None:
    assert is_own(ip_address("127.0.0.1"))
    assert not is_own(ip_address("192.0.2.1"))  # for documentation, nobody's
    assert not is_own(ip_address("2001:db8::1"))
    assert machine("::ffff:127.0.0.1") == machine("::1") == machine("127.0.0.1") != machine("192.0.2.1")
    assert plain("fe80::1%eth0") == ip_address("fe80::1")


def test_names_and_networks() -> None:
    assert read_name("http://Gpu-1.lan:21002") == Place("http", "gpu-1.lan", 21002)
    with pytest.raises(UsageError, match=r"10\.0\.0\.0/33"):
        read_networks(["10.0.0.0/8", "10.0.0.0/33"])
