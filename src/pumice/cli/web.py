"""``pumice web``: the page, in front of an API that is running already, or of a controller."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated

from typer import Exit, Option

from pumice.cli.serving import Conversations, Fetching, Port, Serving, require
from pumice.cli.settings import Debug
from pumice.cli.spelling import with_groups
from pumice.errors import UsageError
from pumice.remote import base_url, server_url

if TYPE_CHECKING:
    from fastapi import FastAPI

    from pumice.serve.front import Front
    from pumice.serve.guard.run import Drain
    from pumice.serve.web.settings import WebSettings
    from pumice.serve.web.upstream import Upstream

_ITS_API = "http://127.0.0.1:8000/v1"


@with_groups(Serving, Fetching)
def web(
    serving: Serving,
    fetching: Fetching,
    port: Port = 7860,
    api: Annotated[
        str | None, Option("--api", metavar="URL", help=f"Any OpenAI-compatible server. [default: {_ITS_API}]")
    ] = None,
    controller: Annotated[
        str | None, Option("--controller", metavar="URL", help="Ask its workers instead, without an API between.")
    ] = None,
    api_key: Annotated[
        str | None, Option("--api-key", metavar="KEY", envvar="PUMICE_API_KEY", help="Opens the API to the page.")
    ] = None,
    conversations: Conversations = None,
    share: Annotated[bool, Option("--share", hidden=True)] = False,
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
    where = base_url(api or _ITS_API, "--api")
    require("web", "gradio", "fastapi", "uvicorn", "openai")
    from pumice.serve.cluster.token import cluster_token
    from pumice.serve.guard.run import Drain, require_keys
    from pumice.serve.web.settings import WebSettings

    draining = Drain()
    token = cluster_token() if controller is not None else None
    serving.log("web", token, api_key)
    doors = serving.doors(token, scope="web", login=True)
    require_keys(doors)  # before Gradio is imported, which takes seconds
    settings = WebSettings(api=where, key=api_key, log_folder=conversations, fetch=fetching.policy())
    ready = None
    if token is None or controller is None:
        app = _alone(settings, draining)
    else:
        front, upstream = _with_its_own_api(settings, draining, token, server_url(controller, "--controller"))
        app, ready = front.app, partial(upstream.listening, serving.host)
    raise Exit(serving.run("web", app, doors, port, draining, ready))


def _alone(settings: WebSettings, drain: Drain) -> FastAPI:
    from pumice.serve.web.app import create_web

    return create_web(settings, drain)


def _with_its_own_api(settings: WebSettings, drain: Drain, token: str, controller: str) -> tuple[Front, Upstream]:
    """The page beside an API that asks a controller's workers, as the original's page did itself."""
    from pumice.serve.front import Front
    from pumice.serve.web.app import mount_web

    front = Front(drain, token, controller, settings.fetch)
    return front, mount_web(front.app, replace(settings, api=None, key=token), drain)
