"""``pumice serve``: everything at once, on one port."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Exit, Option

from pumice.cli.serving import (
    Capacity,
    Conversations,
    Fetching,
    Port,
    RateLimit,
    Serving,
    require,
    require_server,
)
from pumice.cli.settings import Settings, model_flags, require_one_answer, with_model_settings
from pumice.cli.slack import require_tokens
from pumice.cli.spelling import with_groups
from pumice.errors import UsageError

if TYPE_CHECKING:
    from pumice.images.policy import FetchPolicy
    from pumice.serve.front import Front
    from pumice.serve.guard.keeping import Realm
    from pumice.serve.guard.run import Drain
    from pumice.serve.supervisor import Command


@with_model_settings
@with_groups(Serving, Capacity, Fetching)
def serve(
    *,
    serving: Serving,
    port: Port = 8000,
    workers: Annotated[int, Option("--workers", metavar="N", help="Processes that hold the model.")] = 1,
    capacity: Capacity,
    web: Annotated[
        bool | None, Option("--web/--no-web", help="With the page in the browser. Default: if it is installed.")
    ] = None,
    slack: Annotated[bool, Option("--slack", help="With the Slack bot, whose tokens are in SLACK_*_TOKEN.")] = False,
    conversations: Conversations = None,
    fetching: Fetching,
    rate_limit: RateLimit = None,
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
    if workers:
        _require_model(settings.model)
    from pumice.serve.cluster.controller import Cluster
    from pumice.serve.cluster.token import cluster_token
    from pumice.serve.front import Front, Own
    from pumice.serve.guard.keys import fresh_key
    from pumice.serve.guard.run import Drain, require_keys

    draining, token = Drain(), cluster_token()
    clients = {"web": fresh_key(), "slack": fresh_key()}  # they may ask, and nothing else
    serving.log("server", token, *clients.values())
    realm: Realm = "web" if web else "api"
    how = serving.doors(token, scope=realm, login=web, per_minute=rate_limit, clients=clients)
    require_keys(how)
    worker, bot = _worker(serving, capacity, settings), _bot(serving, clients["slack"]) if slack else None
    own = Own(Cluster(token), worker, workers, bot, serving.host, serving.drain)
    fetch = fetching.policy()
    front = Front(draining, token, own, fetch)
    page = (front, draining, serving.host, clients["web"], conversations, fetch)
    ready = _with_page(*page) if web else front.listening
    code = serving.run("server", front.app, how, port, draining, ready)
    raise Exit(front.failed or code)


_PUMICE = (sys.executable, "-m", "pumice")


def _checked(workers: int, web: bool | None, slack: bool) -> bool:
    """Whether there will be a page. Raises UsageError, or PumiceError for a library that is not there."""
    if workers < 0:
        raise UsageError(f"--workers must be 0 or more, found {workers}")
    require_server()
    if web:
        require("web", "gradio", "openai")
    if slack:
        require("slack", "slack_bolt", "aiohttp")
        require_tokens()
    return find_spec("gradio") is not None if web is None else web


def _require_model(name: str | None) -> None:
    """Raises ModelError for a path with no model at it, which a worker would say after seconds, and several times."""
    from pumice.checkpoint.hub import find_model, is_hub_name

    if name is not None and not is_hub_name(name):
        find_model(name)


def _worker(serving: Serving, capacity: Capacity, settings: Settings) -> Command:
    """How a worker is started. Each has a folder of its own for its log: a file has one writer."""
    from pumice.serve.supervisor import Command

    folder = [] if serving.log_folder is None else ["--log-folder", str(serving.log_folder / "worker-{number}")]
    log = [*folder, *(["--log-json"] if serving.log_json else [])]
    place = ("worker", "--port", "{port}", "--controller", "{front}", "--drain", str(serving.drain))
    words = [*_PUMICE, *place, *capacity.flags(), *log, *model_flags(settings)]
    return Command("worker", words, ("PUMICE_CLUSTER_TOKEN", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"))


def _bot(serving: Serving, key: str) -> Command:
    """How the bot is started, which is a client like others."""
    from pumice.serve.supervisor import Command

    words = [*_PUMICE, "slack", "--api", "{front}/v1", "--drain", str(serving.drain)]
    return Command("bot", words, ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN"), {"PUMICE_API_KEY": key})


def _with_page(
    front: Front, drain: Drain, host: str, key: str, conversations: Path | None, fetch: FetchPolicy | None
) -> Callable[[int], None]:
    """Puts the page upon the API. What to call once it listens."""
    from pumice.serve.web.app import mount_web
    from pumice.serve.web.settings import WebSettings

    upstream = mount_web(front.app, WebSettings(api=None, key=key, log_folder=conversations, fetch=fetch), drain)

    def ready(port: int) -> None:
        upstream.listening(host, port)
        front.listening(port)

    return ready
