"""Who gets a request: shares, queues and pictures that come again."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, replace

import pytest

from pumice.serve.cluster.dispatch import PATIENCE, Policy, choose
from pumice.serve.cluster.registry import Registry
from pumice.serve.cluster.status import Status


@dataclass(frozen=True)
class One:
    name: str
    speed: float = 1.0
    queue: int = 0


def never() -> float:
    raise AssertionError("no chance is wanted here")


def test_nobody_to_choose_from() -> None:
    assert choose([], "shortest_queue", never) is None
    assert choose([], "lottery", never, affinity="x") is None


def test_the_queue_that_is_over_soonest() -> None:
    slow, fast = One("slow", 1.0, 2), One("fast", 4.0, 7)
    assert choose([slow, fast], "shortest_queue", never) is fast
    assert choose([slow, replace(fast, queue=9)], "shortest_queue", never) is slow
    assert choose([slow, replace(fast, queue=8)], "shortest_queue", never) is slow  # alike: the first


def test_every_choice_counts_into_the_queue() -> None:
    """Between two signs of life the controller knows of the requests that it sent itself."""
    registry = Registry("shortest_queue")
    for name, speed in (("a", 1.0), ("b", 1.0), ("c", 2.0)):
        registry.register(name, name, Status(("llava",), speed), 0.0, beats=True)
    chosen = Counter(worker.name for _ in range(400) if (worker := registry.pick("llava", 1.0)))
    assert chosen == {"a": 100, "b": 100, "c": 200}


def test_the_lottery_shares_by_speed() -> None:
    workers = [One("a", 1.0, 1000), One("b", 2.0), One("c", 5.0)]
    draw = random.Random(1).random
    chosen = Counter(one.name for _ in range(8000) if (one := choose(workers, "lottery", draw)))
    expected = {"a": 1000, "b": 2000, "c": 5000}
    # chi square, 2 degrees of freedom; 13.8 is passed once in a thousand times
    assert sum((chosen[name] - count) ** 2 / count for name, count in expected.items()) < 13.8


@pytest.mark.parametrize("drawn", [0.0, 0.5, 0.999_999_999_999_999_9])
def test_the_lottery_always_has_a_winner(drawn: float) -> None:
    workers = [One(str(number), 0.1) for number in range(10)]
    assert choose(workers, "lottery", lambda: drawn) in workers


@pytest.mark.parametrize("policy", ["shortest_queue", "lottery"])
def test_a_picture_comes_back_to_who_has_seen_it(policy: Policy) -> None:
    workers = [One(name) for name in "abcd"]
    first = {f"picture {n}": choose(workers, policy, random.random, affinity=f"picture {n}") for n in range(400)}
    shares = Counter(one.name for one in first.values() if one)
    assert min(shares.values()) > 60, shares
    for picture, known in first.items():
        assert known is not None
        assert choose(workers[::-1], policy, random.random, affinity=picture) == known
        without = [each for each in workers if each.name != "d"]
        if known.name != "d":  # when one leaves, the others keep theirs
            assert choose(without, policy, random.random, affinity=picture) == known


def test_but_not_at_any_price() -> None:
    workers = [One("a"), One("b")]
    known = choose(workers, "shortest_queue", never, affinity="picture")
    assert known is not None
    other = next(each for each in workers if each is not known)
    for queue, expected in ((PATIENCE, known.name), (PATIENCE + 1, other.name)):
        busy = [replace(known, queue=queue), other]
        chosen = choose(busy, "shortest_queue", never, affinity="picture")
        assert chosen is not None
        assert chosen.name == expected


def test_faster_workers_know_more_pictures() -> None:
    workers = [One("slow", 1.0), One("fast", 3.0)]
    chosen = Counter(
        one.name for n in range(4000) if (one := choose(workers, "shortest_queue", never, affinity=str(n)))
    )
    assert 2850 < chosen["fast"] < 3150
