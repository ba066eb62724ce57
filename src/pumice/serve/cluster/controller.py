"""The controller without its routes: takes workers in after checking them, and keeps the registry true."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pumice.errors import ServerError
from pumice.serve.cluster.addresses import Network, dialled, machine, read_name
from pumice.serve.cluster.calls import Calls
from pumice.serve.cluster.dispatch import Policy
from pumice.serve.cluster.registry import Registry, Worker
from pumice.serve.cluster.status import Status


@dataclass(frozen=True)
class Cluster:
    """What a controller is told.

    token: shared by the cluster. allowed: networks whose addresses may be registered from elsewhere. clock: seconds
    that never go back. draw: chance, in [0, 1).
    """

    token: str = field(repr=False)
    policy: Policy = "shortest_queue"
    allowed: Sequence[Network] = ()
    clock: Callable[[], float] = time.monotonic
    draw: Callable[[], float] = field(default=random.random)


class Controller:
    """Lives in one event loop. ``epoch`` is another one after every start: what was known before is forgotten."""

    def __init__(self, cluster: Cluster, *, calls: Calls | None = None) -> None:
        self.epoch = secrets.token_hex(8)
        self.registry = Registry(cluster.policy, draw=cluster.draw)
        self.calls = calls or Calls(cluster.token)
        self.token = cluster.token
        self._cluster = cluster

    def now(self) -> float:
        return self._cluster.clock()

    def workers(self) -> tuple[Worker, ...]:
        """All that are there now."""
        return self.registry.workers(self.now())

    def aged(self) -> list[tuple[Worker, float]]:
        """All that are there now, each with the seconds since it told its queue."""
        now = self.now()
        return [(each, now - each.last) for each in self.registry.workers(now)]

    async def register(self, name: str, peer: str, status: Status | None, *, beats: bool) -> None:
        """Takes a worker in: its address is permitted, nobody else has its name, and it knows the token.

        peer: the address that it comes from. status: None to ask the worker itself.
        Raises: UsageError for a name that is none, Refused, ServerError.
        """
        place, owner = read_name(name), machine(peer)
        self.registry.check(name, owner, self.now())
        address = await dialled(place, peer, self._cluster.allowed)
        found = await self.calls.status(address)
        self.registry.register(name, address, status or found, self.now(), peer=owner, beats=beats)

    def beat(self, name: str, peer: str, queue: int) -> bool:
        """Notes a sign of life; False for a worker that is not known. Raises: Refused."""
        return self.registry.beat(name, queue, self.now(), peer=machine(peer))

    def leave(self, name: str, peer: str) -> bool:
        """Lets a worker go; False for one that is not known. Raises: Refused."""
        return self.registry.leave(name, self.now(), peer=machine(peer))

    async def ask_all(self) -> dict[str, Status | None]:
        """Asks every worker what it is, all at once; None for one that does not answer."""
        known = self.workers()
        found = await asyncio.gather(*(self._status(each.address) for each in known))
        return {each.name: status for each, status in zip(known, found, strict=True)}

    async def refresh(self) -> None:
        """Asks every worker what it is, and drops those that do not answer."""
        asked = self.now()
        self.registry.refresh(await self.ask_all(), asked, self.now())

    async def _status(self, address: str) -> Status | None:
        try:
            return await self.calls.status(address)
        except ServerError:
            return None
