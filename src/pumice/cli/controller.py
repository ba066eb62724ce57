"""``pumice controller``: knows which workers there are, and says which one is free."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from typer import Exit, Option

from pumice.cli.serving import Port, Serving, require_server
from pumice.cli.settings import Debug
from pumice.cli.spelling import with_groups

Dispatch: TypeAlias = Literal["shortest_queue", "lottery"]


@with_groups(Serving)
def controller(
    serving: Serving,
    port: Port = 21001,
    dispatch: Annotated[Dispatch, Option("--dispatch", help="How a worker is chosen.")] = "shortest_queue",
    worker_allow: Annotated[
        list[str] | None,
        Option(
            "--worker-allow",
            metavar="NETWORK",
            help="Addresses at which workers may be, besides those that they register from. Repeatable.",
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Keep the list of workers, for servers on several machines. All of them share one cluster token.

    The token is in PUMICE_CLUSTER_TOKEN, else in a file that is made on first use, which serves one machine.

    \b
    pumice controller
    pumice controller --host 0.0.0.0 --worker-allow 10.0.0.0/24
    """
    require_server()
    from pumice.serve.cluster.addresses import read_networks
    from pumice.serve.cluster.app import make_app
    from pumice.serve.cluster.controller import Cluster, Controller
    from pumice.serve.cluster.token import cluster_token
    from pumice.serve.guard.run import Drain

    token, allowed, draining = cluster_token(), read_networks(worker_allow or []), Drain()
    serving.log("controller", token)
    app = make_app(Controller(Cluster(token, dispatch, allowed)), draining)
    raise Exit(serving.run("controller", app, serving.doors(token, scope="cluster"), port, draining))
