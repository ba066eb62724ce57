"""What may be fetched from the web, and which hosts and addresses it may come from: pure rules, no network."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["public", "private", "refused"]

# One's own machine and networks, which a policy may open up. 198.18/15 is what some local proxies answer with.
_PRIVATE = """
    10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 172.16.0.0/12 192.168.0.0/16 198.18.0.0/15 ::1/128 fc00::/7 fec0::/10
"""
# Never a picture: unspecified, link-local with its cloud metadata, documentation, multicast, reserved, and the IPv6
# ranges that carry an IPv4 address inside them. The last line is single hosts that hand out cloud credentials.
_REFUSED = """
    0.0.0.0/8 169.254.0.0/16 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4
    240.0.0.0/4 ::/128 ::ffff:0:0/96 ::ffff:0:0:0/96 64:ff9b::/96 64:ff9b:1::/48 100::/64 2001::/23 2001:db8::/32
    2002::/16 3fff::/20 5f00::/16 fe80::/10 ff00::/8
    100.100.100.200/32 168.63.129.16/32 192.0.0.192/32 fd00:ec2::254/128 fd20:ce::254/128
"""
_PRIVATE_NETWORKS = tuple(ip_network(text) for text in _PRIVATE.split())
_REFUSED_NETWORKS = tuple(ip_network(text) for text in _REFUSED.split())
_IPV4_COMPATIBLE = IPv6Network("::/96")
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")
_LONGEST_NAME = 253
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")


@dataclass(frozen=True)
class FetchPolicy:
    """What may be fetched.

    allow_private: also addresses of one's own machine and networks, and any port; link-local stays refused.
    max_bytes: largest body. deadline_s: seconds for everything together. connect_s: seconds to connect to one address.
    domains: if given, only these host names and names below them. for_strangers: whoever chose the URL is not whom
    this machine belongs to, so a refusal does not tell what kind of address it was, or how to allow it.
    """

    allow_private: bool = False
    max_bytes: int = 20 << 20
    deadline_s: float = 10.0
    connect_s: float = 5.0
    max_redirects: int = 3
    ports: tuple[int, ...] = (80, 443)
    domains: tuple[str, ...] | None = None
    for_strangers: bool = False


def address_kind(text: str) -> Kind:
    """``public``, ``private`` (may be allowed by a policy) or ``refused`` (never), for an address in plain spelling."""
    try:
        address = ip_address(text)
    except ValueError:
        return "refused"
    if isinstance(address, IPv6Address) and (address.scope_id is not None or _is_compatible(address)):
        return "refused"
    if any(address.version == network.version and address in network for network in _REFUSED_NETWORKS):
        return "refused"
    if any(address.version == network.version and address in network for network in _PRIVATE_NETWORKS):
        return "private"
    return "public" if address.is_global else "refused"


def host_is_plain(host: str) -> bool:
    """Whether ``host`` is a DNS name or an IP address in its one canonical spelling, so that nobody can misread it.

    Refused are ``0x7f.1``, ``127.1``, ``2130706433``, zone ids, percent signs and anything outside ASCII names.
    """
    if ":" in host:
        return _is_literal(host) and "%" not in host
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        return _is_literal(host)
    return len(host) <= _LONGEST_NAME and _NAME.fullmatch(host) is not None


def is_local_name(host: str) -> bool:
    """``localhost`` and its subdomains, whatever a resolver says (RFC 6761)."""
    return host == "localhost" or host.endswith(".localhost")


def in_domains(host: str, domains: tuple[str, ...]) -> bool:
    """Whether ``host`` is one of ``domains`` or below one of them; never by a bare suffix."""
    allowed = [domain.lower().strip(".") for domain in domains]
    return any(host == domain or host.endswith("." + domain) for domain in allowed if domain)


def _is_literal(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return isinstance(address, IPv6Address) or (isinstance(address, IPv4Address) and str(address) == host)


def _is_compatible(address: IPv6Address) -> bool:
    """The old ``::a.b.c.d`` form, of which only ``::1`` still means something."""
    return address in _IPV4_COMPATIBLE and int(address) != 1
