"""The original's payload and stream, at a worker's own door."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import AsyncGenerator, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from pumice.engine.engine import Engine
from pumice.errors import ImageError, MemoryLimitError, UsageError
from pumice.options import SamplingOptions
from pumice.prompts.conversation import Conversation, Image, Rendered
from pumice.prompts.templates import prompt_text, render
from pumice.serve.cluster.status import Status
from pumice.serve.cluster.stream import message, trouble
from pumice.serve.guard.errors import ApiError, Failure
from pumice.serve.original.payload import read_call
from serve.clusters import TOKEN, FakeService, running, worker_app
from serve.original_client import Client, post, text_of

PICTURE = b"\x89PNG and so on"
JSON = {"content-type": "application/json"}
INLINE = base64.b64encode(PICTURE).decode()


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def address(service: FakeService, tmp_path: Path) -> Iterator[str]:
    with running(worker_app(service), tmp_path) as url:
        yield url


def ask(address: str, prompt: str = "USER: hi ASSISTANT:", **more: Any) -> list[dict[str, Any]]:
    return list(Client(address).stream(address, "llava-fake", prompt, **more))


def test_defaults_are_the_originals() -> None:
    call = read_call({"prompt": "hi"})
    assert call.options == SamplingOptions(temperature=1.0, top_p=1.0, max_tokens=256)
    assert (call.prompt, call.pictures) == ("hi", ())


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"temperature": 0.2, "top_p": 0.7}, {"temperature": 0.2, "top_p": 0.7}),
        ({"temperature": 0.001, "top_p": 0.7}, {"temperature": 0.0, "top_p": 1.0}),
        ({"temperature": "0.5"}, {"temperature": 0.5}),
        ({"temperature": 0.7, "top_p": 0}, {"temperature": 0.0}),
        ({"top_p": 1.5}, {"top_p": 1.0}),
        ({"max_new_tokens": 10**9}, {"max_tokens": 1024}),
        ({"max_new_tokens": 64.0}, {"max_tokens": 64}),
        ({"stop": None}, {"stop": ()}),
        ({"stop": ""}, {"stop": ()}),
        ({"stop": "</s>"}, {"stop": ("</s>",)}),
        ({"stop": ["###", "", "END"]}, {"stop": ("###", "END")}),
        ({"images": None}, {}),
        ({"images": []}, {}),
    ],
)
def test_what_a_payload_may_say(asked: dict[str, Any], expected: dict[str, Any]) -> None:
    usual: dict[str, Any] = {"temperature": 1.0, "top_p": 1.0, "max_tokens": 256, "stop": ()}
    assert read_call({"prompt": "hi", **asked}).options == SamplingOptions(**{**usual, **expected})


def test_pictures_are_read_in_order() -> None:
    other = base64.b64encode(b"other").decode()
    wrapped = INLINE[:8] + "\n " + INLINE[8:]
    assert read_call({"prompt": "<image>a<image>", "images": [wrapped, other]}).pictures == (PICTURE, b"other")


@pytest.mark.parametrize(
    ("raw", "kind", "words"),
    [
        ([], UsageError, "JSON object"),
        ({}, UsageError, "prompt"),
        ({"prompt": 5}, UsageError, "prompt"),
        ({"prompt": "hi", "images": "x"}, UsageError, "images"),
        ({"prompt": "hi", "images": [5]}, UsageError, "images"),
        ({"prompt": "hi", "images": [INLINE]}, UsageError, "places for 0 pictures"),
        ({"prompt": "<image>"}, UsageError, "places for 1 pictures"),
        ({"prompt": "<image>" * 17, "images": [INLINE] * 17}, UsageError, "at most 16"),
        ({"prompt": "<image>", "images": ["a==="]}, ImageError, "base64"),
        ({"prompt": "<image>", "images": ["äöü"]}, ImageError, "base64"),
        ({"prompt": "hi", "temperature": float("nan")}, UsageError, "temperature"),
        ({"prompt": "hi", "temperature": True}, UsageError, "temperature"),
        ({"prompt": "hi", "temperature": 1000}, UsageError, "temperature"),
        ({"prompt": "hi", "top_p": []}, UsageError, "top_p"),
        ({"prompt": "hi", "max_new_tokens": "many"}, UsageError, "max_new_tokens"),
        ({"prompt": "hi", "stop": 5}, UsageError, "stop"),
        ({"prompt": "hi", "stop": [None]}, UsageError, "stop"),
        ({"prompt": "hi", "stop": ["x"] * 17}, UsageError, "stop"),
    ],
)
def test_what_it_may_not(raw: object, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        read_call(raw)


FIELDS = ("prompt", "images", "temperature", "top_p", "max_new_tokens", "stop", "model")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None)
@given(
    raw=st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ("prompt", "images", "temperature", "top_p", "max_new_tokens", "stop", "model"), json_values
        ),
    ),
    prompt=st.sampled_from([None, "hi", "<image>"]),
)
def test_anything_is_understood_or_refused(raw: dict[str, Any], prompt: str | None) -> None:
    try:
        call = read_call(raw if prompt is None else {**raw, "prompt": prompt})
    except (UsageError, ImageError):
        return
    assert call.prompt.count("<image>") == len(call.pictures)


@settings(deadline=None)
@given(text=st.text() | st.just("half \ud83d"))
def test_messages_hold_any_text(text: str) -> None:
    for line in (message(text), trouble(1, {"message": text})):
        assert line.endswith(b"\0")
        assert line.count(b"\0") == 1
        assert text in json.loads(line[:-1]).get("text", "") or json.loads(line[:-1])["error"]["message"] == text


def test_an_answer_is_cumulative_and_begins_with_the_prompt(address: str, service: FakeService) -> None:
    messages = ask(address, "USER: <image>\nhi ASSISTANT:", images=[PICTURE], temperature=0.2)
    prompt = "USER: <image>\nhi ASSISTANT:"
    assert messages == [
        {"text": prompt + "A ", "error_code": 0},
        {"text": prompt + "A red ", "error_code": 0},
        {"text": prompt + "A red cup.", "error_code": 0},
    ]
    ((asked, pictures, options),) = service.calls
    assert (asked, pictures) == (prompt, (PICTURE,))
    assert (options.temperature, options.top_p, options.max_tokens, options.stop) == (0.2, 0.7, 64, ("</s>",))


def test_an_answer_without_words_is_the_prompt(address: str, service: FakeService) -> None:
    service.words = ()
    assert ask(address, "hi") == [{"text": "hi", "error_code": 0}]


def test_status_as_the_original_has_it(address: str) -> None:
    assert post(f"{address}/worker_get_status") == (
        200,
        {"model_names": ["llava-fake"], "speed": 1.0, "queue_length": 0},
    )


def test_a_proof_is_given_to_holders_of_the_token_alone(address: str) -> None:
    status, answer = post(f"{address}/worker_get_status", {"nonce": "5"}, token=TOKEN)
    assert (status, sorted(answer)) == (200, ["info", "model_names", "nonce", "queue_length", "speed"])
    assert answer["nonce"] != post(f"{address}/worker_get_status", {"nonce": "6"}, token=TOKEN)[1]["nonce"]
    assert post(f"{address}/worker_get_status", {"nonce": "5"})[0] == 401


def test_one_that_thinks_for_long_gives_signs(address: str, service: FakeService) -> None:
    service.gate = threading.Event()
    stream = Client(address).stream(address, "llava-fake", "hi")
    seen = [next(stream) for _ in range(4)]
    assert seen == [{"text": "hiA ", "error_code": 0}] * 4
    service.gate.set()
    assert text_of([*seen, *stream], "hi") == "A red cup."


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (MemoryLimitError("too big for 0x7fffdeadbeef"), "out_of_memory", "memory"),
        (ImageError("cannot read the image in memory: it is empty"), "invalid_image", "it is empty"),
        (RuntimeError("/srv/secret: object at 0x7fffdeadbeef"), "internal_error", "went wrong"),
        (ApiError(Failure(503, "draining", "the worker is about to stop")), "draining", "about to stop"),
    ],
)
def test_what_goes_wrong_is_said(address: str, service: FakeService, error: Exception, code: str, words: str) -> None:
    service.error = error
    *before, last = ask(address, "hi")
    assert text_of(before, "hi") == "A red cup."
    assert last["text"] == "**NETWORK ERROR DUE TO HIGH TRAFFIC. PLEASE REGENERATE OR REFRESH THIS PAGE.**"
    assert (last["error_code"], last["error"]["code"]) == (1, code)
    assert words in last["error"]["message"]
    assert "0x7fff" not in json.dumps(last)
    assert "/root" not in json.dumps(last)
    service.error = None
    assert text_of(ask(address, "hi"), "hi") == "A red cup."


def test_too_long_is_an_answer_as_in_the_original(address: str, service: FakeService) -> None:
    words = "Exceeds max token length. Please start a new conversation, thanks."
    (message,) = ask(address, "hi", max_new_tokens=0)
    assert (message["text"], message["error_code"]) == ("hi" + words, 0)
    service.words = ()
    service.error = ApiError(Failure(400, "context_length_exceeded", "the conversation has 3000 tokens"))
    (message,) = ask(address, "hi")
    assert (message["text"], message["error_code"]) == ("hi" + words, 0)
    assert message["error"]["message"] == "the conversation has 3000 tokens"


@pytest.mark.parametrize(
    "payload",
    [
        [],
        {},
        {"prompt": 5},
        {"prompt": "<image>", "images": []},
        {"prompt": "hi", "images": [""]},
        {"prompt": "\ud800"},
    ],
)
def test_refusals_come_in_the_stream(address: str, service: FakeService, payload: object) -> None:
    answer = httpx2.post(
        f"{address}/worker_generate_stream", content=json.dumps(payload), headers=JSON, trust_env=False
    )
    assert answer.content.endswith(b"\0")
    (message,) = map(json.loads, answer.content[:-1].split(b"\0"))
    assert (message["error_code"], message["error"]["code"]) == (1, "invalid_request")
    assert not service.calls


class EngineService:
    """A real engine, one request after the other."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def status(self) -> Status:
        return Status(("tiny",))

    async def generate_rendered(
        self, prompt: str, pictures: Sequence[bytes], options: SamplingOptions
    ) -> AsyncGenerator[str, None]:
        for piece in self.engine.stream(Rendered(prompt, tuple(map(Image, pictures))), options):
            yield piece


def test_a_real_engine_answers_over_the_originals_protocol_as_by_itself(tmp_path: Path) -> None:
    engine = tiny.engine()
    file = io.BytesIO()
    tiny.picture(7).save(file, "PNG")
    conversation = Conversation.ask("What is in the picture?", (Image(file.getvalue()),))
    prompt = prompt_text(render(engine.processor.template, conversation))
    expected = engine.ask(conversation, SamplingOptions(max_tokens=20)).text
    assert expected
    with running(worker_app(EngineService(engine)), tmp_path) as url:
        messages = list(Client(url).stream(url, "tiny", prompt, [file.getvalue()], max_new_tokens=20))
        assert text_of(messages, prompt) == expected
        (message,) = Client(url).stream(url, "tiny", prompt, [b"no picture"])
    assert (message["error_code"], message["error"]["code"]) == (1, "invalid_image")
