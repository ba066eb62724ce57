"""Pictures from the web, without letting a URL reach what it should not (server-side request forgery).

Every hop of a redirect goes through the same check and is dialled through ``images.dial``. No proxies, cookies,
credentials or compressed bodies; sizes and time are bounded. The network libraries are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pumice.images.policy import FetchPolicy

if TYPE_CHECKING:
    import ssl

    from pumice.images.dial import Resolver

__all__ = ["FetchPolicy", "fetch"]


def fetch(
    url: str, policy: FetchPolicy, *, resolve: Resolver | None = None, tls: ssl.SSLContext | None = None
) -> bytes:
    """The body behind ``url``, at most ``policy.max_bytes`` long. Blocks; may be called from any thread or loop.

    resolve: how a host name becomes addresses; the system's way if not given. tls: whom to trust, likewise.
    Raises BlockedUrlError for what the policy refuses, ImageError for everything that goes wrong on the way.
    """
    from pumice.images.dial import system_resolver
    from pumice.images.download import download

    return download(url, policy, resolve or system_resolver, tls)
