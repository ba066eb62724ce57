"""``pumice serve``: everything at once, on one port."""

from __future__ import annotations

import sys
from typing import Annotated

from typer import Exit, Option

from pumice.cli.serving import AllowedHosts, DrainS, Host, MediaDomains, NoRemoteImages, fetch_policy, require
from pumice.cli.settings import Settings, model_flags, require_one_answer, with_model_settings
from pumice.errors import UsageError


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
    media_domains: MediaDomains = None,
    no_remote_images: NoRemoteImages = False,
    allowed_hosts: AllowedHosts = None,
    drain: DrainS = 30,
    settings: Settings,
) -> None:
    """Serve the model: an API for OpenAI's clients, and the workers behind it, in one go.

    Workers on other machines may join it: pumice worker --controller http://HOST:PORT. It refuses to listen for other
    machines until there is a key: pumice keys create NAME.

    \b
    pumice serve
    pumice serve -m llava-hf/llava-1.5-7b-hf --4bit --port 9000
    """
    if workers < 0:
        raise UsageError(f"--workers must be 0 or more, found {workers}")
    require_one_answer(settings)
    require("serve", "fastapi", "uvicorn", "prometheus_client")
    from pumice.serve.cluster.controller import Cluster
    from pumice.serve.cluster.token import cluster_token
    from pumice.serve.front import Front, Own
    from pumice.serve.guard.keys import Keys
    from pumice.serve.guard.run import Doorkeeping, Drain, guarded
    from pumice.serve.guard.run import serve as run

    draining, token = Drain(), cluster_token()
    how = Doorkeeping(host, Keys(), token, tuple(allowed_hosts or ()))
    command = [sys.executable, "-m", "pumice", "worker", "--port", "{port}", "--controller", "{front}"]
    command += ["--slots", str(slots), "--queue", str(queue), "--deadline", str(deadline), "--drain", str(drain)]
    command += ["--name", name] if name else []
    own = Own(Cluster(token), [*command, *model_flags(settings)], workers)
    front = Front(draining, token, own, fetch_policy(media_domains, no_remote_images))
    app = guarded(front.app, how)
    code = run(app, host, port, drain=draining, on_ready=front.listening, drain_s=drain, role="server")
    raise Exit(front.failed or code)
