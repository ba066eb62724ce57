"""A schema's shortest text is never longer than the bound that is told of it; what cannot fit is refused at once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny
from pumice.engine.finishing import Place, way_to_end
from pumice.engine.grammar import END, bytewise, compile_schema, literals_of, matcher
from pumice.engine.guide import Guides
from pumice.engine.least import least_bytes, longest_repeat
from pumice.errors import UsageError
from schemas import HARD, is_valid

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text("abé☃", max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab", max_size=3), inner, max_size=3),
    max_leaves=8,
)


def strictest(value: Any) -> dict[str, Any]:
    """A schema that ``value`` fits, and that asks for as much of it as can be counted."""
    if isinstance(value, str):
        return {"type": "string", "minLength": len(value)}
    if isinstance(value, list):
        return {
            "type": "array",
            "minItems": len(value),
            "items": {"anyOf": [strictest(each) for each in value] or [{}]},
        }
    if isinstance(value, dict):
        members = {name: strictest(each) for name, each in value.items()}
        return {"type": "object", "properties": members, "required": list(value)}
    return {"const": value}


@given(VALUES)
def test_no_text_is_shorter(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    schema = strictest(value)
    assert is_valid(text, schema)
    assert least_bytes(schema) <= len(text.encode())
    assert least_bytes({"anyOf": [schema, {"type": "null"}]}) <= 1 <= least_bytes({"allOf": [schema, {}]})
    assert least_bytes({"enum": [value, 1]}) == 1


@pytest.mark.parametrize(
    ("schema", "least"),
    [
        ({"type": "array", "minItems": 2000, "items": {"type": "integer"}}, 2 + 2000 + 1999),
        ({"type": "array", "minItems": 3, "items": {"type": "string", "minLength": 5}}, 2 + 21 + 2),
        ({"type": "object", "required": ["ab"], "properties": {"ab": {"const": "xyz"}}}, 2 + 5 + 5),
        ({"type": "string", "minLength": 10**9}, 10**9 + 2),
        ({"type": ["string", "null"], "minLength": 99}, 1),
        (True, 1),
    ],
)
def test_what_is_counted(schema: Any, least: int) -> None:
    assert least_bytes(schema) == least


def test_every_hard_schema_has_a_text_above_its_bound() -> None:
    for schema in HARD.values():
        state, literals = matcher(bytewise(), compile_schema(json.dumps(schema))), literals_of(json.dumps(schema))
        way = way_to_end(state, Place(), 2000, frozenset(range(END)), literals)
        assert way is not None and least_bytes(schema) <= len(way)


@pytest.mark.parametrize("count", [2000, 10**6, 10**9])
@pytest.mark.parametrize("kind", ["array", "string"])
def test_what_cannot_fit_is_refused_before_anything_is_looked_for(
    kind: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pumice.engine.guide.compile_schema", lambda *_, **__: pytest.fail("no need to compile it"))
    schema = {"type": kind, "minItems" if kind == "array" else "minLength": count}
    with pytest.raises(UsageError, match=r"at least \d+ tokens, and there is room for 40"):
        Guides(tiny.tokenizer(), [tiny.tokenizer().size - 1]).guide(json.dumps(schema), 40)


def test_a_search_ends_when_its_time_is_over() -> None:
    state = matcher(bytewise(), compile_schema('{"type": "array", "minItems": 50}'))
    assert way_to_end(state, Place(), 2000, frozenset(range(END)), seconds=-1) is None
    assert way_to_end(state, Place(), 2000, frozenset(range(END))) is not None


def test_patterns_that_repeat_without_measure_are_refused() -> None:
    assert longest_repeat(["a{3}b{12,}", "x{007,9}"]) == 12 and longest_repeat([]) == 0
    assert longest_repeat(["a{1,20000}"]) == 20000 and longest_repeat(["a{" + "9" * 5000 + "}"]) > 10**11
    with pytest.raises(UsageError, match="10000 times, found 1000000"):
        compile_schema('{"type": "string", "pattern": "a{1000000}"}')
