"""The servers as they are started: a gateway with its own controller in front of a worker, both behind their guards.

What the model says does not matter here: the worker's answers are scripted.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from fastapi import FastAPI

from pumice.images.fetch import FetchPolicy
from pumice.options import SamplingOptions
from pumice.serve.cluster.controller import Cluster
from pumice.serve.cluster.status import Status
from pumice.serve.front import Front, Own
from pumice.serve.guard.errors import Failure
from pumice.serve.guard.keys import Keys
from pumice.serve.guard.run import Drain
from pumice.serve.worker.app import Membership, Worker
from serve.apis import MODEL, TOKEN, Scripted, until
from serve.served import Running, doorkeeping, running


@dataclass
class Answerer(Scripted):
    """What a worker is made of, without a model; the original's route shows that it has one, too."""

    rendered: list[str] = field(default_factory=list)

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    def status(self) -> Status:
        return Status((MODEL,))

    def gauges(self) -> Mapping[str, float]:
        return {}

    def broken(self) -> Failure | None:
        return self.failure

    async def generate_rendered(
        self, prompt: str, pictures: Sequence[bytes], options: SamplingOptions
    ) -> AsyncGenerator[str]:
        self.rendered.append(prompt)
        yield "Two dice."


@dataclass(frozen=True)
class Whole:
    """Both servers, their applications, what the worker was asked, a key that opens both, and a client that has it."""

    front: Running
    worker: Running
    apps: Mapping[str, FastAPI]
    asked: Answerer
    key: str
    keys: Keys
    client: httpx2.Client

    def port(self, role: str) -> int:
        return {"gateway": self.front, "worker": self.worker}[role].port

    def post(self, value: object, role: str = "gateway", path: str = "/v1/chat/completions") -> httpx2.Response:
        return self.client.post(f"http://127.0.0.1:{self.port(role)}{path}", json=value)


@contextmanager
def whole(folder: Path, fetch: FetchPolicy | None = None, **changes: Any) -> Iterator[Whole]:
    """changes: of the gateway's doorkeeping."""
    keys = Keys(folder)
    key = keys.create("tests", "admin")
    drain, at_front = Drain(), Drain()
    front = Front(at_front, TOKEN, Own(Cluster(TOKEN)), fetch)
    guard = doorkeeping(folder, cluster_token=TOKEN, **changes)
    with running(front.app, guard, drain=at_front) as gateway:
        asked = Answerer()
        member = Membership(f"http://127.0.0.1:{gateway.port}", "http://127.0.0.1:{port}", TOKEN)
        made = Worker(asked, drain, TOKEN, member)
        guard = doorkeeping(folder, cluster_token=TOKEN, scope="cluster")
        with running(made.app, guard, drain=drain, listening=made.listening) as worker:
            apps = {"gateway": front.app, "worker": made.app}
            with httpx2.Client(headers={"x-api-key": key}, trust_env=False, timeout=60) as client:
                until(lambda: client.get(f"http://127.0.0.1:{gateway.port}/ready").status_code == 200)
                yield Whole(gateway, worker, apps, asked, key, keys, client)
