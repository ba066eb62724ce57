"""How often a key may ask: by a clock of the test's own, and at a real door."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pumice.serve.guard.keys import Keys
from pumice.serve.guard.rates import Rates
from serve.served import Answer, ask, doorkeeping, json_request, running, sample_app


@given(
    per_minute=st.floats(0.5, 600),
    pauses=st.lists(st.floats(0, 30), min_size=1, max_size=60),
)
def test_never_more_than_the_limit(per_minute: float, pauses: list[float]) -> None:
    """In any stretch of time: what may come at once, and what fills up meanwhile."""
    now = [0.0]
    rates = Rates(per_minute, clock=lambda: now[0])
    let_in: list[float] = []
    for pause in pauses:
        now[0] += pause
        wait = rates.wait_for("a")
        if wait == 0:
            let_in.append(now[0])
        else:
            assert wait <= 60 / per_minute + 1e-6
    at_once = max(2.0, per_minute / 4)
    for first, began in enumerate(let_in):
        for last in range(first, len(let_in)):
            assert last - first + 1 <= at_once + (let_in[last] - began) * per_minute / 60 + 1e-6


def test_whoever_waits_as_told_may_ask() -> None:
    now = [0.0]
    rates = Rates(4, clock=lambda: now[0])
    assert [rates.wait_for(each) for each in ("a", "b", "a")] == [0, 0, 0]
    now[0] += (wait := rates.wait_for("a")) + 1e-6
    assert wait > 0 and rates.wait_for("a") == 0


def test_at_the_door(tmp_path: Path) -> None:
    """Questions of a key are counted; nothing else that is sent is, and another key has a bucket of its own."""
    first, second = Keys(tmp_path).create("first"), Keys(tmp_path).create("second")
    with running(sample_app(), doorkeeping(tmp_path, per_minute=8)) as server:

        def question(key: str) -> int:
            return sent("/v1/chat/completions", key).status

        def sent(path: str, key: str) -> Answer:
            return ask(server.port, json_request(path, b"{}", ("Authorization", f"Bearer {key}")))

        assert [sent("/v1/echo", first).status for _ in range(6)] == [200] * 6
        assert [question(first) for _ in range(4)] == [200, 200, 429, 429]
        answer = sent("/worker_generate_stream", first)  # the original's protocol is no way around it
        assert sent("/v1/echo", first).status == 200
        assert b"rate_limit" in answer.body and int(answer.headers["retry-after"]) >= 1
        assert question(second) == 200
