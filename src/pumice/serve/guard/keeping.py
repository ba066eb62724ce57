"""What the guard of one server is told: where it listens, whom it lets in, how much it takes."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Literal, TypeAlias

from pumice.serve.guard.keys import Keys

Realm: TypeAlias = Literal["api", "cluster", "web"]


@dataclass(frozen=True)
class Doorkeeping:
    """The rules of one server.

    host: the address it listens on.
    cluster_token: opens a server of the realm cluster.
    allowed_hosts: names under which it may be called besides the loopback ones.
    max_body: bytes.
    header_s, body_s: seconds that a request's headers and its body may take to arrive.
    per_minute: questions that each API key may ask in a minute; None for any number.
    login: browsers without a session are shown the page ``/login``.
    """

    host: str
    keys: Keys
    cluster_token: str | None
    allowed_hosts: tuple[str, ...] = ()
    scope: Realm = "api"
    max_body: int = 32 << 20
    header_s: float = 30
    body_s: float = 60
    login: bool = False
    per_minute: float | None = None


def is_loopback(host: str) -> bool:
    """Whether a host name or an address, without a port, means this machine."""
    name = host.lower().strip("[]").rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
