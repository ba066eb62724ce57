"""From wherever a JSON text stands there is a way to its end, and the way is valid and short."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from pumice.engine.finishing import Place, way_to_end
from pumice.engine.grammar import END, bytewise, compile_schema, literals_of, matcher
from schemas import HARD, is_valid

OPENING = b'[{",:-e'


ANYTHING = frozenset(range(END))


@pytest.mark.parametrize("name", HARD)
def test_there_is_a_way_from_everywhere(name: str) -> None:
    schema = HARD[name]
    chance = random.Random(name)
    for _ in range(3):
        state, place, text = matcher(bytewise(), compile_schema(json.dumps(schema))), Place(), b""
        for _ in range(16):
            way = way_to_end(state, place, 2000, ANYTHING, literals_of(json.dumps(schema)))
            assert way is not None, f"no way behind {text!r}"
            assert is_valid((text + way).decode(), schema), text + way
            mask = state.compute_bitmask()
            possible = [byte for byte in range(END) if mask[byte >> 3] >> (byte & 7) & 1]
            if not possible:
                break
            opening = [byte for byte in possible if byte in OPENING]
            byte = chance.choice(opening if opening and chance.random() < 0.5 else possible)
            assert state.consume_token(byte)
            place, text = place.after(bytes([byte])), text + bytes([byte])


@pytest.mark.parametrize(
    ("schema", "length"),
    [
        ({}, 1),
        ({"type": "object"}, 2),
        (HARD["a trap"], len('{"leaf": ""}')),
        (HARD["a pattern"], len('"aa@a.com"')),
        (HARD["a multiple"], 4),
        (HARD["nested arrays"], len("[[[1, 1], [1, 1]]]")),
    ],
)
def test_ways_are_short(schema: Any, length: int) -> None:
    way = way_to_end(matcher(bytewise(), compile_schema(json.dumps(schema))), Place(), 2000, ANYTHING)
    assert way is not None and len(way) == length


def test_bytes_without_a_token_are_gone_round() -> None:
    start = matcher(bytewise(), compile_schema('{"type": ["object", "integer"]}'))
    assert way_to_end(start, Place(), 99, ANYTHING - {ord("1")}) not in (None, b"1")
    assert way_to_end(start, Place(), 99, frozenset(b"{}")) == b"{}"
    assert way_to_end(start, Place(), 99, frozenset()) is None


def test_a_limit_is_kept() -> None:
    schema = json.dumps(HARD["a constant"])
    start, length = matcher(bytewise(), compile_schema(schema)), len(json.dumps(HARD["a constant"]["const"]).encode())
    way = way_to_end(start, Place(), length, ANYTHING)
    assert way is not None and way_to_end(start, Place(), len(way) - 1, ANYTHING) is None


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("needle", (b"needle",)),
        (r"^(IMG|foto)-\d+\.jpg$", (b"IMG", b"foto", b"-", b".jpg")),
        (r"[a-z]+ größe", (" größe".encode(),)),
        (r"^\"$", ()),
    ],
)
def test_what_a_pattern_spells_out(pattern: str, wanted: tuple[bytes, ...]) -> None:
    schema = {"properties": {"pattern": {"type": "string", "pattern": pattern}}, "const": {"pattern": "no"}}
    assert literals_of(json.dumps(schema)) == wanted


def test_places() -> None:
    assert Place().after(b'{"a": [') == Place(2, False, False, ord("["))
    assert Place().after(b'{"a]\\"') == Place(1, True, False, ord('"'))
    assert Place().after(b'"\\').after(b'"').quoted
    assert not Place().after(b'"\\\\').after(b'"').quoted
    assert Place().after(b"[[1]").depth == 1
