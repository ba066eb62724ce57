"""``pumice controller``: knows which workers there are, and says which one is free."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from typer import Exit, Option

from pumice.cli.settings import Debug

Dispatch: TypeAlias = Literal["shortest_queue", "lottery"]


def controller(
    host: Annotated[str, Option("--host", help="Where to listen; 0.0.0.0 for all networks.")] = "127.0.0.1",
    port: Annotated[int, Option("--port", help="0 takes any that is free.")] = 21001,
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
    from pumice.serve.cluster.addresses import read_networks
    from pumice.serve.cluster.app import make_app
    from pumice.serve.cluster.controller import Cluster, Controller
    from pumice.serve.cluster.token import cluster_token
    from pumice.serve.guard.keys import Keys
    from pumice.serve.guard.run import Doorkeeping, Drain, guarded, serve

    token = cluster_token()
    drain = Drain()
    app = make_app(Controller(Cluster(token, dispatch, read_networks(worker_allow or []))), drain)
    how = Doorkeeping(host, Keys(), token, scope="cluster")
    raise Exit(serve(guarded(app, how), host, port, drain=drain, role="controller"))
