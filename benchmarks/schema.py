"""Answers after a schema: how many of them are valid, and what the guide costs.

    python benchmarks/schema.py [MODEL] [--count 200] [--tokens 80]

Half of the answers are greedy, half at temperature 1; schemas take turns, among them recursion, unbounded strings and
patterns; another library checks. Then the time of a token with and without a schema. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace

import jsonschema
from PIL import Image as Pillow

from pumice import Conversation, Engine, Image, SamplingOptions

TIMED = 20  # answers that are also timed, each alone
TREE = {
    "type": "object",
    "properties": {
        "value": {"enum": ["a", "bb"]},
        "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}},
    },
    "required": ["value", "children"],
}
SCHEMAS = {
    "record": {
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "count": {"type": "integer"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "colour": {"enum": ["red", "green", "blau", None]},
        },
        "required": ["title", "count", "tags", "colour"],
        "additionalProperties": False,
    },
    "anything": {},
    "recursion": {"$defs": {"tree": TREE}, "$ref": "#/$defs/tree"},
    "pattern": {"type": "array", "items": {"type": "string", "pattern": "^[a-z]+@[a-z]+\\.(com|org)$"}, "minItems": 2},
    "numbers": {"type": "array", "items": {"type": "number", "minimum": -3, "maximum": 3.5}, "minItems": 3},
}


def is_valid(text: str, schema: object) -> bool:
    try:
        jsonschema.validate(json.loads(text), schema)  # type: ignore[arg-type]
    except (ValueError, jsonschema.ValidationError):
        return False
    return True


def questions(count: int, tokens: int) -> list[tuple[str, Conversation, SamplingOptions]]:
    """For each answer the schema's name, what is asked, and how."""
    made = []
    for index in range(count):
        name = list(SCHEMAS)[index % len(SCHEMAS)]
        picture = Image(Pillow.new("RGB", (32, 32), (40 * index % 256, 90, 200)))
        temperature = float(index % (2 * len(SCHEMAS)) >= len(SCHEMAS))
        schema = json.dumps(SCHEMAS[name])
        options = SamplingOptions(temperature=temperature, seed=index, max_tokens=tokens, schema=schema)
        made.append((name, Conversation.ask(f"Describe the picture, number {index}.", (picture,)), options))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=80)
    chosen = parser.parse_args()
    engine = Engine.load(chosen.model)
    engine.most = 16
    asked = questions(chosen.count, chosen.tokens)
    valid = 0
    for begin in range(0, chosen.count, engine.most):
        some = asked[begin : begin + engine.most]
        streams = [engine.stream(conversation, options) for _, conversation, options in some]
        for (name, _, _), stream in zip(some, streams, strict=True):
            valid += is_valid("".join(stream), SCHEMAS[name])
    seconds, tokens = {True: 0.0, False: 0.0}, {True: 0, False: 0}
    for _, conversation, options in asked[:TIMED]:
        for each in (options, replace(options, schema=None)):
            answer = engine.ask(conversation, each)
            seconds[each.schema is not None] += answer.timings.total_s - answer.timings.first_token_s
            tokens[each.schema is not None] += answer.usage.completion_tokens - 1
    cost = {guided: 1000 * seconds[guided] / max(1, tokens[guided]) for guided in (True, False)}
    print(f"valid           {valid} of {chosen.count}")
    print(f"with a schema   {cost[True]:.2f} ms a token, {tokens[True]} tokens")
    print(f"without         {cost[False]:.2f} ms a token, {tokens[False]} tokens")
    print(json.dumps({"valid": valid, "count": chosen.count, "guided_ms": cost[True], "plain_ms": cost[False]}))


if __name__ == "__main__":
    main()
