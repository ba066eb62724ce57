"""``pumice api``: the interface that OpenAI's clients know, in front of the workers of a controller."""

from __future__ import annotations

from typing import Annotated

from typer import Exit, Option

from pumice.cli.serving import (
    AllowedHosts,
    DrainS,
    Host,
    LogFolder,
    LogJson,
    MediaDomains,
    NoRemoteImages,
    RateLimit,
    fetch_policy,
    require,
)
from pumice.cli.settings import Debug


def api(
    host: Host = "127.0.0.1",
    port: Annotated[int, Option("--port", help="0 takes any that is free.")] = 8000,
    controller: Annotated[
        str, Option("--controller", metavar="URL", help="Knows the workers.")
    ] = "http://localhost:21001",
    media_domains: MediaDomains = None,
    no_remote_images: NoRemoteImages = False,
    allowed_hosts: AllowedHosts = None,
    rate_limit: RateLimit = None,
    log_folder: LogFolder = None,
    log_json: LogJson = False,
    drain: DrainS = 30,
    debug: Debug = False,
) -> None:
    """Serve OpenAI's chat API, in front of the workers that a controller knows.

    It refuses to listen for other machines until there is a key: pumice keys create NAME.

    \b
    pumice api --controller http://localhost:21001
    """
    require("serve", "fastapi", "uvicorn", "prometheus_client")
    from pumice.serve.cluster.token import cluster_token
    from pumice.serve.front import Front
    from pumice.serve.guard.keys import Keys
    from pumice.serve.guard.logs import setup_logging
    from pumice.serve.guard.run import Doorkeeping, Drain, guarded, serve

    draining, token = Drain(), cluster_token()
    setup_logging("api", folder=log_folder, as_json=log_json, secrets=(token,))
    how = Doorkeeping(host, Keys(), None, tuple(allowed_hosts or ()), per_minute=rate_limit)
    front = Front(draining, token, controller, fetch_policy(media_domains, no_remote_images))
    raise Exit(serve(guarded(front.app, how), host, port, drain=draining, drain_s=drain, role="api"))
