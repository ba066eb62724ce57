"""Replies as servers really send them: whatever has a choice is an answer, and nothing is too strange to be refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.paid.answers import Usage
from pumice.paid.reading import Reply, UnreadableError, read

USAGE = {"prompt_tokens": 20, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 8}}


def body(message: object = None, reason: object = "stop", **more: object) -> bytes:
    message = {"role": "assistant", "content": "Two dice."} if message is None else message
    choice = {"index": 0, "message": message, "finish_reason": reason}
    return json.dumps({"id": "c-1", "model": "m-1", "choices": [choice], "usage": USAGE, **more}).encode()


def test_as_it_should_be() -> None:
    assert read(body(), "m", 20) == Reply("Two dice.", "stop", Usage(20, 3, 8), "c-1", "m-1")


@pytest.mark.parametrize(
    ("data", "text", "reason"),
    [
        (body({"content": None}, "length"), "", "length"),
        (body({"content": None}, "content_filter"), "", "content_filter"),
        (body({"content": None, "refusal": "I will not."}), "I will not.", "refusal"),
        (body({"content": [{"type": "text", "text": "Two "}, {"type": "x"}, {"text": "dice."}]}), "Two dice.", "stop"),
        (body({}), "", "stop"),
        (body([]), "", "stop"),
        (body({"content": 7}, None), "", "unknown"),
        (body({"content": "\ud83c half"}), "\ufffd half", "stop"),
        (body({"content": "Two dice.", "refusal": None, "tool_calls": None}), "Two dice.", "stop"),
    ],
)
def test_what_was_paid_for_is_an_answer(data: bytes, text: str, reason: str) -> None:
    reply = read(data, "m", 20)
    assert (reply.text, reply.finish_reason, reply.usage) == (text, reason, Usage(20, 3, 8))


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        [],
        "20",
        {"prompt_tokens": 20},
        {"prompt_tokens": "20", "completion_tokens": 3},
        {"prompt_tokens": -1, "completion_tokens": 3},
        {"prompt_tokens": True, "completion_tokens": 3},
        {"prompt_tokens": 10**30, "completion_tokens": 3},
        {"prompt_tokens": 2.5, "completion_tokens": 3},
    ],
)
def test_tokens_that_are_not_counted_are_estimated(usage: object) -> None:
    reply = read(body(usage=usage), "m", 20)
    assert reply.usage == Usage(20, 3, 0, estimated=True)
    found = json.loads(body())
    del found["usage"], found["id"], found["model"]
    reply = read(json.dumps(found).encode(), "m", 20)
    assert reply.usage.estimated and reply.model == "m" and reply.request_id is None


@pytest.mark.parametrize(
    ("data", "why", "used"),
    [
        (b"<html><body>502 Bad Gateway</body></html>", "expected JSON, found '<html>", False),
        (body()[:-20], "expected JSON", False),
        (b"", "expected JSON, found ''", False),
        (b"[" * 100_000, "expected JSON", False),
        (b"[1]", "JSON object", False),
        (b"null", "JSON object", False),
        (b'{"error": {"message": "overloaded", "code": 529}}', "overloaded", False),
        (b'{"error": "overloaded"}', "overloaded", False),
        (body(choices=[]), "no choices", True),
        (body(choices=None), "no choices", True),
        (body(choices=[None]), "no choices", True),
        (body(choices="x"), "no choices", True),
        (b"\xff\xfe{}", "expected JSON", False),
    ],
)
def test_what_has_no_answer_is_said_in_a_line(data: bytes, why: str, used: bool) -> None:
    with pytest.raises(UnreadableError, match=why.replace("[", r"\[")) as caught:
        read(data, "m", 20)
    assert (caught.value.usage == Usage(20, 3, 8)) == used
    assert len(str(caught.value)) < 300 and "\n" not in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "message",
                    "content",
                    "usage",
                    "prompt_tokens",
                    "completion_tokens",
                    "error",
                    "refusal",
                    "finish_reason",
                    "text",
                    "model",
                    "id",
                    "prompt_tokens_details",
                    "cached_tokens",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=30,
)


@given(found=JSON)
def test_any_json_is_an_answer_or_none(found: object) -> None:
    for each in (found, {"choices": [found]}, {"choices": [{"message": found}], "usage": found}):
        try:
            reply = read(json.dumps(each).encode(), "m", 20)
        except UnreadableError:
            continue
        (reply.text + reply.finish_reason + reply.model).encode()
        assert reply.usage.prompt_tokens >= reply.usage.cached_tokens >= 0 <= reply.usage.completion_tokens


@given(data=st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_none(data: bytes) -> None:
    with pytest.raises(UnreadableError):
        read(data, "m", 20)
