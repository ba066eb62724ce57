"""The API in front of several workers, scripted but real servers: who is asked, and what happens if one goes."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from pumice.images.fetch import FetchPolicy
from pumice.serve.api import gateway
from pumice.serve.api.app import create_app
from pumice.serve.api.channel import Channel
from pumice.serve.api.gateway import Gateway
from pumice.serve.api.ledger import Ledger
from pumice.serve.api.pictures import Inliner
from pumice.serve.api.schema import ChatRequest
from pumice.serve.cluster.directory import Entry
from pumice.serve.guard.errors import ApiError, Failure
from pumice.serve.guard.run import Drain
from serve.apis import MODEL, Scripted, body, events, figures, post, scripted, until
from serve.served import Running, doorkeeping, running
from sockets import answering


@dataclass
class Listed:
    """A directory that says what a test put there."""

    entries: list[Entry] = field(default_factory=list)

    async def workers(self) -> list[Entry]:
        return self.entries


def entry(port: int, name: str = "", models: tuple[str, ...] = (MODEL,), queue: int = 0, **info: object) -> Entry:
    return Entry(name or str(port), f"http://127.0.0.1:{port}", models, 1.0, queue, info)


@dataclass
class Setting:
    """A gateway with its workers."""

    gateway: Running
    listed: Listed
    backends: list[Scripted]
    workers: list[Running]


@contextmanager
def cluster(folder: Path, *backends: Scripted, fetch: FetchPolicy | None = None, **how: Any) -> Iterator[Setting]:
    with ExitStack() as stack:
        workers = [stack.enter_context(scripted(folder / str(index), each)) for index, each in enumerate(backends)]
        listed = Listed([entry(each.port) for each in workers])
        silence_s = how.pop("silence_s", 10.0)
        drain = Drain()
        made = Gateway(listed, Channel(None, silence_s=silence_s), Inliner(fetch), **how)
        app = create_app(made, Ledger(made.gauges), drain)
        gateway = stack.enter_context(running(app, doorkeeping(folder / "api"), drain=drain))
        yield Setting(gateway, listed, list(backends), workers)


def gone(port: int) -> Entry:
    """Nobody listens there."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    return entry(free, f"gone-{port}")


def test_it_passes_on_what_is_said(tmp_path: Path) -> None:
    with cluster(tmp_path, Scripted()) as it:
        asked = body("?", temperature=0.5, seed=3, stop=["x"], top_k=4)
        answer = post(it.gateway.port, asked).json()
        assert answer["choices"][0]["message"]["content"] == "Two dice."
        assert answer["usage"]["prompt_tokens_details"]["image_tokens"] == 4
        heard = it.backends[0].asked[0]
        assert (heard.temperature, heard.seed, heard.stop, heard.top_k, heard.stream) == (0.5, 3, ["x"], 4, True)
        said = events(post(it.gateway.port, {**asked, "stream": True}).text)
        assert said[-1] == "[DONE]" and not any("usage" in each for each in said[:-1])


def test_the_shortest_queue_and_its_own_requests_count(tmp_path: Path) -> None:
    with cluster(tmp_path, Scripted((0.4, "a")), Scripted((0.4, "b"))) as it, ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda _: post(it.gateway.port, body("?")).json(), range(8)))
        assert Counter(each["choices"][0]["message"]["content"] for each in said) == {"a": 4, "b": 4}


def test_what_a_worker_has_told_counts_once(tmp_path: Path) -> None:
    """Three of this gateway's are in the queue that the first one tells; another's four make the second one fuller."""
    with cluster(tmp_path, Scripted((3.0, "a")), Scripted(("b",))) as it, ThreadPoolExecutor(3) as pool:
        first, second = it.listed.entries
        it.listed.entries = [first]
        under_way = [pool.submit(post, it.gateway.port, body("?")) for _ in range(3)]
        until(lambda: len(it.backends[0].asked) == 3)
        time.sleep(0.2)  # so that the queue is certainly told after they were sent
        now = time.monotonic()
        it.listed.entries = [replace(first, queue=3, heard=now), replace(second, queue=4, heard=now)]
        assert post(it.gateway.port, body("?")).json()["choices"][0]["message"]["content"] == "a"
        assert all(each.result().status_code == 200 for each in under_way)


