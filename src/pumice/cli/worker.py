"""``pumice worker``: one model behind an OpenAI-compatible interface, for a controller or by itself."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

from typer import Exit, Option

from pumice.cli.serving import AllowedHosts, DrainS, Host, LogFolder, LogJson, require, served_name
from pumice.cli.session import open_engine
from pumice.cli.settings import Settings, with_model_settings
from pumice.errors import UsageError

if TYPE_CHECKING:
    from pumice.serve.worker.app import Answerer

_UPSTREAM_KEY = "PUMICE_UPSTREAM_KEY"


@with_model_settings
def worker(
    *,
    host: Host = "127.0.0.1",
    port: Annotated[int, Option("--port", help="0 takes any that is free.")] = 21002,
    controller: Annotated[str | None, Option("--controller", metavar="URL", help="Where to register.")] = None,
    no_register: Annotated[bool, Option("--no-register", help="Serve by itself, whatever --controller says.")] = False,
    address: Annotated[
        str | None, Option("--address", metavar="URL", help="Its own address as others reach it.")
    ] = None,
    name: Annotated[str | None, Option("--name", metavar="NAME", help="What callers name the model.")] = None,
    slots: Annotated[int, Option("--slots", metavar="N", help="Answers that are made together.")] = 8,
    queue: Annotated[int, Option("--queue", metavar="N", help="Questions that may wait; more are refused.")] = 64,
    deadline: Annotated[float, Option("--deadline", metavar="S", help="Longest time of an answer.")] = 600,
    upstream: Annotated[
        str | None,
        Option("--upstream", metavar="URL", help="Pass questions on to this OpenAI-compatible server instead."),
    ] = None,
    allowed_hosts: AllowedHosts = None,
    log_folder: LogFolder = None,
    log_json: LogJson = False,
    drain: DrainS = 30,
    settings: Settings,
) -> None:
    """Serve one model over HTTP, for a controller or by itself.

    With --upstream, vLLM, SGLang, llama.cpp or any other OpenAI-compatible server becomes a worker; its key, if it
    wants one, is in PUMICE_UPSTREAM_KEY. Controller, workers and API of one cluster share PUMICE_CLUSTER_TOKEN, or on
    one machine a file that is made on first use.

    \b
    pumice worker --controller http://localhost:21001
    pumice worker -m llava-hf/llava-1.5-7b-hf --4bit --slots 4
    pumice worker --upstream http://localhost:8000/v1 --controller http://localhost:21001
    """
    if slots < 1 or queue < 0 or deadline <= 0:
        raise UsageError("--slots must be at least 1, --queue at least 0, and --deadline above 0")
    require("serve", "fastapi", "uvicorn", "prometheus_client")
    from pumice.serve.cluster.token import cluster_token
    from pumice.serve.guard.keys import Keys
    from pumice.serve.guard.logs import setup_logging
    from pumice.serve.guard.run import Doorkeeping, Drain, guarded, serve
    from pumice.serve.supervisor import end_with_parent
    from pumice.serve.worker.app import Membership, Worker

    draining, token = Drain(), cluster_token()
    setup_logging("worker", folder=log_folder, as_json=log_json, secrets=(token,))
    end_with_parent(draining)
    how = Doorkeeping(host, Keys(), token, tuple(allowed_hosts or ()), "cluster")
    membership = None
    if controller is not None and not no_register:
        membership = Membership(controller, address or _address(host), token)
    if upstream is None:
        answerer = _of_a_model(settings, name, slots, queue, deadline)
    else:
        answerer = _of_a_server(upstream, slots + queue)
    made = Worker(answerer, draining, token, membership)
    app = guarded(made.app, how)
    code = serve(app, host, port, drain=draining, on_ready=made.listening, drain_s=drain, role="worker")
    raise Exit(code)


def _address(host: str) -> str:
    """How others on this machine, or by a name of its own, reach it."""
    if host in ("0.0.0.0", "::", ""):
        return "http://127.0.0.1:{port}"
    return f"http://[{host}]:{{port}}" if ":" in host else f"http://{host}:{{port}}"


def _of_a_model(settings: Settings, name: str | None, slots: int, queue: int, deadline: float) -> Answerer:
    from pumice.serve.worker.service import EngineService, Limits

    engine = open_engine(settings)
    return EngineService(engine, name or served_name(engine.name), Limits(slots, queue, deadline))


def _of_a_server(url: str, most: int) -> Answerer:
    from pumice.serve.api.channel import Channel
    from pumice.serve.worker.upstream import SILENCE_S, Upstream

    channel = Channel(os.environ.get(_UPSTREAM_KEY), silence_s=SILENCE_S)
    return Upstream(url, channel, most=most)
