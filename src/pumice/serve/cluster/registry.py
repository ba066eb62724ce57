"""Which workers there are. Pure: no clock, no network; ``now`` is any number of seconds that never goes back."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from pumice.errors import ServerError
from pumice.serve.cluster.dispatch import Policy, choose
from pumice.serve.cluster.status import Status

EXPIRY_S = 10.0
MOST_WORKERS = 256
_FAREWELL_S = 60.0


class Refused(ServerError):
    """A worker that may not be registered, or speaks for another one."""


@dataclass(frozen=True)
class Worker:
    """A registered worker.

    name: the URL it goes by. address: the URL under which it is called. queue: requests as it said last, and those
    sent to it since. beats: it is gone when it has been silent. last: when it was heard last. peer: the address that
    it registered from.
    """

    name: str
    address: str
    models: tuple[str, ...]
    speed: float
    queue: int
    beats: bool
    last: float
    peer: str = ""
    info: Mapping[str, object] = field(default_factory=dict)


class Registry:
    """The workers, in the order in which they came."""

    def __init__(
        self,
        policy: Policy = "shortest_queue",
        *,
        draw: Callable[[], float] = random.random,
        expiry_s: float = EXPIRY_S,
        most: int = MOST_WORKERS,
    ) -> None:
        self.policy = policy
        self._draw = draw
        self._expiry_s = expiry_s
        self._most = most
        self._workers: dict[str, Worker] = {}
        self._left: dict[str, float] = {}

    def check(self, name: str, peer: str, now: float) -> None:
        """Raises Refused unless ``peer`` may register ``name``: there is room, and no other machine has the name."""
        self._expire(now)
        known = self._workers.get(name)
        if known is None and len(self._workers) >= self._most:
            raise Refused(f"there are {self._most} workers already", hint="a worker that is stopped frees its place")
        if known is not None and known.peer != peer:
            raise Refused("a worker of this name is registered from another machine", hint="give it its own address")

    def register(self, name: str, address: str, status: Status, now: float, *, peer: str = "", beats: bool) -> None:
        """Takes a worker in, or what it says of itself anew. Another name of the same address makes place for it.

        Raises: Refused, as ``check`` does.
        """
        self.check(name, peer, now)
        for other in [each.name for each in self._workers.values() if each.address == address and each.name != name]:
            del self._workers[other]
        self._left.pop(name, None)
        self._workers[name] = Worker(
            name, address, status.models, status.speed, status.queue, beats, now, peer, status.info
        )

    def beat(self, name: str, queue: int, now: float, *, peer: str = "") -> bool:
        """Notes a sign of life; False: nobody of this name is known, and should register.

        Raises: Refused if the name belongs to another machine.
        """
        self._expire(now)
        known = self._owned(name, peer)
        if known is None:
            return False
        self._workers[name] = replace(known, queue=queue, last=max(now, known.last))
        return True

    def leave(self, name: str, now: float, *, peer: str = "") -> bool:
        """Lets a worker go that says goodbye; False if it is not known. Raises: Refused, as ``beat`` does."""
        self._expire(now)
        if self._owned(name, peer) is None:
            return False
        del self._workers[name]
        self._left[name] = now
        return True

    def refresh(self, found: Mapping[str, Status | None], asked: float, now: float) -> None:
        """Takes over what workers were found to be; None, not to be reached, drops those silent since ``asked``."""
        self._expire(now)
        for name, status in found.items():
            known = self._workers.get(name)
            if known is None:
                continue
            if status is not None:
                self._workers[name] = replace(
                    known,
                    models=status.models,
                    speed=status.speed,
                    queue=status.queue,
                    info=status.info or known.info,
                    last=now,
                )
            elif known.last <= asked:
                del self._workers[name]

    def workers(self, now: float) -> tuple[Worker, ...]:
        """All that are there."""
        self._expire(now)
        return tuple(self._workers.values())

    def left(self, now: float) -> tuple[str, ...]:
        """Names of those that said goodbye within the last minute and have not come back."""
        self._expire(now)
        return tuple(self._left)

    def models(self, now: float) -> list[str]:
        """What all workers have together, sorted."""
        return sorted({model for worker in self.workers(now) for model in worker.models})

    def pick(self, model: str, now: float, *, affinity: str | None = None) -> Worker | None:
        """A worker for a request, which is counted into its queue; None if nobody has the model."""
        able = [worker for worker in self.workers(now) if model in worker.models]
        chosen = choose(able, self.policy, self._draw, affinity=affinity)
        if chosen is None:
            return None
        counted = replace(chosen, queue=chosen.queue + 1)
        self._workers[chosen.name] = counted
        return counted

    def _owned(self, name: str, peer: str) -> Worker | None:
        known = self._workers.get(name)
        if known is not None and known.peer != peer:
            raise Refused("this worker is registered from another machine")
        return known

    def _expire(self, now: float) -> None:
        silent = [each.name for each in self._workers.values() if each.beats and now - each.last > self._expiry_s]
        for name in silent:
            del self._workers[name]
        for name in [name for name, when in self._left.items() if now - when > _FAREWELL_S]:
            del self._left[name]
