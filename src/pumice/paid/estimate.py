"""What requests will take, before they are sent: tokens guessed from the text, and a bound that holds for certain.

The guess counts pieces of words as byte-pair vocabularies cut them; the bound rests on no token being shorter than a
byte.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from pumice.paid.prices import Prices
from pumice.paid.request import JSON, Request

# Words of ASCII letters with the space before them; digits by threes, but not their space; runs of the same sign with
# the ends of lines behind them; all else by characters. Within 5 % of OpenAI's cl100k_base and o200k_base on captions
# and boxes of 80 COCO pictures and on GPT-4's answers, where the usual four letters a token miss a third of the boxes.
_PIECES = re.compile(r" ?[A-Za-z]+|\d{1,3}| (?=\d)| ?([^\sA-Za-z\d\x80-\U0010ffff])\1*\n*|[\x80-\U0010ffff]|\n+|  +")
_LONG_WORD = 12  # letters: one that is longer takes two tokens, and so on
_PER_MESSAGE = 4  # its role, and where it begins and ends
_PICTURE, _PICTURE_AT_MOST = 1_000, 50_000  # of the usual size; eight tiles of gpt-4o-mini, which counts the most


@dataclass(frozen=True)
class Estimate:
    """Of several requests together. cost, cost_at_most: USD; None where a price or the longest answer is unknown."""

    requests: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None
    cost_at_most: float | None


def estimate(requests: Iterable[Request], prices: Prices, *, answer_tokens: int, batch: bool = False) -> Estimate:
    """What ``requests`` will cost if each answer has ``answer_tokens`` on average, and what they cannot exceed.

    Guessed from the text: within a fifth or so for English; what is in the ledger already is not taken off.
    batch: at the price of the Batch API.
    """
    number = prompts = completions = 0
    cost: float | None = 0.0
    most: float | None = 0.0
    for request in requests:
        tokens = prompt_tokens(request)
        answer = min(answer_tokens, request.max_tokens or answer_tokens)
        number, prompts, completions = number + 1, prompts + tokens, completions + answer
        price, bound = prices.of(request.model), cost_at_most(request, prices, batch=batch)
        cost = None if cost is None or price is None else cost + price.cost(tokens, answer, batch=batch)
        most = None if most is None or bound is None else most + bound
    return Estimate(number, prompts, completions, cost, most)


def cost_at_most(request: Request, prices: Prices, *, batch: bool = False) -> float | None:
    """USD that one request cannot exceed; None without a price or without ``max_tokens``."""
    price, longest = prices.of(request.model), request.max_tokens
    if price is None or longest is None:
        return None
    parts = [_bytes(message) + 2 * _PER_MESSAGE for message in request.messages]
    extra = len(json.dumps(dict(request.parameters), default=str)) + 4 * _PER_MESSAGE  # a schema counts as well
    return price.cost(sum(parts) + extra, longest, batch=batch)


def prompt_tokens(request: Request) -> int:
    """About how many tokens a prompt has."""
    return _PER_MESSAGE + sum(_PER_MESSAGE + _tokens(message.get("content")) for message in request.messages)


@lru_cache(maxsize=256)  # the same few examples stand before every question
def text_tokens(text: str) -> int:
    """About how many tokens a text has."""
    return sum(max(len(found.group().strip()) - 1, 0) // _LONG_WORD + 1 for found in _PIECES.finditer(text))


def _tokens(content: JSON) -> int:
    if isinstance(content, str):
        return text_tokens(content)
    parts = content if isinstance(content, list | tuple) else ()
    return sum(_tokens(part.get("text")) if _is_text(part) else _PICTURE for part in parts if isinstance(part, Mapping))


def _bytes(message: Mapping[str, JSON]) -> int:
    content = message.get("content")
    if isinstance(content, str):
        return len(content.encode("utf-8", "replace"))
    parts = content if isinstance(content, list | tuple) else ()
    return sum(_bytes_of_part(part) for part in parts if isinstance(part, Mapping))


def _bytes_of_part(part: Mapping[str, JSON]) -> int:
    return len(str(part["text"]).encode("utf-8", "replace")) if _is_text(part) else _PICTURE_AT_MOST


def _is_text(part: Mapping[str, JSON]) -> bool:
    return isinstance(part.get("text"), str)
