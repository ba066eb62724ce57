"""What a request to ``/v1/chat/completions`` and ``/tokenize`` may say: OpenAI's shape, every field checked.

What is not supported is refused by name; nothing is silently ignored. Fields that clients send as ``null`` or with the
one value that changes nothing are let through.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    JsonValue,
    Tag,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError, core_schema
from typing_extensions import Self

from pumice.options import MOST_LOGPROBS

MOST_CHOICES = 8
MOST_MESSAGES = 512
MOST_STOPS, LONGEST_STOP = 16, 256
LONGEST_SCHEMA = 64 << 10  # characters


@dataclass(frozen=True, eq=False)  # typing would take fields of 0 and of False for the same
class Only:
    """A field of OpenAI's that is known here, but takes nothing besides ``null`` and what changes nothing."""

    neutral: tuple[object, ...] = ()

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self._checked)

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"enum": [None, *self.neutral]}

    def _checked(self, value: object) -> None:
        for each in self.neutral:
            if value == each and isinstance(value, bool) == isinstance(each, bool):
                return
        if value is not None:
            raise PydanticCustomError("unsupported_parameter", "this server does not support it")


_Never: TypeAlias = Annotated[None, Only()]
_NoList: TypeAlias = Annotated[None, Only(([],))]
_NoObject: TypeAlias = Annotated[None, Only(({},))]
_Zero: TypeAlias = Annotated[None, Only((0,))]


class _Checked(BaseModel):
    """Unknown fields are refused by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _said(text: str) -> str:
    """Text that can be written down: no half of a surrogate pair, no NUL."""
    if "\0" in text:
        raise ValueError("a text must not contain the character U+0000")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("a text must not contain half of a surrogate pair") from None
    return text


class TextPart(_Checked):
    """Words."""

    type: Literal["text"]
    text: str

    _can_be_said = field_validator("text")(_said)


class ImageUrl(_Checked):
    """Where a picture is: http(s), or the picture itself as a ``data:`` URI.

    detail: ``low`` shows the model the whole picture once; ``high`` and ``auto`` let it look closer if it can.
    """

    url: Annotated[str, Field(min_length=1, json_schema_extra={"format": "uri"})]
    detail: Literal["auto", "low", "high"] | None = "auto"

    @field_validator("url")
    @classmethod
    def _of_a_known_kind(cls, url: str) -> str:
        if not url[:8].lower().startswith(("http://", "https://", "data:")):
            raise ValueError("expected an http(s) URL or a data: URI")
        return url


class ImagePart(_Checked):
    """A picture."""

    type: Literal["image_url"]
    image_url: ImageUrl


Part: TypeAlias = Annotated[TextPart | ImagePart, Field(discriminator="type")]


class Message(_Checked):
    """One contribution. Pictures belong to users."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[
        Annotated[str, Tag("(text)")] | Annotated[list[Part], Field(min_length=1, max_length=256), Tag("(parts)")],
        Discriminator(lambda content: "(text)" if isinstance(content, str) else "(parts)"),
    ]
    name: Annotated[str | None, Field(max_length=256)] = None  # who of several people speaks is not told to the model
    refusal: _Never = None
    audio: _Never = None
    annotations: _NoList = None
    tool_calls: _NoList = None
    tool_call_id: _Never = None
    function_call: _Never = None

    @field_validator("content")
    @classmethod
    def _can_be_said(cls, content: Any) -> Any:
        return _said(content) if isinstance(content, str) else content

    @model_validator(mode="after")
    def _pictures_are_shown_by_users(self) -> Self:
        if self.role != "user" and any(isinstance(part, ImagePart) for part in self.parts):
            raise ValueError(f"a message of the {self.role} cannot hold a picture")
        return self

    @property
    def parts(self) -> list[TextPart | ImagePart]:
        """The content, text alone as one part."""
        return [TextPart(type="text", text=self.content)] if isinstance(self.content, str) else self.content


class JsonSchema(_Checked):
    """A schema that the answer follows. ``strict`` is how it is done, whatever is said."""

    name: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
    schema_: Annotated[dict[str, JsonValue], Field(alias="schema")]
    description: str | None = None
    strict: bool | None = None


class TextFormat(_Checked):
    """Plain text, as without any format."""

    type: Literal["text"]


class ObjectFormat(_Checked):
    """Some JSON object."""

    type: Literal["json_object"]


class SchemaFormat(_Checked):
    """JSON after a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat: TypeAlias = Annotated[TextFormat | ObjectFormat | SchemaFormat, Field(discriminator="type")]


class StreamOptions(_Checked):
    """include_usage: a last event counts tokens."""

    include_usage: bool = False


_Number: TypeAlias = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_Whole: TypeAlias = Annotated[int, Field(strict=True)]
Stop: TypeAlias = Annotated[str, Field(min_length=1, max_length=LONGEST_STOP)]
Messages: TypeAlias = Annotated[list[Message], Field(min_length=1, max_length=MOST_MESSAGES)]
ModelId: TypeAlias = Annotated[str, Field(min_length=1, max_length=256)]


class ChatRequest(_Checked):
    """A question. ``top_k`` is the one field that OpenAI does not have; temperature is 0 unless given."""

    model: ModelId
    messages: Messages
    temperature: Annotated[_Number | None, Field(ge=0, le=2)] = None
    top_p: Annotated[_Number | None, Field(gt=0, le=1)] = None
    top_k: Annotated[_Whole | None, Field(ge=0, le=1 << 20)] = None
    max_tokens: Annotated[_Whole | None, Field(ge=1, le=1 << 31)] = None
    max_completion_tokens: Annotated[_Whole | None, Field(ge=1, le=1 << 31)] = None
    n: Annotated[_Whole | None, Field(ge=1, le=MOST_CHOICES)] = None
    stop: Stop | Annotated[list[Stop], Field(max_length=MOST_STOPS)] | None = None
    seed: Annotated[_Whole | None, Field(ge=0, le=(1 << 63) - 1)] = None
    logprobs: Annotated[bool | None, Field(strict=True)] = None
    top_logprobs: Annotated[_Whole | None, Field(ge=0, le=MOST_LOGPROBS)] = None
    response_format: ResponseFormat | None = None
    stream: Annotated[bool | None, Field(strict=True)] = None
    stream_options: StreamOptions | None = None
    user: Annotated[str | None, Field(max_length=256)] = None

    frequency_penalty: _Zero = None
    presence_penalty: _Zero = None
    logit_bias: _NoObject = None
    tools: _NoList = None
    tool_choice: Annotated[None, Only(("none",))] = None
    parallel_tool_calls: Annotated[None, Only((True, False))] = None
    functions: _NoList = None
    function_call: Annotated[None, Only(("none",))] = None
    modalities: Annotated[None, Only((["text"],))] = None
    audio: _Never = None
    prediction: _Never = None
    reasoning_effort: _Never = None
    verbosity: _Never = None
    web_search_options: _Never = None
    service_tier: Annotated[None, Only(("auto", "default"))] = None
    store: Annotated[None, Only((False,))] = None
    metadata: _NoObject = None


class TokenizeRequest(_Checked):
    """Messages to be counted as ``/v1/chat/completions`` would read them, or a plain text."""

    model: ModelId
    messages: Messages | None = None
    prompt: str | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.messages is None) == (self.prompt is None):
            raise ValueError("expected either messages or prompt")
        if self.prompt is not None:
            _said(self.prompt)
        return self
