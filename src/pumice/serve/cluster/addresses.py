"""Where a worker may be: on the machine that registers it, or in a network that was named. Nowhere else is called."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias
from urllib.parse import urlsplit

from pumice.errors import UsageError
from pumice.serve.cluster.registry import Refused

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

_NAME = re.compile(r"[A-Za-z0-9._:/\[\]-]{1,200}")
_RESOLVE_S = 3.0
_FORM = "a worker's name is its URL, such as http://10.0.0.5:21002"


@dataclass(frozen=True)
class Place:
    """The parts of a worker's URL."""

    scheme: str
    host: str
    port: int


def read_name(name: str) -> Place:
    """The place that a worker's name says. Raises UsageError for anything but http(s)://host[:port]."""
    if _NAME.fullmatch(name) is None:
        raise UsageError(_FORM)
    try:
        parts = urlsplit(name)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise UsageError(_FORM) from None
    if parts.scheme not in ("http", "https") or not host or parts.path not in ("", "/") or port == 0:
        raise UsageError(_FORM)
    return Place(parts.scheme, host, port or (443 if parts.scheme == "https" else 80))


def read_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """The networks of ``--worker-allow``. Raises UsageError for a text that is no address or network."""
    found = []
    for text in texts:
        try:
            found.append(ip_network(text, strict=False))
        except ValueError:
            hint = "expected an address or a network, such as 10.0.0.0/24"
            raise UsageError(f"{text!r} is not a network", hint=hint) from None
    return tuple(found)


def is_own(address: Address) -> bool:
    """Whether an address is this machine's: only those can be bound to."""
    if address.is_loopback:
        return True
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True


async def resolve(host: str) -> list[Address]:
    """All addresses of a host, those of IPv4 first. Raises Refused if there are none, or nobody says so in time."""
    loop = asyncio.get_running_loop()
    try:
        answers = await asyncio.wait_for(loop.getaddrinfo(host, None, type=socket.SOCK_STREAM), _RESOLVE_S)
        found = {plain(str(answer[4][0])) for answer in answers}
    except (OSError, ValueError, UnicodeError, asyncio.TimeoutError):
        raise Refused("the worker's host name is not known here", hint="register it by its address") from None
    return sorted(found, key=lambda each: (each.version, int(each)))


async def dialled(
    place: Place, peer: str, allowed: Sequence[Network], *, own: Callable[[Address], bool] = is_own
) -> str:
    """The URL under which to call a worker that registers from the address ``peer``.

    Its host is looked up once, here; every answer must be permitted, and plain http then goes to that very address,
    whatever the name says later. With https the certificate vouches for the name.

    Raises: Refused.
    """
    caller = plain(peer)
    answers = await resolve(place.host)
    for address in answers:
        here = address == caller or (own(caller) and own(address))
        named = any(address.version == each.version and address in each for each in allowed)
        if address.is_unspecified or address.is_multicast or not (here or named):
            raise Refused(
                "a worker registers itself, from its own address, or from one that the controller allows",
                hint="start the controller with --worker-allow and the worker's network",
            )
    host = place.host if place.scheme == "https" else str(answers[0])
    return f"{place.scheme}://{f'[{host}]' if ':' in host else host}:{place.port}"


def plain(text: str) -> Address:
    """An address as it is, not as IPv6 wraps it. Raises ValueError."""
    address = ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
