"""``pumice api``: the interface that OpenAI's clients know, in front of the workers of a controller."""

from __future__ import annotations

from typing import Annotated

from typer import Exit, Option

from pumice.cli.serving import CONTROLLER, Fetching, Port, RateLimit, Serving, require_server
from pumice.cli.settings import Debug
from pumice.cli.spelling import with_groups
from pumice.remote import server_url


@with_groups(Serving, Fetching)
def api(
    serving: Serving,
    fetching: Fetching,
    port: Port = 8000,
    controller: Annotated[str, Option("--controller", metavar="URL", help="Knows the workers.")] = CONTROLLER,
    rate_limit: RateLimit = None,
    debug: Debug = False,
) -> None:
    """Serve OpenAI's chat API, in front of the workers that a controller knows.

    It refuses to listen for other machines until there is a key: pumice keys create NAME.

    \b
    pumice api --controller http://localhost:21001
    """
    where = server_url(controller, "--controller")
    require_server()
    from pumice.serve.cluster.token import cluster_token
    from pumice.serve.front import Front
    from pumice.serve.guard.run import Drain

    draining, token = Drain(), cluster_token()
    serving.log("api", token)
    front = Front(draining, token, where, fetching.policy())
    raise Exit(serving.run("api", front.app, serving.doors(per_minute=rate_limit), port, draining))
