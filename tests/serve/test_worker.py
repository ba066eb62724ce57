"""A worker with the bundled model on a real socket: asked by OpenAI's own client, by many at a time, with nonsense."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jsonschema
import openai
import pytest
from PIL import Image as PilImage

from pumice.cli.main import main
from pumice.cli.serve import _worker
from pumice.cli.serving import Capacity, Serving
from pumice.cli.settings import Settings
from pumice.cli.worker import _of_a_model
from pumice.engine.guide import Guide
from pumice.options import SamplingOptions
from pumice.prompts.conversation import Conversation, Image
from pumice.remote import data_uri
from pumice.serve.worker.service import EngineService
from serve.apis import LONG, MODEL, body, bundled, figures, picture, post, real_worker, until
from serve.served import Running

DICE = "How many dice are there, and what do they add up to?"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with real_worker(tmp_path_factory.mktemp("keys"), slots=8, queue=64) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", max_retries=0) as made:
        yield made


def asked(project: Path, text: str = DICE, name: str = "dice.png") -> list[Any]:
    return [{"role": "user", "content": [picture(project, name), {"type": "text", "text": text}]}]


def alone(project: Path, text: str = DICE, **options: Any) -> str:
    """What the engine says without any server."""
    question = Conversation.ask(text, (Image(project / "examples" / "dice.png"),))
    return bundled().ask(question, SamplingOptions(**options)).text


def test_the_official_client(client: openai.OpenAI, project: Path) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=asked(project))
    assert answer.choices[0].message.content == alone(project) != ""
    assert answer.choices[0].finish_reason == "stop" and answer.usage is not None
    assert answer.usage.prompt_tokens_details.model_dump()["image_tokens"] == 64  # type: ignore[union-attr]
    short = client.chat.completions.create(model=MODEL, messages=asked(project), max_completion_tokens=3)
    assert short.choices[0].finish_reason == "length" and short.usage is not None
    assert short.usage.completion_tokens == 3


def test_the_official_client_streams(client: openai.OpenAI, project: Path) -> None:
    options: Any = {"include_usage": True}
    stream = client.chat.completions.create(model=MODEL, messages=asked(project), stream=True, stream_options=options)
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == alone(project) and len(chunks) > 5
    assert chunks[-1].usage is not None and chunks[-1].usage.completion_tokens > 5 and chunks[-1].choices == []


def test_several_answers_and_seeds(client: openai.OpenAI, project: Path) -> None:
    how: Any = {"model": MODEL, "messages": asked(project), "n": 3, "temperature": 1.5, "max_tokens": 12}
    first = client.chat.completions.create(**how, seed=4)
    again = client.chat.completions.create(**how, seed=4)
    said = [choice.message.content for choice in first.choices]
    assert [choice.index for choice in first.choices] == [0, 1, 2]
    assert said == [choice.message.content for choice in again.choices] and len(set(said)) > 1
    assert said[0] == alone(project, temperature=1.5, max_tokens=12, seed=4), "an answer more changes none"


def test_likelihoods(client: openai.OpenAI, project: Path) -> None:
    how: Any = {"model": MODEL, "messages": asked(project), "logprobs": True, "top_logprobs": 3, "max_tokens": 5}
    whole = client.chat.completions.create(**how).choices[0].logprobs
    assert whole is not None and whole.content is not None and len(whole.content) == 5
    for each in whole.content:
        assert len(each.top_logprobs) == 3 and each.logprob <= 0 and each.bytes is not None
        assert each.logprob == pytest.approx(each.top_logprobs[0].logprob), "greedy takes the likeliest"
    marks = [
        mark.token
        for chunk in client.chat.completions.create(**how, stream=True)
        if chunk.choices and chunk.choices[0].logprobs
        for mark in chunk.choices[0].logprobs.content or []
    ]
    assert marks == [each.token for each in whole.content]


def test_json_after_a_schema(client: openai.OpenAI, project: Path) -> None:
    schema = {
        "type": "object",
        "properties": {"dice": {"type": "integer"}},
        "required": ["dice"],
        "additionalProperties": False,
    }
    how: Any = {"type": "json_schema", "json_schema": {"name": "dice", "schema": schema, "strict": True}}
    answer = client.chat.completions.create(model=MODEL, messages=asked(project), response_format=how)
    jsonschema.validate(json.loads(answer.choices[0].message.content or ""), schema)
    loose: Any = {"type": "json_object"}
    answer = client.chat.completions.create(model=MODEL, messages=asked(project), response_format=loose, max_tokens=40)
    assert isinstance(json.loads(answer.choices[0].message.content or ""), dict)


@pytest.mark.parametrize("stream", [False, True])
def test_a_schema_that_cannot_be_followed(tmp_path: Path, stream: bool) -> None:
    """A refusal like others, before the answer has begun."""
    schema = {"type": "object", "properties": {f"p{number}": {"type": "integer"} for number in range(1500)}}
    wanted = {"type": "json_schema", "json_schema": {"name": "many", "schema": schema}}
    with real_worker(tmp_path) as server:
        answer = post(server.port, body("Hello?", response_format=wanted, stream=stream))
        error = answer.json()["error"]
        assert (answer.status_code, error["type"], error["code"]) == (400, "invalid_request_error", "invalid_request")
        assert error["param"] == "response_format" and "too complex" in error["message"]
        counted = figures(server.port)
        assert (counted["rejected"], counted["accepted_total"], counted["failed"]) == (1, 0, 0)


def test_stop_and_detail(client: openai.OpenAI, project: Path) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=asked(project), stop=[" dice"])
    assert answer.choices[0].message.content == alone(project).partition(" dice")[0]
    messages = asked(project)
    messages[0]["content"][0]["image_url"]["detail"] = "low"
    assert client.chat.completions.create(model=MODEL, messages=messages).choices[0].message.content == alone(project)


def test_models_and_errors_of_the_official_client(client: openai.OpenAI, project: Path) -> None:
    assert [model.id for model in client.models.list()] == [MODEL]
    assert client.models.retrieve(MODEL).id == MODEL
    with pytest.raises(openai.NotFoundError, match="there is no model"):
        client.models.retrieve("other")
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="other", messages=asked(project))
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "word " * 100_000}])
    assert caught.value.code == "context_length_exceeded"


def test_tokens_are_counted_as_they_are_read(server: Running, project: Path) -> None:
    asking = body(picture(project), DICE, max_tokens=1)
    used = post(server.port, asking).json()["usage"]
    told = post(server.port, {"model": MODEL, "messages": asking["messages"]}, "/tokenize").json()
    assert told["count"] == used["prompt_tokens"] and told["image_tokens"] == 64 and told["tokens"] is None
    plain = post(server.port, {"model": MODEL, "prompt": "Two dice."}, "/tokenize").json()
    assert plain["count"] == len(plain["tokens"]) > 1
    assert post(server.port, {"model": MODEL}, "/tokenize").status_code == 400


def drawn(seed: int, size: tuple[int, int]) -> dict[str, Any]:
    data = io.BytesIO()
    PilImage.effect_mandelbrot(size, (-2, -1.5, 1, 1.5 + seed / 7), 20 + seed).convert("RGB").save(data, "PNG")
    return {"type": "image_url", "image_url": {"url": data_uri(data.getvalue())}}


def mixed(count: int) -> list[dict[str, Any]]:
    """Questions with none, one or several pictures of all sizes."""
    sizes = [(40, 30), (300, 20), (64, 512), (128, 128), (1, 1), (700, 500)]
    found = []
    for index in range(count):
        pictures = [drawn(index + each, sizes[(index + each) % len(sizes)]) for each in range(index % 4)]
        text = ("What is in the picture?", "How many are there?", "Describe it in detail.")[index % 3]
        found.append(body(*pictures, f"{text} {index % 5}", max_tokens=6 + index % 7))
    return found


def test_many_at_once_say_what_each_says_alone(server: Running) -> None:
    questions = mixed(36)

    def text(question: dict[str, Any]) -> str:
        return str(post(server.port, question).json()["choices"][0]["message"]["content"])

    with ThreadPoolExecutor(18) as pool:
        together = list(pool.map(text, questions))
    assert together == [text(question) for question in questions]
    assert len(set(together)) > 10


BAD = {
    "no picture": "data:image/png;base64," + "A" * 400,
    "empty": "data:image/png;base64,",
    "cut": None,
    "text": "data:text/plain;base64,SGVsbG8=",
    "svg": "data:image/svg+xml;base64,PHN2Zy8+",
    "bad base64": "data:image/png;base64,!!!",
    "url": "https://example.com/a.png",
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_picture_hurts_nobody_else(server: Running, project: Path, kind: str) -> None:
    url = BAD[kind] or picture(project)["image_url"]["url"][:2000]
    poison = body({"type": "image_url", "image_url": {"url": url}}, "What is this?")
    good = body(picture(project), DICE, max_tokens=8)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda each: post(server.port, each), [good, good, poison, good, good, good, good]))
    assert answers[2].status_code in (400, 403)
    assert answers[2].json()["error"]["code"] in ("invalid_image", "url_not_allowed")
    rest = {answer.json()["choices"][0]["message"]["content"] for index, answer in enumerate(answers) if index != 2}
    assert rest == {alone(project, max_tokens=8)}


def test_a_full_queue_refuses_at_once(tmp_path: Path) -> None:
    with real_worker(tmp_path, slots=2, queue=3) as server:
        long = body("Say digits.", response_format=LONG, max_tokens=2500, temperature=1, stream=True)
        refused, begun, stop = [], [], threading.Event()

        def ask() -> None:
            with openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="x", max_retries=0) as made:
                try:
                    with made.chat.completions.create(**long) as stream:
                        begun.append(next(iter(stream)))
                        stop.wait(60)
                except openai.RateLimitError as error:
                    refused.append(error)

        threads = [threading.Thread(target=ask) for _ in range(12)]
        for thread in threads:
            thread.start()
        until(lambda: len(refused) == 7 and len(begun) == 5)
        assert {error.code for error in refused} == {"queue_full"}
        assert all(float(error.response.headers["retry-after"]) > 0 for error in refused)
        assert figures(server.port)["in_flight"] == 5
        stop.set()
        for thread in threads:
            thread.join()
        until(lambda: figures(server.port)["in_flight"] == 0, 5.0)
        found = figures(server.port)
        assert (found["accepted_total"], found["cancelled"], found["rejected"]) == (5, 5, 7)
        assert server.service.held == 0  # type: ignore[attr-defined]
        assert post(server.port, body("Hello?", max_tokens=3)).status_code == 200


def test_more_answers_than_there_is_ever_room_for(tmp_path: Path) -> None:
    """No waiting would help, so it is no full queue."""
    with real_worker(tmp_path, slots=2, queue=1) as server:
        answer = post(server.port, body("Hello?", n=4, max_tokens=2, temperature=1))
        assert answer.status_code == 400 and "retry-after" not in answer.headers
        assert (answer.json()["error"]["code"], answer.json()["error"]["param"]) == ("invalid_request", "n")
        assert post(server.port, body("Hello?", n=3, max_tokens=2, temperature=1)).status_code == 200


def test_whoever_leaves_gives_the_slot_back(tmp_path: Path) -> None:
    """While it waits, while it is read, and while it speaks; the others' answers stay as they are."""
    with real_worker(tmp_path, slots=1, queue=8) as server:
        service = server.service  # type: ignore[attr-defined]
        long = body("Say digits.", response_format=LONG, max_tokens=2500, seed=1, temperature=1, stream=True)
        with openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="x", max_retries=0) as made:
            speaking = made.chat.completions.create(**long)
            next(iter(speaking))
            waiting = made.chat.completions.create(**long)
            until(lambda: service.held == 2 and service.waiting == 1)
            waiting.close()
            until(lambda: service.held == 1, 3.0)
            speaking.close()
            until(lambda: service.held == 0, 3.0)
        assert post(server.port, body("Hello?", max_tokens=3)).status_code == 200


