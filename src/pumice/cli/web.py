"""``pumice web``: the page, in front of an API that is running already, or of a controller."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Exit, Option

from pumice.cli.serving import (
    AllowedHosts,
    DrainS,
    Host,
    LogFolder,
    LogJson,
    MediaDomains,
    NoRemoteImages,
    fetch_policy,
    require,
)
from pumice.cli.settings import Debug
from pumice.errors import UsageError

if TYPE_CHECKING:
    from pumice.serve.front import Front
    from pumice.serve.guard.run import Drain
    from pumice.serve.web.settings import WebSettings
    from pumice.serve.web.upstream import Upstream

_ITS_API = "http://127.0.0.1:8000/v1"


def web(
    host: Host = "127.0.0.1",
    port: Annotated[int, Option("--port", help="0 takes any that is free.")] = 7860,
    api: Annotated[
        str | None, Option("--api", metavar="URL", help=f"Any OpenAI-compatible server. [default: {_ITS_API}]")
    ] = None,
    controller: Annotated[
        str | None, Option("--controller", metavar="URL", help="Ask its workers instead, without an API between.")
    ] = None,
    api_key: Annotated[
        str | None, Option("--api-key", metavar="KEY", envvar="PUMICE_API_KEY", help="Opens the API to the page.")
    ] = None,
    conversations: Annotated[
        Path | None, Option("--conversations", metavar="FOLDER", help="Write conversations and votes down there.")
    ] = None,
    media_domains: MediaDomains = None,
    no_remote_images: NoRemoteImages = False,
    allowed_hosts: AllowedHosts = None,
    log_folder: LogFolder = None,
    log_json: LogJson = False,
    share: Annotated[bool, Option("--share", hidden=True)] = False,
    drain: DrainS = 30,
    debug: Debug = False,
) -> None:
    """Serve a web page to chat about pictures. It holds no model: it asks an API.

    The API may start later. The page refuses to listen for other machines until there is a key (pumice keys create
    NAME), with which visitors log in.

    \b
    pumice web
    pumice web --api https://api.example.com/v1 --conversations logs
    """
    if share:
        raise UsageError(
            "--share is not supported: nothing is published through servers of others",
            hint="listen on your own network: pumice keys create NAME, then --host 0.0.0.0",
        )
    if api is not None and controller is not None:
        raise UsageError("--api and --controller exclude each other", hint="give the one that is running")
    require("web", "gradio", "fastapi", "uvicorn", "openai")
    from pumice.serve.cluster.token import cluster_token
    from pumice.serve.guard.keys import Keys
    from pumice.serve.guard.logs import setup_logging
    from pumice.serve.guard.run import Doorkeeping, Drain, guarded, serve
    from pumice.serve.web.app import create_web
    from pumice.serve.web.settings import WebSettings

    draining, policy = Drain(), fetch_policy(media_domains, no_remote_images)
    token = cluster_token() if controller is not None else None
    setup_logging("web", folder=log_folder, as_json=log_json, secrets=[each for each in (token, api_key) if each])
    how = Doorkeeping(host, Keys(), token, tuple(allowed_hosts or ()), scope="web", login=True)
    settings = WebSettings(api=api or _ITS_API, key=api_key, log_folder=conversations, fetch=policy)
    ready = None
    if token is None or controller is None:
        app = guarded(create_web(settings, draining), how)
    else:
        front, upstream = _with_its_own_api(settings, draining, token, controller)
        app, ready = guarded(front.app, how), partial(upstream.listening, host)
    raise Exit(serve(app, host, port, drain=draining, on_ready=ready, drain_s=drain, role="web"))


def _with_its_own_api(settings: WebSettings, drain: Drain, token: str, controller: str) -> tuple[Front, Upstream]:
    """The page beside an API that asks a controller's workers, as the original's page did itself."""
    from pumice.serve.front import Front
    from pumice.serve.web.app import mount_web

    front = Front(drain, token, controller, settings.fetch)
    return front, mount_web(front.app, replace(settings, api=None, key=token), drain)
