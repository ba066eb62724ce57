"""Answers for programs: schemas from files, and what is cut out of an answer."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Annotated, TypeAlias

from typer import Option

from pumice.engine.answer import Answer
from pumice.errors import PumiceError, UsageError

Schema: TypeAlias = Annotated[
    Path | None,
    Option("--schema", metavar="FILE", help='Answer in JSON after this JSON schema. Needs "pumice[schema]".'),
]

_FENCED = re.compile(r"^ {0,3}(?P<fence>`{3,}|~{3,})[^\n`]*\n(?P<body>.*?)^ {0,3}(?P=fence)[`~]*[ \t]*$", re.M | re.S)


def read_schema(file: Path | None, *, here: bool = True) -> str | None:
    """The schema in ``file``, tried out, so that what is wrong with it shows before a model is loaded.

    here: whether it is this machine that keeps to it; a server knows best what it can keep. Raises UsageError: the file
    cannot be read, or what is in it cannot be used.
    """
    if file is None:
        return None
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        reason = (error.strerror or "not readable").lower()
        raise UsageError(f"the schema '{file}' cannot be read: {reason}", hint="--schema takes a file") from None
    except UnicodeDecodeError:
        raise UsageError(f"the schema '{file}' is not UTF-8 text") from None
    try:
        if here:
            from pumice.engine.grammar import compile_schema

            compile_schema(text)
        else:
            _require_object(text)
    except UsageError as error:
        raise UsageError(f"{file}: {error}", hint=error.hint) from None
    return text


def _require_object(text: str) -> None:
    try:
        fine = isinstance(json.loads(text), dict)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"expected a JSON schema: {error}") from None
    if not fine:
        raise UsageError("expected a JSON schema, which is an object")


def require_whole(answer: Answer, schema: str | None) -> None:
    """Half of a JSON text is worth nothing, and what is none must not pass for one; who cancels wants what there is.

    Raises UsageError for JSON that was cut off, PumiceError for what is no JSON.
    """
    if schema is None or answer.finish_reason == "cancelled":
        return
    if answer.finish_reason == "length":
        tokens = answer.usage.completion_tokens
        raise UsageError(
            f"the answer's JSON was not complete after {tokens} tokens", hint=f"allow more: --max-tokens {2 * tokens}"
        )
    try:
        with suppress(RecursionError):  # deeper than Python reads is no fault of the text
            json.loads(answer.text, parse_int=str)  # numbers as they are: Python refuses very long ones
    except ValueError:
        shown = " ".join(answer.text.split())
        raise PumiceError(
            f"the answer is not the JSON that the schema asks for, found {shown[:80]!r}", hint="simplify the schema"
        ) from None


def extract(text: str) -> str:
    """The first fenced block of an answer, or else the first JSON object or list in it, as it is written there.

    Raises PumiceError (exit 1) if there is neither.
    """
    block = _FENCED.search(text)
    if block is not None:
        return block["body"].removesuffix("\n")
    decoder = json.JSONDecoder()
    for start in re.finditer(r"[{\[]", text):
        try:
            _, end = decoder.raw_decode(text, start.start())
        except (ValueError, RecursionError):
            continue
        return text[start.start() : end]
    shown = " ".join(text.split())
    raise PumiceError(
        f"nothing to extract: the answer holds no fenced block and no JSON, found {shown[:80]!r}",
        hint="leave -x away to see all of it, or ask for a code block",
    )
