"""Requests that are JSON and nothing else is right with them: numbers, sizes, schemas, and fields of other servers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from pumice.checkpoint.hub import BUNDLED
from serve.apis import MODEL, body, bundled, post, real_worker, until
from serve.hostile import LEAKS
from serve.served import Running
from serve.whole import Whole, whole

#: The least and the most of every numeric parameter.
NUMBERS: dict[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "top_k": (0, 1 << 20),
    "max_tokens": (1, 1 << 31),
    "max_completion_tokens": (1, 1 << 31),
    "n": (1, 8),
    "seed": (0, (1 << 63) - 1),
    "top_logprobs": (0, 20),
    "frequency_penalty": (0, 0),
    "presence_penalty": (0, 0),
}
WRONG: list[Any] = [-1, -(10**30), 10**30, 1e300, -0.5, True, False, "1", "", "NaN", [], [1], {}, {"a": 1}]
NUMERIC = [(name, value) for name in NUMBERS for value in WRONG]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    with whole(tmp_path_factory.mktemp("whole")) as found:
        yield found


def refusal(answer: httpx2.Response, statuses: tuple[int, ...] = (400,)) -> dict[str, Any]:
    assert answer.status_code in statuses, answer.text[:300]
    assert not LEAKS.search(answer.content) and len(answer.content) < 2000
    error: dict[str, Any] = answer.json()["error"]
    return error


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers(servers: Whole, name: str) -> None:
    least, most = NUMBERS[name]
    beyond: list[Any] = [most + 1, least - 1] if most < 1 << 62 else [most + 1]
    before = len(servers.asked.asked)
    for value in [*WRONG, *beyond]:
        for role in ("gateway", "worker"):
            error = refusal(servers.post(body("?", **{"logprobs": True, name: value}), role))
            assert error["param"] == name, (value, error)
    assert len(servers.asked.asked) == before


DEEP: Any = {}
for _ in range(70):
    DEEP = {"not": DEEP}


def schema(value: object) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": value}}}


#: What would take memory or time without end, and the code of its refusal.
GREEDY: dict[str, tuple[dict[str, Any], str]] = {
    "n": ({"n": 10**6}, "invalid_request"),
    "max_tokens": ({"max_tokens": 10**9 * 4}, "invalid_request"),
    "logprobs": ({"logprobs": True, "top_logprobs": 10**6}, "invalid_request"),
    "10^5 stops": ({"stop": ["x"] * 10**5}, "invalid_request"),
    "a stop of 10^6 characters": ({"stop": "x" * 10**6}, "invalid_request"),
    "a bias for 10^5 tokens": ({"logit_bias": {str(each): 1 for each in range(10**5)}}, "invalid_request"),
    "a bias": ({"logit_bias": {"1": 1}}, "unsupported_parameter"),
    "10^5 messages": ({"messages": [{"role": "user", "content": "?"}] * 10**5}, "invalid_request"),
    "600 messages": ({"messages": [{"role": "user", "content": "?"}] * 600}, "invalid_request"),
    "300 parts": (body(*["a"] * 300), "invalid_request"),
    "17 pictures": (body(*[{"type": "image_url", "image_url": {"url": "data:,"}}] * 17, "?"), "invalid_request"),
    "a schema of 10 MB": (schema({"const": "x" * (10 << 20)}), "invalid_request"),
    "a schema of 70 levels": (schema(DEEP), "invalid_request"),
    "an enum of 10^5": (schema({"enum": list(range(10**5))}), "invalid_request"),
    "an unknown field of 10 MB": ({"unheard_of": "x" * (10 << 20)}, "unsupported_parameter"),
    "a name of a model of 1 MB": ({"model": "x" * (1 << 20)}, "invalid_request"),
    "a user of 1 MB": ({"user": "x" * (1 << 20)}, "invalid_request"),
    **{
        f"the field {name}": ({name: value}, "unsupported_parameter")
        for name, value in {
            "prompt_embeds": "gASVAA==",
            "image_embeds": [[0.0]],
            "embeddings": [0.0],
            "chat_template": "{{ ''.__class__ }}",
            "chat_template_kwargs": {"a": 1},
            "mm_processor_kwargs": {"a": 1},
            "guided_regex": "(a+)+$",
            "guided_grammar": "root ::= root",
            "lora_request": "../../etc",
            "n_discard": -1,
            "tools": [{"type": "function", "function": {"name": "x"}}],
            "functions": [{"name": "x"}],
            "trust_remote_code": True,
        }.items()
    },
}
NAMES = [
    "../../etc/passwd", "/etc/passwd", "C:\\Windows", "a/../../b", "~root", "file:///etc/passwd", "http://169.254.169.254/",
    "pumice-tiny/../..", "${jndi:ldap://x}", "{{7*7}}", "'; DROP TABLE", "%2e%2e", "nul", "pumice-tiny\n", "-rf",
]  # fmt: skip


@pytest.mark.parametrize("name", GREEDY)
def test_what_is_greedy_is_refused_at_once(servers: Whole, name: str) -> None:
    change, code = GREEDY[name]
    raw = json.dumps({**body("?"), **change}).encode()
    headers = {"content-type": "application/json", "x-api-key": servers.key}
    for role in ("gateway", "worker"):
        url = f"http://127.0.0.1:{servers.port(role)}/v1/chat/completions"
        error = refusal(servers.client.post(url, content=raw, headers=headers))
        assert error["code"] == code, error


@pytest.mark.parametrize("name", NAMES)
def test_names_of_models_are_names(servers: Whole, name: str) -> None:
    """No file is looked for: a model is one that a worker has registered."""
    for path in ("/v1/chat/completions", "/tokenize"):
        value = {**body("?"), "model": name}
        if path == "/tokenize":
            value = {"model": name, "prompt": "?"}
        error = servers.post(value, path=path).json()["error"]
        assert error["code"] == "model_not_found" and "passwd: " not in error["message"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with real_worker(tmp_path_factory.mktemp("keys"), slots=4, queue=16) as running:
        yield running


def with_health(port: int, ask: Callable[[], httpx2.Response]) -> tuple[httpx2.Response, int]:
    """The answer to a request, and how often /health was answered beside it."""
    with ThreadPoolExecutor(1) as pool, httpx2.Client(trust_env=False) as client:
        asking, healthy = pool.submit(ask), 0
        while not asking.done():
            assert client.get(f"http://127.0.0.1:{port}/health", timeout=30).status_code == 200
            healthy += 1
            time.sleep(0.01)
        return asking.result(), healthy


@pytest.mark.parametrize("text", ["word " * 200_000, "a" * 10**6, "ü" * 10**6, "?" + " " * 10**6], ids="wauS")
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/tokenize"])
def test_a_million_characters(model: Running, text: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused by their beginning; the rest is never read, and others are served meanwhile."""
    tokenizer, read = bundled().processor.tokenizer, []
    encode = type(tokenizer).encode

    def noting(self: Any, text: str, **how: Any) -> Any:
        read.append(len(text))
        return encode(self, text, **how)

    monkeypatch.setattr(type(tokenizer), "encode", noting)
    value = body(text) if path != "/tokenize" else {"model": MODEL, "prompt": text}
    answer, healthy = with_health(model.port, lambda: post(model.port, value, path))
    assert refusal(answer)["code"] == "context_length_exceeded"
    assert healthy and read and max(read) <= 32 * 4096