def test_deadline(tmp_path: Path) -> None:
    with real_worker(tmp_path, deadline_s=1.0) as server:
        long = body("Say digits.", response_format=LONG, max_tokens=3900, temperature=1)
        answer = post(server.port, long)
        assert answer.status_code == 504 and answer.json()["error"]["code"] == "deadline_exceeded"
        assert answer.headers["x-should-retry"] == "false"
        until(lambda: server.service.held == 0, 3.0)  # type: ignore[attr-defined]


def test_what_is_no_json_is_no_answer_after_a_schema(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever made it so: here a guide that ends at once."""
    monkeypatch.setattr(Guide, "ended", property(lambda guide: True))
    asked = {"response_format": {"type": "json_object"}, "max_tokens": 50}
    answer = post(server.port, body("Hello?", **asked))
    assert answer.status_code == 500 and "is not the JSON" in answer.json()["error"]["message"]
    streamed = post(server.port, body("Hello?", stream=True, **asked)).text
    assert '"code":"internal_error"' in streamed and "[DONE]" not in streamed and '"stop"' not in streamed


def test_an_engine_that_fails_ends_everything_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process ends as well: whoever keeps it starts it anew."""
    with real_worker(tmp_path) as server:
        monkeypatch.setattr(bundled(), "turn", lambda: (_ for _ in ()).throw(RuntimeError("broken beyond repair")))
        answer = post(server.port, body("Hello?"))
        assert answer.status_code == 503 and answer.json()["error"]["code"] == "worker_failed"
        assert "beyond repair" not in answer.text
        until(lambda: server.code == 0)
        assert server.service.held == 0 and server.worker.failed == 1  # type: ignore[attr-defined]
    monkeypatch.undo()
    with real_worker(tmp_path) as server:
        assert post(server.port, body("Hello?", max_tokens=3)).status_code == 200
    assert server.worker.failed == 0  # type: ignore[attr-defined]


def test_one_that_stands_still_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the worker itself: nobody asks how it is."""
    held = threading.Event()
    with real_worker(tmp_path, stall_s=0.5) as server:
        monkeypatch.setattr(bundled(), "turn", lambda: held.wait(60))
        answer = post(server.port, body("Hello?"))
        assert answer.status_code == 504 and answer.json()["error"]["code"] == "stalled"
        monkeypatch.undo()
        until(lambda: server.code == 0)
        assert server.worker.failed == 1  # type: ignore[attr-defined]
        held.set()


def test_what_is_remembered_of_conversations_has_a_flag(capsys: pytest.CaptureFixture[str]) -> None:
    """It reaches the engine of a worker, and the workers of ``pumice serve``."""
    service = _of_a_model(Settings(), Capacity(cache_mib=2))
    assert isinstance(service, EngineService)
    held = []

    async def ask() -> None:
        await service.start()
        for number in range(6):
            asked = Conversation.ask(f"{number} dice and {'two coins and ' * 20} what else?")
            async for _ in service.answer(asked, SamplingOptions(max_tokens=3)):
                pass
            held.append(service.gauges()["cache_bytes:prefix"])
        await service.stop()

    asyncio.run(ask())
    assert 0 < max(held) <= 2 << 20 < 6 * held[0], held
    assert _worker(Serving(), Capacity(cache_mib=2), Settings()).words[-2:] == ["--cache-mib", "2"]
    assert "--cache-mib" not in _worker(Serving(), Capacity(), Settings()).words
    assert main(["worker", "--cache-mib", "-1"]) == 2 and "--cache-mib" in capsys.readouterr().err
