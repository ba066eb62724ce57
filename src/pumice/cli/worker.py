"""``pumice worker``: one model behind an OpenAI-compatible interface, for a controller or by itself."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

from typer import Exit, Option

from pumice.cli.serving import Capacity, Port, Serving, require_server, served_name
from pumice.cli.session import open_engine
from pumice.cli.settings import Settings, require_one_answer, with_model_settings
from pumice.cli.spelling import with_groups
from pumice.remote import server_url

if TYPE_CHECKING:
    from pumice.serve.worker.app import Answerer

_UPSTREAM_KEY = "PUMICE_UPSTREAM_KEY"


@with_model_settings
@with_groups(Serving, Capacity)
def worker(
    *,
    serving: Serving,
    port: Port = 21002,
    controller: Annotated[str | None, Option("--controller", metavar="URL", help="Where to register.")] = None,
    no_register: Annotated[bool, Option("--no-register", help="Serve by itself, whatever --controller says.")] = False,
    address: Annotated[
        str | None, Option("--address", metavar="URL", help="Its own address as others reach it.")
    ] = None,
    capacity: Capacity,
    upstream: Annotated[
        str | None,
        Option("--upstream", metavar="URL", help="Pass questions on to this OpenAI-compatible server instead."),
    ] = None,
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
    where = None if controller is None or no_register else server_url(controller, "--controller")
    require_server()
    from pumice.serve.cluster.token import cluster_token
    from pumice.serve.guard.keeping import here
    from pumice.serve.guard.parent import end_with_parent
    from pumice.serve.guard.run import Drain
    from pumice.serve.worker.app import Membership, Worker

    draining, token = Drain(), cluster_token()
    serving.log("worker", token, os.environ.get(_UPSTREAM_KEY))
    end_with_parent(draining.begin)
    membership = None if where is None else Membership(where, address or f"http://{here(serving.host)}:{{port}}", token)
    if upstream is None:
        answerer = _of_a_model(settings, capacity)
    else:
        answerer = _of_a_server(server_url(upstream, "--upstream"), capacity.slots + capacity.queue)
    made = Worker(answerer, draining, token, membership)
    doors = serving.doors(token, scope="cluster")
    code = serving.run("worker", made.app, doors, port, draining, made.listening)
    raise Exit(made.failed or code)


def _of_a_model(settings: Settings, capacity: Capacity) -> Answerer:
    from pumice.serve.worker.service import EngineService, Limits

    require_one_answer(settings)
    engine = open_engine(settings, kv_bytes=capacity.cache_bytes)
    limits = Limits(capacity.slots, capacity.queue, capacity.deadline)
    return EngineService(engine, capacity.name or served_name(engine.name), limits)


def _of_a_server(url: str, most: int) -> Answerer:
    from pumice.serve.api.channel import Channel
    from pumice.serve.worker.upstream import OTHER, SILENCE_S, Upstream

    channel = Channel(os.environ.get(_UPSTREAM_KEY), silence_s=SILENCE_S, other=OTHER)
    return Upstream(url, channel, most=most)