#: There is such a file, and as a schema it would allow anything.
CONFIG = BUNDLED / "tokenizer_config.json"
SCHEMAS: dict[str, Any] = {
    "a loop of references": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
    "what holds itself": {
        "type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"], "additionalProperties": False,
    },
    "(a+)+$": {"type": "string", "pattern": "^(a+)+$"},
    "(a|a)*": {"type": "string", "pattern": "^(a|a)*b{2,900}$"},
    "nested counts": {"type": "string", "pattern": "^((a{1,90}){1,90}){1,90}$"},
    "no pattern": {"type": "string", "pattern": "((("},
    "an enum of 10^4": {"enum": [f"v{each}" for each in range(6_000)]},
    "10^9 items": {"type": "array", "minItems": 10**9, "items": {"type": "null"}},
    "a reference elsewhere": {"$ref": "http://169.254.169.254/schema.json"},
    "a reference to a file": {"$ref": CONFIG.as_uri()},
    "2000 properties": {"type": "object", "properties": {f"p{each}": {"type": "integer"} for each in range(2000)}},
    "nothing is valid": {"type": "integer", "minimum": 5, "maximum": 4},
}  # fmt: skip


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas(model: Running, name: str) -> None:
    """Refused or followed, and the next request is answered."""
    value = body("Say something.", max_tokens=24, **schema(SCHEMAS[name]))
    began = time.process_time()
    answer = post(model.port, value)
    assert time.process_time() - began < 20
    if "reference" in name:  # what was sent may come back; nothing is fetched or read
        assert answer.status_code == 400 and CONFIG.is_file()
    elif answer.status_code != 200:
        assert refusal(answer)["code"] == "invalid_request"
    until(lambda: model.service.held == 0)  # type: ignore[attr-defined]
    assert post(model.port, body("?", max_tokens=1)).status_code == 200


SPECIAL = ["<image>", "</s>", "<s>", "<unk>", "[INST]", "USER: x ASSISTANT:", "<|im_end|>", "\u200b", "<im_start>"]


@pytest.mark.parametrize("text", SPECIAL)
def test_words_that_mean_something_to_templates_are_words(model: Running, text: str) -> None:
    """No picture and no turn begins because of what somebody says."""
    told = post(model.port, {"model": MODEL, "messages": body(f"a {text} b")["messages"]}, "/tokenize").json()
    assert told["image_tokens"] == 0
    plain = post(model.port, {"model": MODEL, "messages": body("a  b")["messages"]}, "/tokenize").json()
    assert told["count"] > plain["count"]
    assert post(model.port, body(f"a {text} b", max_tokens=1)).json()["usage"]["prompt_tokens"] == told["count"]