def test_the_same_picture_goes_to_the_same_worker(tmp_path: Path) -> None:
    with cluster(tmp_path, Scripted(("a",)), Scripted(("b",)), Scripted(("c",))) as it:
        found: dict[str, set[str]] = {}
        for number in range(24):
            url = f"data:image/png;base64,{number % 6}"
            asked = body({"type": "image_url", "image_url": {"url": url}}, "?")
            text = post(it.gateway.port, asked).json()["choices"][0]["message"]["content"]
            found.setdefault(url, set()).add(text)
        assert all(len(workers) == 1 for workers in found.values()) and len(set.union(*found.values())) > 1


def test_another_worker_takes_over_what_nobody_has_heard_of_yet(tmp_path: Path) -> None:
    dying = Scripted((ApiError(Failure(500, "internal_error", "it broke")),))
    with cluster(tmp_path, dying, Scripted(("b",))) as it:
        it.listed.entries = [it.listed.entries[0], gone(1), entry(it.workers[1].port, queue=5)]
        answer = post(it.gateway.port, body("?"))
        assert answer.json()["choices"][0]["message"]["content"] == "b" and len(dying.asked) == 1
        assert figures(it.gateway.port)["completed"] == 1 and figures(it.gateway.port)["accepted_total"] == 1


def test_what_breaks_every_worker_is_not_tried_for_ever(tmp_path: Path) -> None:
    poison = [Scripted((ApiError(Failure(500, "internal_error", "it broke")),)) for _ in range(5)]
    with cluster(tmp_path, *poison) as it:
        answer = post(it.gateway.port, body("?"))
        assert answer.status_code >= 500 and sum(len(each.asked) for each in poison) == 3


def test_a_question_has_one_deadline(tmp_path: Path) -> None:
    """Another worker would give it the same time again."""
    late = [Scripted(refusal=ApiError(Failure(504, "deadline_exceeded", "longer than 1 s"))) for _ in range(2)]
    with cluster(tmp_path, *late) as it:
        answer = post(it.gateway.port, body("?"))
        assert answer.status_code == 504 and answer.json()["error"]["code"] == "deadline_exceeded"
        assert answer.headers["x-should-retry"] == "false" and sum(len(each.asked) for each in late) == 1


def test_a_stream_that_breaks_off_ends_with_an_error(tmp_path: Path) -> None:
    """Nothing is said twice: a second worker is not asked."""
    with cluster(tmp_path, Scripted(("Two ", 60.0)), Scripted(("b",))) as it:
        it.listed.entries[1] = entry(it.workers[1].port, queue=9)
        with httpx2.stream(
            "POST",
            f"http://127.0.0.1:{it.gateway.port}/v1/chat/completions",
            json=body("?", stream=True),
            trust_env=False,
        ) as answer:
            lines = answer.iter_lines()
            while "Two" not in next(lines):
                pass
            it.workers[0].drain.begin()  # it ends after its five seconds, in the middle of the answer
            rest = "\n".join(lines)
        assert events(rest)[-1]["error"]["code"] == "draining" and "[DONE]" not in rest
        assert it.backends[1].asked == [] and figures(it.gateway.port)["failed"] == 1


def test_what_is_remembered_of_workers_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is started anew has another port each time, so another name."""
    monkeypatch.setattr(gateway, "REMEMBERED_S", 0.2)
    listed = Listed()
    made = Gateway(listed, Channel(None), Inliner(None), patience_s=0.05)

    async def run() -> None:
        for number in range(60):
            listed.entries = [gone(number)]
            listed.entries[0] = replace(listed.entries[0], models=(f"m{number}",))
            asked = ChatRequest.model_validate({**body("?"), "model": f"m{number}"})
            with pytest.raises(ApiError, match=r"no worker has|cannot be reached"):
                async for _ in made.chat(asked, "-"):
                    pass

    asyncio.run(run())
    kept = [each for each in vars(made).values() if isinstance(each, dict)]
    assert len(kept) == 3 and all(len(each) < 20 for each in kept), kept


def test_silence_is_noticed(tmp_path: Path) -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    with cluster(tmp_path, silence_s=0.5, patience_s=2) as it:
        it.listed.entries = [entry(silent.getsockname()[1])]
        answer = post(it.gateway.port, body("?"))
        assert answer.status_code == 504 and answer.json()["error"]["code"] == "stalled"
    silent.close()


def test_refusals_are_passed_on(tmp_path: Path) -> None:
    picky = Scripted(refusal=ApiError(Failure(400, "invalid_image", "it is cut short", "send it again", "messages")))
    with cluster(tmp_path, picky, Scripted(("b",))) as it:
        it.listed.entries[1] = entry(it.workers[1].port, queue=9)
        error = post(it.gateway.port, body("?")).json()["error"]
        assert (error["code"], error["message"], error["hint"]) == ("invalid_image", "it is cut short", "send it again")
        assert it.backends[1].asked == [], "another would refuse it as well"


def test_a_refusal_in_the_middle_of_an_answer(tmp_path: Path) -> None:
    """Such as of a schema that turns out to be too complex: a request's fault, which no other worker mends."""
    wrong = ApiError(Failure(400, "invalid_request", "too complex", "simplify it", "response_format"))
    with cluster(tmp_path, Scripted((wrong,)), Scripted((wrong,))) as it:
        answer = post(it.gateway.port, body("?"))
        error = answer.json()["error"]
        assert (answer.status_code, error["type"], error["code"]) == (400, "invalid_request_error", "invalid_request")
        assert error["param"] == "response_format" and sum(len(each.asked) for each in it.backends) == 1


