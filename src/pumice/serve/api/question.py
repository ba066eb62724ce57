"""From a checked request to what the engine is asked."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pumice.errors import UsageError
from pumice.options import SamplingOptions
from pumice.prompts.conversation import Conversation, Image, Part, Text, Turn
from pumice.serve.api.schema import LONGEST_SCHEMA, ChatRequest, ImagePart, Message, ObjectFormat, SchemaFormat
from pumice.serve.guard.errors import ApiError, Failure

DEFAULT_TOKENS = 512
MOST_PICTURES = 16
# In small letters alone: so it is found a hundred times faster in a text of megabytes.
_PICTURE_AS_TEXT = re.compile(r"data:image/[a-z+]{2,10};base64,[A-Za-z0-9+/]{200}")


@dataclass(frozen=True)
class Question:
    """A conversation that ends with a user's turn, and how it is to be answered, ``choices`` times."""

    conversation: Conversation
    options: SamplingOptions
    choices: int = 1


def question_of(request: ChatRequest) -> Question:
    """Raises ApiError or UsageError for what no field shows by itself."""
    return Question(conversation_of(request.messages), _options(request), request.n or 1)


def conversation_of(messages: Sequence[Message]) -> Conversation:
    """Contributions of one speaker in a row become one turn; all system texts together replace the template's.

    Raises ApiError: it does not end with the user, or begins with the assistant, or holds a picture as text.
    """
    system: list[str] = []
    turns: list[Turn] = []
    for index, message in enumerate(messages):
        parts = _parts(message, f"messages.{index}.content")
        if message.role in ("system", "developer"):
            system += [part.text for part in parts if isinstance(part, Text)]
        elif turns and turns[-1].role == message.role:
            turns[-1] = Turn(turns[-1].role, (*turns[-1].parts, Text("\n"), *parts))
        else:
            turns.append(Turn("assistant" if message.role == "assistant" else "user", parts))
    if not turns or turns[-1].role != "user":
        raise _refused("the last message must be the user's", "messages")
    if turns[0].role != "user":
        raise _refused("the first message after the system's must be the user's", "messages")
    pictures = sum(isinstance(part, Image) for turn in turns for part in turn.parts)
    if pictures > MOST_PICTURES:
        raise _refused(f"at most {MOST_PICTURES} pictures in a request, found {pictures}", "messages")
    if not turns[-1].text.strip() and not any(isinstance(part, Image) for part in turns[-1].parts):
        raise _refused("the question is empty", "messages")
    return Conversation(tuple(turns), "\n".join(system) if system else None)


def _parts(message: Message, place: str) -> tuple[Part, ...]:
    parts: list[Part] = []
    for part in message.parts:
        if isinstance(part, ImagePart):
            parts.append(Image(part.image_url.url, overview=part.image_url.detail == "low"))
        elif _PICTURE_AS_TEXT.search(part.text):
            hint = "send it as a part of type image_url"
            raise ApiError(Failure(400, "invalid_image", "a picture was sent as text", hint, place))
        else:
            parts.append(Text(part.text))
    return tuple(parts)


def _options(request: ChatRequest) -> SamplingOptions:
    limits = {request.max_tokens, request.max_completion_tokens} - {None}
    if len(limits) > 1:
        raise _refused("max_tokens and max_completion_tokens differ", "max_tokens")
    if request.top_logprobs and not request.logprobs:
        raise _refused("top_logprobs needs logprobs to be true", "top_logprobs")
    if request.stream_options is not None and not request.stream:
        raise _refused("stream_options needs stream to be true", "stream_options")
    stop = [request.stop] if isinstance(request.stop, str) else request.stop or []
    try:
        return SamplingOptions(
            temperature=request.temperature or 0.0,
            top_p=1.0 if request.top_p is None else request.top_p,
            top_k=request.top_k or 0,
            seed=request.seed,
            max_tokens=limits.pop() or DEFAULT_TOKENS if limits else DEFAULT_TOKENS,
            stop=tuple(stop),
            schema=_schema(request),
            logprobs=(request.top_logprobs or 0) if request.logprobs else None,
        )
    except UsageError as error:
        raise ApiError(Failure(400, "invalid_request", str(error), error.hint)) from None


def _schema(request: ChatRequest) -> str | None:
    how = request.response_format
    if isinstance(how, ObjectFormat):
        return '{"type": "object"}'
    if not isinstance(how, SchemaFormat):
        return None
    text = json.dumps(how.json_schema.schema_)
    if len(text) > LONGEST_SCHEMA:
        message = f"a schema may have {LONGEST_SCHEMA} characters, found {len(text)}"
        raise _refused(message, "response_format")
    return text


def _refused(message: str, param: str) -> ApiError:
    return ApiError(Failure(400, "invalid_request", message, param=param))
