"""The registry, on a clock that is a number."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pumice.errors import ServerError
from pumice.serve.cluster.registry import EXPIRY_S, MOST_WORKERS, Refused, Registry
from pumice.serve.cluster.status import Status, read_status

HERE = "127.0.0.1"


def registry_of(*names: str, beats: bool = True, now: float = 0.0, **status: Any) -> Registry:
    made = Registry()
    for name in names:
        made.register(name, name, Status(("llava",), **status), now, peer=HERE, beats=beats)
    return made


def names(registry: Registry, now: float) -> list[str]:
    return [each.name for each in registry.workers(now)]


def test_silence_ends_a_registration() -> None:
    registry = registry_of("a", "b")
    assert registry.beat("a", 3, 6.0, peer=HERE)
    assert names(registry, EXPIRY_S) == ["a", "b"]
    assert names(registry, EXPIRY_S + 0.01) == ["a"]
    assert not registry.beat("b", 0, EXPIRY_S + 0.02, peer=HERE)
    assert registry.pick("llava", 16.0) is not None
    assert registry.pick("llava", 16.1) is None
    assert registry.models(16.1) == []


def test_those_that_send_no_signs_stay_until_a_refresh_finds_them_gone() -> None:
    registry = registry_of("a", beats=False)
    assert names(registry, 1e9) == ["a"]
    registry.refresh({"a": None}, 1e9, 1e9 + 1)
    assert names(registry, 1e9 + 2) == []


def test_a_refresh_spares_those_that_were_heard_meanwhile() -> None:
    registry = registry_of("a", "b")
    registry.beat("a", 0, 5.0, peer=HERE)
    registry.refresh({"a": None, "b": None, "gone": None}, 4.0, 6.0)
    assert names(registry, 6.0) == ["a"]
    registry.refresh({"a": Status(("other",), 2.0, 7)}, 6.0, 7.0)
    (worker,) = registry.workers(7.0)
    assert (worker.models, worker.speed, worker.queue, worker.last) == (("other",), 2.0, 7, 7.0)


def test_goodbye_is_at_once_and_remembered_for_a_while() -> None:
    registry = registry_of("a", "b")
    assert registry.leave("a", 1.0, peer=HERE)
    assert names(registry, 1.0) == ["b"]
    assert registry.left(1.0) == ("a",)
    assert not registry.leave("a", 1.0, peer=HERE)
    assert registry.left(61.5) == ()
    registry.leave("b", 62.0, peer=HERE)
    registry.register("b", "b", Status(("llava",)), 63.0, peer=HERE, beats=True)
    assert registry.left(63.0) == ()


def test_nobody_takes_over_a_name_or_speaks_for_another() -> None:
    registry = registry_of("a")
    with pytest.raises(Refused, match="another machine"):
        registry.register("a", "evil", Status(("llava",)), 1.0, peer="10.0.0.66", beats=True)
    with pytest.raises(Refused, match="another machine"):
        registry.beat("a", 1_000_000, 1.0, peer="10.0.0.66")
    with pytest.raises(Refused, match="another machine"):
        registry.leave("a", 1.0, peer="10.0.0.66")
    assert names(registry, 1.0) == ["a"]
    # Once its owner is gone, the name is free.
    registry.register("a", "other", Status(("llava",)), EXPIRY_S + 1, peer="10.0.0.66", beats=True)
    assert registry.workers(EXPIRY_S + 1)[0].address == "other"


def test_one_address_is_one_worker() -> None:
    registry = registry_of("localhost")
    registry.register("127.0.0.1", "localhost", Status(("llava",)), 1.0, peer=HERE, beats=True)
    assert names(registry, 1.0) == ["127.0.0.1"]


def test_ten_thousand_names() -> None:
    registry = Registry()
    refused = 0
    for number in range(10_000):
        try:
            registry.register(f"w{number}", f"w{number}", Status(("llava",)), 0.0, peer=HERE, beats=True)
        except Refused:
            refused += 1
    assert refused == 10_000 - MOST_WORKERS
    assert len(names(registry, 1.0)) == MOST_WORKERS
    registry.register("w0", "w0", Status(("llava",)), 2.0, peer=HERE, beats=True)  # whoever is in stays in
    registry.register("late", "late", Status(("llava",)), EXPIRY_S + 1.5, peer=HERE, beats=True)
    assert names(registry, EXPIRY_S + 1.5) == ["w0", "late"]


@pytest.mark.parametrize(
    "raw",
    [
        None,
        [],
        {},
        {"model_names": [], "speed": 1, "queue_length": 0},
        {"model_names": ["a\n"], "speed": 1, "queue_length": 0},
        {"model_names": ["a"] * 65, "speed": 1, "queue_length": 0},
        {"model_names": ["a" * 201], "speed": 1, "queue_length": 0},
        {"model_names": "a", "speed": 1, "queue_length": 0},
        {"model_names": ["a"], "speed": 0, "queue_length": 0},
        {"model_names": ["a"], "speed": float("nan"), "queue_length": 0},
        {"model_names": ["a"], "speed": float("inf"), "queue_length": 0},
        {"model_names": ["a"], "speed": True, "queue_length": 0},
        {"model_names": ["a"], "speed": 1, "queue_length": -1},
        {"model_names": ["a"], "speed": 1, "queue_length": 10**9},
        {"model_names": ["a"], "speed": 1, "queue_length": 0.5},
        {"model_names": ["a"], "speed": 1, "queue_length": 0, "info": []},
        {"model_names": ["a"], "speed": 1, "queue_length": 0, "info": {"x": "y" * 70_000}},
        {"model_names": ["a"], "speed": 1, "queue_length": 0, "info": {"x": float("nan")}},
    ],
)
def test_what_is_no_status(raw: object) -> None:
    with pytest.raises(ServerError):
        read_status(raw)


def test_a_status_survives_the_wire() -> None:
    status = Status(("a", "b"), 2.5, 3, {"sees_images": True})
    assert read_status(status.as_json()) == status
    assert list(status.as_json(with_info=False)) == ["model_names", "speed", "queue_length"]


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens in whatever order: what the registry says is what a plain model of it says."""

    workers = st.sampled_from("abcdef")
    peers = st.sampled_from([HERE, "10.0.0.2"])

    def __init__(self) -> None:
        super().__init__()
        self.registry = Registry(most=4)
        self.now = 0.0
        self.known: dict[str, tuple[str, bool, float]] = {}  # name: peer, beats, last
        self.queues: dict[str, int] = {}

    def _expire(self) -> None:
        for name, (_, beats, last) in list(self.known.items()):
            if beats and self.now - last > EXPIRY_S:
                del self.known[name]

    @rule(seconds=st.floats(0, 12))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self._expire()

    @rule(name=workers, peer=peers, beats=st.booleans(), queue=st.integers(0, 9), model=st.sampled_from(["x", "y"]))
    def register(self, name: str, peer: str, beats: bool, queue: int, model: str) -> None:
        full = name not in self.known and len(self.known) >= 4
        foreign = name in self.known and self.known[name][0] != peer
        status = Status((model,), 1.0, queue)
        if full or foreign:
            with pytest.raises(Refused):
                self.registry.register(name, name, status, self.now, peer=peer, beats=beats)
        else:
            self.registry.register(name, name, status, self.now, peer=peer, beats=beats)
            self.known[name], self.queues[name] = (peer, beats, self.now), queue

    @rule(name=workers, peer=peers, queue=st.integers(0, 9))
    def beat(self, name: str, peer: str, queue: int) -> None:
        if name in self.known and self.known[name][0] != peer:
            with pytest.raises(Refused):
                self.registry.beat(name, queue, self.now, peer=peer)
            return
        assert self.registry.beat(name, queue, self.now, peer=peer) == (name in self.known)
        if name in self.known:
            self.known[name], self.queues[name] = (peer, self.known[name][1], self.now), queue

    @rule(name=workers)
    def leave(self, name: str) -> None:
        peer = self.known[name][0] if name in self.known else HERE
        assert self.registry.leave(name, self.now, peer=peer) == (name in self.known)
        self.known.pop(name, None)

    @rule(name=workers, answers=st.booleans(), waited=st.floats(0, 5))
    def refresh(self, name: str, answers: bool, waited: float) -> None:
        asked, self.now = self.now, self.now + waited
        self._expire()
        self.registry.refresh({name: Status(("z",), 1.0, 0) if answers else None}, asked, self.now)
        if name in self.known and answers:
            self.known[name], self.queues[name] = (*self.known[name][:2], self.now), 0
        elif name in self.known and self.known[name][2] <= asked:
            del self.known[name]

    @rule(model=st.sampled_from(["x", "y", "z"]), affinity=st.sampled_from([None, "picture"]))
    def pick(self, model: str, affinity: str | None) -> None:
        able = {each.name: each.queue for each in self.registry.workers(self.now) if model in each.models}
        chosen = self.registry.pick(model, self.now, affinity=affinity)
        assert (chosen is None) == (not able)
        if chosen is not None:
            assert able[chosen.name] <= min(able.values()) + (0 if affinity is None else 2)
            self.queues[chosen.name] += 1

    @invariant()
    def the_same_workers_and_queues(self) -> None:
        found = self.registry.workers(self.now)
        assert {each.name: (each.peer, each.beats, each.last) for each in found} == self.known
        assert all(each.queue == self.queues[each.name] for each in found)
        assert len(found) <= 4
        assert self.registry.models(self.now) == sorted({model for each in found for model in each.models})
        assert not set(self.registry.left(self.now)) & {each.name for each in found}


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(deadline=None, max_examples=60, stateful_step_count=40)