def test_full_workers_are_passed_by_until_all_are(tmp_path: Path) -> None:
    def full() -> Scripted:
        return Scripted(refusal=ApiError(Failure(429, "queue_full", "64 wait", retry_after_s=2)))

    with cluster(tmp_path, full(), Scripted(("b",))) as it:
        it.listed.entries[1] = entry(it.workers[1].port, queue=9)
        assert post(it.gateway.port, body("?")).json()["choices"][0]["message"]["content"] == "b"
    with cluster(tmp_path / "2", full(), full()) as it:
        answer = post(it.gateway.port, body("?"))
        assert answer.status_code == 429 and answer.headers["retry-after"] == "2"
        assert figures(it.gateway.port)["rejected"] == 1


def test_a_model_that_nobody_has_and_one_that_just_went(tmp_path: Path) -> None:
    with cluster(tmp_path, Scripted(), patience_s=1.0) as it:
        answer = post(it.gateway.port, {**body("?"), "model": "other"})
        assert answer.status_code == 404 and MODEL in answer.json()["error"]["hint"]
        assert post(it.gateway.port, body("?")).status_code == 200
        there, it.listed.entries = it.listed.entries, []
        assert httpx2.get(f"http://127.0.0.1:{it.gateway.port}/ready", trust_env=False).status_code == 503
        answer = post(it.gateway.port, body("?"))
        assert answer.status_code == 503 and answer.json()["error"]["code"] == "no_worker"
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(post, it.gateway.port, body("?"))
            until(lambda: not waiting.done())
            it.listed.entries = there
            assert waiting.result(10).status_code == 200, "it waits for a worker that comes back"


def test_pictures_from_the_web_are_fetched_here(tmp_path: Path) -> None:
    shown = body({"type": "image_url", "image_url": {"url": "http://127.0.0.1:9/a.png"}}, "?")
    for number, fetch in enumerate((None, FetchPolicy())):
        with cluster(tmp_path / str(number), Scripted(), fetch=fetch) as it:
            answer = post(it.gateway.port, shown)
            assert answer.status_code == 403 and answer.json()["error"]["code"] == "url_not_allowed"
            assert it.backends[0].asked == []


def test_models_are_what_workers_told(tmp_path: Path) -> None:
    with cluster(tmp_path) as it:
        images = {"mode": "pad", "tile_size": 336, "tokens": 576}
        it.listed.entries = [
            entry(1, models=("b",), max_model_len=4096, images=images, input_modalities=["text", "image"]),
            entry(2, models=("a", "b"), input_modalities=["text"]),
        ]
        found = httpx2.get(f"http://127.0.0.1:{it.gateway.port}/v1/models", trust_env=False).json()["data"]
        assert [(each["id"], each["input_modalities"]) for each in found] == [("a", ["text"]), ("b", ["text", "image"])]
        assert found[1]["images"].items() >= images.items() and found[1]["max_model_len"] == 4096


@pytest.mark.parametrize(
    "said", [b"data: nonsense\n\n", b"data: [1]\n\n", b'data: {"choices": 5}\n\n', b"", b"x" * 100]
)
def test_a_worker_that_talks_nonsense(tmp_path: Path, said: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    with answering(head + said) as (port, _), cluster(tmp_path) as it:
        it.listed.entries = [entry(port)]
        answer = post(it.gateway.port, body("?"))
        assert answer.status_code == 502 and answer.json()["error"]["code"] == "worker_failed"
