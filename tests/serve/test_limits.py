"""JSON from strangers."""

from __future__ import annotations

import json
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.serve.guard.errors import ApiError
from pumice.serve.guard.limits import MOST_DEPTH, parse_json
from serve.hostile import BAD_JSON
from serve.served import Running, ask, json_request

_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT
VALUES = st.recursive(_LEAVES, lambda inner: st.lists(inner) | st.dictionaries(_TEXT, inner), max_leaves=30)


@given(VALUES, st.booleans())
def test_good_json_is_read_as_ever(value: object, ascii_only: bool) -> None:
    assert parse_json(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=200) | st.text(alphabet='[]{}":,\\ab1\n').map(str.encode))
def test_anything_else_is_refused_cleanly(body: bytes) -> None:
    try:
        value = parse_json(body)
    except ApiError as error:
        assert error.failure.status == 400
    else:
        assert json.loads(body) == value


@given(st.integers(1, 90), st.sampled_from(["[", '{"a":']), st.text(alphabet='[]{}"\\ab', max_size=100))
def test_depth_is_counted_outside_of_texts(depth: int, opening: str, text: str) -> None:
    closing = "]" if opening == "[" else "}"
    body = (opening * depth + json.dumps(text) + closing * depth).encode()
    if depth <= MOST_DEPTH:
        assert isinstance(parse_json(body), list | dict)
    else:
        with pytest.raises(ApiError, match="64 levels"):
            parse_json(body)


@pytest.mark.parametrize("name", BAD_JSON)
def test_bad_json(name: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_json(BAD_JSON[name])
    assert caught.value.failure.status == 400


def test_what_is_only_unusual() -> None:
    assert parse_json(b' {"a": "\\ud83d\\ude00", "b": 1e308, "c": -0.0, "": []} \n') == {
        "a": "😀",
        "b": 1e308,
        "c": 0,
        "": [],
    }
    assert parse_json(b'"\\u2028"') == "\u2028"
    assert parse_json(b"[" * 64 + b"]" * 64)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": "' + b"A" * (30 << 20) + b'"}',
        b'["' + b'\\"' * (4 << 20) + b'"]',
        b'["' + b"\\" * (8 << 20),
        b"[" * 65 + b'"' + b'\\"' * (4 << 20),
        b"[" + b"[]," * 300_000 + b"[]]",
    ],
    ids=["a picture", "quotes", "backslashes", "no end", "a million brackets"],
)
def test_large_bodies_take_no_longer_than_their_length(body: bytes) -> None:
    began = time.process_time()
    with suppress(ApiError):
        parse_json(body)
    assert time.process_time() - began < 10


def test_a_large_body_over_the_wire(open_: Running) -> None:
    body = json.dumps({"image": "A" * (20 << 20)}).encode()
    answer = ask(open_.port, json_request("/v1/echo", body))
    assert answer.status == 200
    assert len(answer.body) > 20 << 20
