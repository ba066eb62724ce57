"""What comes back over HTTP, as OpenAI's clients expect it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from pumice.engine.answer import TokenChances


class TopLogprob(BaseModel):
    """A token and the natural logarithm of its probability. ``token`` shows bytes that are no character as U+FFFD."""

    token: str
    logprob: float
    bytes: list[int]


class TokenLogprob(TopLogprob):
    """The token that was taken, and the likeliest ones at its place."""

    top_logprobs: list[TopLogprob]


class Logprobs(BaseModel):
    """Of each token of an answer, the one that ended it left out."""

    content: list[TokenLogprob]


class PromptDetails(BaseModel):
    """cached_tokens were remembered from an earlier request; image_tokens stand for pictures."""

    cached_tokens: int = 0
    image_tokens: int = 0


class Usage(BaseModel):
    """Tokens. prompt_tokens counts pictures as well."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails


class AnswerMessage(BaseModel):
    """The model's contribution."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(BaseModel):
    """One of ``n`` answers. finish_reason ``length``: the token limit cut it off."""

    index: int
    message: AnswerMessage
    finish_reason: Literal["stop", "length"]
    logprobs: Logprobs | None = None


class ChatCompletion(BaseModel):
    """A whole answer."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage


class ImageFacts(BaseModel):
    """How a model fits pictures: square tiles of so many pixels, and the tokens of a square picture.

    The rest is what ``images.config.Preprocessing`` holds, for clients that show what a model sees; absent where the
    server does not know.
    """

    mode: str
    tile_size: int
    tokens: int
    patch_size: int | None = None
    merge: str | None = None
    pinpoints: list[tuple[int, int]] | None = None
    most_tiles: int | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    keeps_cls: bool | None = None
    hides_writing: bool | None = None


class ModelCard(BaseModel):
    """A model that can be asked now."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "pumice"
    input_modalities: list[Literal["text", "image"]]
    max_model_len: int | None = None
    images: ImageFacts | None = None


class ModelList(BaseModel):
    """All of them."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


class TokenCount(BaseModel):
    """Tokens of a prompt. tokens: the ids of a plain text; None for messages, whose pictures have no ids."""

    count: int
    image_tokens: int = 0
    max_model_len: int
    tokens: list[int] | None = None


class ErrorDetails(BaseModel):
    """What went wrong, what to do next, and the request's id in the server's log."""

    message: str
    type: str
    param: str | None
    code: str
    hint: str | None
    request_id: str


class ErrorBody(BaseModel):
    """OpenAI's shape of an error."""

    error: ErrorDetails


class State(BaseModel):
    """Of ``/health`` and ``/ready``."""

    status: str


def token_logprob(found: TokenChances) -> TokenLogprob:
    """The engine's figures as they are sent."""
    top = [_logprob(each.token, each.logprob) for each in found.likeliest]
    taken = _logprob(found.taken.token, found.taken.logprob)
    return TokenLogprob(**taken.model_dump(), top_logprobs=top)


def _logprob(token: bytes, logprob: float) -> TopLogprob:
    # What cannot happen has -inf, which is not JSON; so does OpenAI's service.
    return TopLogprob(token=token.decode("utf-8", "replace"), logprob=max(logprob, -9999.0), bytes=list(token))
