"""What a client of the original asks for, in our terms: a rendered prompt, its pictures, and sampling options."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pumice.errors import UsageError
from pumice.images.load import from_base64
from pumice.options import SamplingOptions
from pumice.prompts.templates import IMAGE_TEXT

MOST_TOKENS = 1024
_MOST_PICTURES = 16
_MOST_STOPS = 16
_LEAST_TEMPERATURE = 0.001


@dataclass(frozen=True)
class Call:
    """One request. options: None if it leaves no room for a single token."""

    prompt: str
    pictures: tuple[bytes, ...]
    options: SamplingOptions | None


def read_call(raw: object) -> Call:
    """The request in a decoded JSON value.

    Raises:
        UsageError: a field is missing, of the wrong kind or out of range, or there are more or fewer pictures than
            places for them in the prompt.
        ImageError: a picture is not base64.
    """
    if not isinstance(raw, Mapping):
        raise UsageError("expected a JSON object")
    prompt = raw.get("prompt")
    if not isinstance(prompt, str):
        raise UsageError("prompt must be a text: the conversation, written out by the model's template")
    images = raw.get("images")
    images = [] if images is None else images
    if not isinstance(images, list) or not all(isinstance(each, str) for each in images):
        raise UsageError("images must be a list of texts: picture files in base64")
    places = prompt.count(IMAGE_TEXT)
    if len(images) != places:
        raise UsageError(f"the prompt has places for {places} pictures ({IMAGE_TEXT}), found {len(images)}")
    if len(images) > _MOST_PICTURES:
        raise UsageError(f"expected at most {_MOST_PICTURES} pictures, found {len(images)}")
    pictures = tuple(from_base64(each, f"image {number}") for number, each in enumerate(images, 1))
    return Call(prompt, pictures, _options(raw))


def _options(raw: Mapping[str, object]) -> SamplingOptions | None:
    temperature, top_p = _number(raw, "temperature", 1.0), _number(raw, "top_p", 1.0)
    tokens = int(min(_number(raw, "max_new_tokens", 256), MOST_TOKENS))
    # A share of nothing leaves the likeliest token.
    greedy = temperature <= _LEAST_TEMPERATURE or top_p <= 0
    if tokens < 1:
        return None
    return SamplingOptions(
        temperature=0.0 if greedy else temperature,
        top_p=1.0 if greedy else min(top_p, 1.0),
        max_tokens=tokens,
        stop=_stops(raw.get("stop")),
    )


def _number(raw: Mapping[str, object], name: str, default: float) -> float:
    """The original took numbers as texts as well."""
    value = raw.get(name)
    if value is None:
        return default
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"{name} must be a number")
    return number


def _stops(value: object) -> tuple[str, ...]:
    """One text as the original has it, or a list of them, or none."""
    found = [] if value is None else value if isinstance(value, list) else [value]
    texts = tuple(each for each in found if isinstance(each, str) and each)
    if len(texts) < len([each for each in found if each != ""]) or len(texts) > _MOST_STOPS:
        raise UsageError(f"stop must be a text, or a list of at most {_MOST_STOPS}")
    return texts
