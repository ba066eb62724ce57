"""``pumice serve``: everything at once, on one port."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
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
    RateLimit,
    fetch_policy,
    require,
)
from pumice.cli.settings import Settings, model_flags, require_one_answer, with_model_settings
from pumice.errors import UsageError

if TYPE_CHECKING:
    from pumice.serve.front import Front
    from pumice.serve.guard.keeping import Realm
    from pumice.serve.guard.run import Drain


@with_model_settings
def serve(
    *,
    host: Host = "127.0.0.1",
    port: Annotated[int, Option("--port", help="0 takes any that is free.")] = 8000,
    workers: Annotated[int, Option("--workers", metavar="N", help="Processes that hold the model.")] = 1,
    name: Annotated[str | None, Option("--name", metavar="NAME", help="What callers name the model.")] = None,
    slots: Annotated[int, Option("--slots", metavar="N", help="Answers that a worker makes together.")] = 8,
    queue: Annotated[int, Option("--queue", metavar="N", help="Questions that may wait for a worker.")] = 64,
    deadline: Annotated[float, Option("--deadline", metavar="S", help="Longest time of an answer.")] = 600,
    web: Annotated[
        bool | None, Option("--web/--no-web", help="With the page in the browser. Default: if it is installed.")
    ] = None,
    slack: Annotated[bool, Option("--slack", help="With the Slack bot, whose tokens are in SLACK_*_TOKEN.")] = False,
    conversations: Annotated[
        Path | None, Option("--conversations", metavar="FOLDER", help="Write the page's conversations and votes there.")
    ] = None,
    media_domains: MediaDomains = None,
    no_remote_images: NoRemoteImages = False,
    allowed_hosts: AllowedHosts = None,
    rate_limit: RateLimit = None,
    log_folder: LogFolder = None,
    log_json: LogJson = False,
    drain: DrainS = 30,
    settings: Settings,
) -> None:
    """Serve the model: an API for OpenAI's clients, a page in the browser, and the workers behind them, in one go.

    Workers on other machines may join it: pumice worker --controller http://HOST:PORT. It refuses to listen for other
    machines until there is a key: pumice keys create NAME.

    \b
    pumice serve
    pumice serve -m llava-hf/llava-1.5-7b-hf --4bit --port 9000
    """
    require_one_answer(settings)
    web = _checked(workers, web, slack)
    from pumice.serve.cluster.controller import Cluster
    from pumice.serve.cluster.token import cluster_token
    from pumice.serve.front import Front, Own
    from pumice.serve.guard.keys import Keys
    from pumice.serve.guard.logs import setup_logging
    from pumice.serve.guard.run import Doorkeeping, Drain, guarded
    from pumice.serve.guard.run import serve as run

    draining, token = Drain(), cluster_token()
    setup_logging("server", folder=log_folder, as_json=log_json, secrets=(token,))
    realm: Realm = "web" if web else "api"
    how = Doorkeeping(host, Keys(), token, tuple(allowed_hosts or ()), realm, login=web, per_minute=rate_limit)
    log = [*(["--log-folder", str(log_folder)] if log_folder else []), *(["--log-json"] if log_json else [])]
    limits = ["--slots", str(slots), "--queue", str(queue), "--deadline", str(deadline), "--drain", str(drain)]
    named = ["--name", name] if name else []
    own = Own(Cluster(token), [*_WORKER, *limits, *log, *named, *model_flags(settings)], workers)
    if slack:
        own = replace(own, bot=[*_BOT, "--drain", str(drain)])
        os.environ["PUMICE_API_KEY"] = token  # the bot is a client like others
    front = Front(draining, token, own, fetch_policy(media_domains, no_remote_images))
    ready = _with_page(front, draining, token, host, conversations) if web else front.listening
    code = run(guarded(front.app, how), host, port, drain=draining, on_ready=ready, drain_s=drain, role="server")
    raise Exit(front.failed or code)


_PUMICE = (sys.executable, "-m", "pumice")
_WORKER = (*_PUMICE, "worker", "--port", "{port}", "--controller", "{front}")
_BOT = (*_PUMICE, "slack", "--api", "{front}/v1")


def _checked(workers: int, web: bool | None, slack: bool) -> bool:
    """Whether there will be a page. Raises UsageError, or PumiceError for a library that is not there."""
    if workers < 0:
        raise UsageError(f"--workers must be 0 or more, found {workers}")
    require("serve", "fastapi", "uvicorn", "prometheus_client")
    if web:
        require("web", "gradio", "openai")
    if slack:
        require("slack", "slack_bolt", "aiohttp")
    return find_spec("gradio") is not None if web is None else web


def _with_page(front: Front, drain: Drain, token: str, host: str, conversations: Path | None) -> Callable[[int], None]:
    """Puts the page upon the API. What to call once it listens."""
    from pumice.serve.web.app import mount_web
    from pumice.serve.web.settings import WebSettings

    upstream = mount_web(front.app, WebSettings(api=None, key=token, log_folder=conversations), drain)

    def ready(port: int) -> None:
        upstream.listening(host, port)
        front.listening(port)

    return ready
