"""``pumice worker``: one model behind an OpenAI-compatible interface, for a controller or by itself."""

from __future__ import annotations

from typing import Annotated

import typer
from typer import Option

from pumice.cli.session import open_engine
from pumice.cli.settings import Settings, with_model_settings


@with_model_settings
def worker(
    context: typer.Context,
    *,
    host: Annotated[str, Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, Option("--port", help="Port to listen on; 0 takes any.")] = 21002,
    name: Annotated[str | None, Option("--name", metavar="NAME", help="What callers name the model.")] = None,
    slots: Annotated[int, Option("--slots", metavar="N", help="Answers that are made together.")] = 8,
    queue: Annotated[int, Option("--queue", metavar="N", help="Questions that may wait; more are refused.")] = 64,
    deadline: Annotated[float, Option("--deadline", metavar="S", help="Longest time of an answer.")] = 600,
    settings: Settings,
) -> None:
    """Serve one model."""
    from pumice.serve.cluster.token import cluster_token
    from pumice.serve.guard.keys import Keys
    from pumice.serve.guard.run import Doorkeeping, Drain, guarded, serve
    from pumice.serve.worker.app import create_worker
    from pumice.serve.worker.service import EngineService, Limits

    how = Doorkeeping(host=host, keys=Keys(), cluster_token=cluster_token(), scope="cluster")
    engine = open_engine(settings)
    drain = Drain()
    limits = Limits(slots=slots, queue=queue, deadline_s=deadline)
    service = EngineService(engine, name or engine.name, limits)
    app = guarded(create_worker(service, drain), how)
    serve(app, host, port, drain=drain, role="worker")
