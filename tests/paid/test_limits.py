"""Limits by a clock that the tests turn: no minute gets more than was allowed, and what is allowed is used."""

from __future__ import annotations

import asyncio
import math
from email.utils import formatdate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pumice.errors import UsageError
from pumice.paid.limits import Limits, Pace, duration_s, retry_after_s


class Clock:
    """Seconds that pass only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


def paced(limits: Limits) -> tuple[Pace, Clock]:
    clock = Clock()
    return Pace(limits, clock, clock.sleep), clock


def turns(pace: Pace, clock: Clock, sizes: list[int]) -> list[float]:
    """When each request was let through, one after another."""

    async def run() -> list[float]:
        times = []
        for size in sizes:
            await pace.turn(size)
            times.append(clock.now)
        return times

    return asyncio.run(run())


@settings(max_examples=60, deadline=None)
@given(per_minute=st.integers(1, 3000), pauses=st.lists(st.floats(0, 90), max_size=8))
def test_no_minute_gets_more_than_the_user_allows(per_minute: int, pauses: list[float]) -> None:
    pace, clock = paced(Limits(requests_per_minute=per_minute))
    number = min(2 * per_minute, 300)
    times = []
    for pause in [0.0, *pauses]:
        clock.now += pause
        times += turns(pace, clock, [10] * (number // (len(pauses) + 1) + 1))
    for start in times:
        assert sum(start <= time < start + 60 - 1e-6 for time in times) <= per_minute


@pytest.mark.parametrize("per_minute", [1, 7, 60, 5000])
def test_what_is_allowed_is_used(per_minute: int) -> None:
    pace, clock = paced(Limits(requests_per_minute=per_minute))
    times = turns(pace, clock, [10] * (3 * per_minute))
    assert times[-1] - times[0] <= 3 * 60 * (1.02 if per_minute > 1 else 1.0) + 1e-6


@settings(max_examples=60, deadline=None)
@given(per_minute=st.integers(100, 50_000), sizes=st.lists(st.integers(1, 4000), min_size=1, max_size=60))
def test_tokens_of_a_minute_exceed_the_limit_by_one_request_at_most(per_minute: int, sizes: list[int]) -> None:
    pace, clock = paced(Limits(tokens_per_minute=per_minute))
    times = turns(pace, clock, sizes)
    for start in times:
        taken = sum(size for time, size in zip(times, sizes, strict=True) if start <= time < start + 60 - 1e-6)
        assert taken <= per_minute + max(sizes) + 1


def test_what_was_not_taken_is_given_back() -> None:
    pace, clock = paced(Limits(tokens_per_minute=6000))
    turns(pace, clock, [6000])
    pace.spare(5900)
    start = clock.now
    assert turns(pace, clock, [100])[0] - start < 2


@settings(max_examples=40, deadline=None)
@given(capacity=st.integers(1, 200), window_s=st.floats(0.5, 900), number=st.integers(1, 250))
def test_a_server_that_tells_its_limit_never_has_to_refuse(capacity: int, window_s: float, number: int) -> None:
    """A bucket of its own kind and headers about it: be the window a second or long, it is used and not overdrawn."""
    pace, clock = paced(Limits())
    per_s = capacity / window_s
    level, stamp, begin = float(capacity), clock.now, clock.now

    def heed() -> None:
        reset = (capacity - level) / per_s
        pace.heed(
            {
                "x-ratelimit-limit-requests": str(capacity),
                "x-ratelimit-remaining-requests": str(math.floor(level)),
                "x-ratelimit-reset-requests": f"{reset:.6f}s",
            }
        )

    heed()
    for _ in range(number):
        turns(pace, clock, [10])
        level, stamp = min(capacity, level + (clock.now - stamp) * per_s), clock.now
        assert level >= 1 - 1e-6 or capacity / 60 > per_s, "it was asked too early"
        level = max(level - 1, 0.0)
        heed()
    possible = max((number - capacity) / per_s, 0)
    assert clock.now - begin <= possible * 1.3 + 3 * max(1 / per_s, 60 / capacity) + 1


def test_what_others_have_taken_is_not_there() -> None:
    """Two programs with one key: the server's count is right, not this one's."""
    pace, clock = paced(Limits())
    told = {"x-ratelimit-limit-requests": "100", "x-ratelimit-reset-requests": "50s"}
    pace.heed({**told, "x-ratelimit-remaining-requests": "100"})
    assert turns(pace, clock, [1, 1]) == [1000.0, 1000.0]
    pace.heed({**told, "x-ratelimit-remaining-requests": "0"})
    assert turns(pace, clock, [1, 1]) == pytest.approx([1000.5, 1001.0])


def test_everybody_waits_when_the_server_says_so() -> None:
    pace, clock = paced(Limits())
    pace.hold(20)
    pace.hold(5)
    assert turns(pace, clock, [1, 1]) == [1020.0, 1020.0]


def test_first_come_first_served_and_who_leaves_holds_nobody_up() -> None:
    async def run() -> list[int]:
        pace, served = Pace(Limits(requests_per_minute=6000)), []

        async def one(number: int) -> None:
            await pace.turn(1)
            served.append(number)

        tasks = [asyncio.create_task(one(number)) for number in range(130)]
        await asyncio.sleep(0.005)
        for task in tasks[100:120]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return served

    assert asyncio.run(run()) == [*range(100), *range(120, 130)]


@pytest.mark.parametrize(
    "headers",
    [
        {"x-ratelimit-limit-requests": "-1", "x-ratelimit-remaining-requests": "-1"},
        {"x-ratelimit-limit-requests": "0", "x-ratelimit-remaining-requests": "0"},
        {"x-ratelimit-limit-requests": "60", "x-ratelimit-reset-requests": "1s"},
        {"x-ratelimit-limit-requests": "nan", "x-ratelimit-remaining-requests": "inf"},
        {"x-ratelimit-limit-tokens": "many", "x-ratelimit-remaining-tokens": "few"},
    ],
)
def test_headers_that_say_nothing_stop_nobody(headers: dict[str, str]) -> None:
    pace, clock = paced(Limits())
    pace.heed(headers)
    assert turns(pace, clock, [1000] * 10) == [1000.0] * 10


@given(text=st.text(max_size=20), other=st.text(max_size=20))
def test_no_header_is_too_strange(text: str, other: str) -> None:
    pace, _ = paced(Limits())
    pace.heed(
        {f"x-ratelimit-{name}-requests": each for name, each in zip(("limit", "reset"), (text, other), strict=True)}
    )
    for headers in ({"retry-after": text}, {"retry-after-ms": text}, {"retry-after": text, "retry-after-ms": other}):
        wait_s = retry_after_s(headers)
        assert wait_s is None or 0 <= wait_s < math.inf


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6m0s", 360),
        ("120ms", 0.12),
        ("1h2m3.5s", 3723.5),
        ("1d", 86400),
        ("20", 20),
        ("1.5", 1.5),
        ("0s", 0),
        ("", None),
        ("soon", None),
        ("-3", None),
        ("1735689600", None),
    ],
)
def test_durations_as_servers_write_them(text: str, seconds: float | None) -> None:
    assert duration_s(text) == (None if seconds is None else pytest.approx(seconds))


def test_when_to_come_back() -> None:
    assert retry_after_s({}) is None
    assert retry_after_s({"retry-after": "7"}) == 7
    assert retry_after_s({"retry-after": "7", "retry-after-ms": "1500"}) == 1.5
    import time

    later = retry_after_s({"retry-after": formatdate(time.time() + 100, usegmt=True)})
    assert later is not None and 95 < later <= 100
    assert retry_after_s({"retry-after": "Fri, 01 Jan 1999 00:00:00 GMT"}) == 0
    assert retry_after_s({"retry-after": "soon"}) is None
    for zone in ("GMT", "-0000"):  # the second is UTC as well, and names no zone
        theirs = {"date": f"Fri, 01 Jan 1999 00:00:00 {zone}", "retry-after": f"Fri, 01 Jan 1999 00:00:09 {zone}"}
        assert retry_after_s(theirs) == 9, "whatever the time is here"
    assert retry_after_s({"retry-after": formatdate(time.time() + 100), "date": "today"}) == pytest.approx(100, abs=5)


@pytest.mark.parametrize("name", ["requests_per_minute", "tokens_per_minute", "attempts"])
def test_limits_allow_something(name: str) -> None:
    with pytest.raises(UsageError, match=name):
        Limits(**{name: 0})
