"""What the guard of one server is told: where it listens, whom it lets in, how much it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from typing import Literal, TypeAlias

from pumice.serve.guard.keys import Keys

Realm: TypeAlias = Literal["api", "cluster", "web"]


@dataclass(frozen=True)
class Doorkeeping:
    """The rules of one server.

    host: the address it listens on.
    cluster_token: opens a server of the realm cluster.
    clients: keys by name, of clients that this very process has made: they may ask, as often as they like.
    allowed_hosts: names under which it may be called besides the loopback ones.
    max_body: bytes.
    header_s, body_s: seconds that a request's headers and its body may take to arrive.
    per_minute: questions that each API key may ask in a minute; None for any number.
    login: browsers without a session are shown the page ``/login``.
    """

    host: str
    keys: Keys
    cluster_token: str | None = field(repr=False)
    allowed_hosts: tuple[str, ...] = ()
    scope: Realm = "api"
    max_body: int = 32 << 20
    header_s: float = 30
    body_s: float = 60
    login: bool = False
    per_minute: float | None = None
    clients: Mapping[str, str] = field(default_factory=dict, repr=False)


def here(host: str) -> str:
    """How this machine itself reaches a server that listens on ``host``, as the host of a URL."""
    name = "127.0.0.1" if host in ("0.0.0.0", "::", "") else host
    return f"[{name}]" if ":" in name else name


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
