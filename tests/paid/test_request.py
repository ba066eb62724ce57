"""Questions as values: equal ones have equal keys, others have others."""

from __future__ import annotations

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paid.asking import request
from pumice.errors import UsageError
from pumice.paid.request import JSON, Request

NAMES = st.text(string.ascii_lowercase, min_size=1, max_size=6)
VALUES: st.SearchStrategy[JSON] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
PARAMETERS = st.dictionaries(NAMES.filter(lambda name: name not in ("model", "stream", "n")), VALUES, max_size=4)


def turned(value: JSON) -> JSON:
    """The same with its fields in another order, and whole numbers as floats."""
    if isinstance(value, dict):
        return {name: turned(each) for name, each in reversed(value.items())}
    if isinstance(value, list):
        return tuple(turned(each) for each in value)
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def plain(value: JSON) -> str:
    """JSON in which 1 and 1.0, and true and 1, are told apart as JSON does."""
    return json.dumps(turned(json.loads(json.dumps(value))), sort_keys=True)


@given(parameters=PARAMETERS, text=st.text())
def test_the_same_question_has_the_same_key(parameters: dict[str, JSON], text: str) -> None:
    one = Request("m", ({"role": "user", "content": text},), parameters)
    two = Request("m", ({"content": text, "role": "user"},), turned(parameters))  # type: ignore[arg-type]
    assert one.key == two.key and len(one.key) == 64
    assert Request("m", one.messages, parameters, repeat=1).key != one.key
    assert Request("M", one.messages, parameters).key != one.key
    assert Request("m", (*one.messages, *one.messages), parameters).key != one.key


@given(one=PARAMETERS, two=PARAMETERS)
def test_other_questions_have_other_keys(one: dict[str, JSON], two: dict[str, JSON]) -> None:
    messages = ({"role": "user", "content": "Two dice?"},)
    same = Request("m", messages, one).key == Request("m", messages, two).key
    assert same == (plain(one) == plain(two))


def test_what_is_sent_is_what_was_meant() -> None:
    assert request(3).body == {
        "model": "teacher",
        "messages": request(3).messages,
        "temperature": 0.7,
        "max_tokens": 100,
    }


@pytest.mark.parametrize(
    ("parameters", "most"),
    [
        ({}, None),
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 7}, 7),
        ({"max_completion_tokens": 7, "max_tokens": 5}, 7),
        ({"max_tokens": None}, None),
        ({"max_tokens": True}, None),
    ],
)
def test_the_longest_answer(parameters: dict[str, JSON], most: int | None) -> None:
    assert Request("m", ({"role": "user", "content": "?"},), parameters).max_tokens == most


@pytest.mark.parametrize("name", ["model", "messages", "stream", "stream_options", "n"])
def test_one_question_gets_one_whole_answer(name: str) -> None:
    with pytest.raises(UsageError, match=name):
        Request("m", ({"role": "user", "content": "?"},), {name: 2})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"bytes", {1, 2}, object()])
def test_only_json_can_be_asked(value: object) -> None:
    with pytest.raises(UsageError, match="JSON"):
        _ = Request("m", ({"role": "user", "content": "?"},), {"x": value}).key  # type: ignore[dict-item]


def test_nobody_and_nothing() -> None:
    with pytest.raises(UsageError, match="model"):
        Request("", ({"role": "user", "content": "?"},))
    with pytest.raises(UsageError, match="message"):
        Request("m", ())
