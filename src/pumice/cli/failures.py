"""From an exception to two or three lines on stderr and an exit code."""

from __future__ import annotations

import json
import re
import sys
import traceback
from contextlib import suppress
from dataclasses import dataclass
from inspect import cleandoc
from typing import TYPE_CHECKING

from typer import Abort, BadParameter
from typer._click.exceptions import MissingParameter
from typer.exceptions import TyperException

from pumice.cli.kinds import expected
from pumice.errors import MemoryLimitError, PumiceError, UsageError, lacks_memory

if TYPE_CHECKING:
    from typer import Context

_ADDRESS = re.compile(r" (?:object )?at 0x[0-9a-fA-F]+")


@dataclass(frozen=True)
class Failure:
    """What the user is told: one line each, and the process's exit code. request_id: a server's, for its log."""

    kind: str
    message: str
    hint: str | None
    exit_code: int
    request_id: str | None = None

    def facts(self) -> dict[str, object]:
        """As programs are told. A server's number of the request only if it was a server that failed."""
        number = {} if self.request_id is None else {"request_id": self.request_id}
        return {"type": self.kind, "message": self.message, "hint": self.hint, "code": self.exit_code, **number}


def explain(error: Exception) -> Failure:
    """The failure behind any exception: our own as it is, typer's and torch's translated, the rest marked internal."""
    known = _translated(error)
    if known is not None:
        return Failure(type(known).__name__, _one_line(str(known)), known.hint, known.exit_code, known.request_id)
    if isinstance(error, OSError) and error.strerror:
        place = f": {str(error.filename)!r}" if error.filename is not None else ""
        return Failure("OSError", _one_line(f"{error.strerror}{place}"), None, 1)
    words = _one_line(f"internal: {type(error).__name__}: {error}")
    return Failure("InternalError", words, "this is a bug; run again with --debug for the traceback", 1)


def report(error: Exception, *, as_json: bool = False, with_traceback: bool = False) -> int:
    """Prints a failure to stderr and returns its exit code."""
    failure = explain(error)
    trace = "".join(traceback.format_exception(error)) if with_traceback else ""
    if as_json:
        text = json.dumps({"error": failure.facts() | ({"traceback": trace} if trace else {})})
    else:
        text = trace + f"error: {failure.message}" + (f"\nhint: {_one_line(failure.hint)}" if failure.hint else "")
        text += f"\nrequest: {_one_line(failure.request_id)}" if failure.request_id else ""
    with suppress(OSError):  # nobody may be reading
        print(text, file=sys.stderr, flush=True)
    return failure.exit_code


def _translated(error: Exception) -> PumiceError | None:
    if isinstance(error, PumiceError):
        return error
    if isinstance(error, TyperException):
        return _about_usage(error)
    if isinstance(error, Abort):
        return UsageError("the input ended too early")
    if lacks_memory(error):
        return MemoryLimitError(
            "not enough memory for this model and request",
            hint="close other programs, or try --dtype bfloat16, a smaller --max-tokens or a smaller model",
        )
    return None


def _about_usage(error: TyperException) -> UsageError:
    """What typer found wrong with the command line, with an example where something is missing."""
    context: Context | None = getattr(error, "ctx", None)
    hint = f"see '{context.command_path} --help'" if context else None
    if isinstance(error, MissingParameter):
        example = _first_example(context.command.help or "") if context else None
        return UsageError(error.format_message(), hint=f"{hint}; for example: {example}" if example else hint)
    if isinstance(error, BadParameter) and error.param is not None:
        name = error.param.opts[0] if error.param.opts else error.param.name
        return UsageError(f"{name}: {_about_value(error)}", hint=hint)
    return UsageError(error.format_message(), hint=hint)


def _about_value(error: BadParameter) -> str:
    """Expected and found, where pydantic has read the value; what typer says, where it has looked itself."""
    from pydantic import ValidationError

    if not isinstance(error.__cause__, ValidationError) or error.param is None:
        return error.message.rstrip(".")
    first = error.__cause__.errors()[0]
    limits = first.get("ctx", {})
    if "ge" in limits or "le" in limits:
        wanted = f"at least {limits['ge']}" if "ge" in limits else f"at most {limits['le']}"
    else:
        wanted = expected(error.param.type_descriptor.annotation)
    return f"expected {wanted}, found {first['input']!r}"


def _first_example(text: str) -> str | None:
    """The first line of a command's help that must keep its shape, behind a backspace, without its comment."""
    _, behind, examples = cleandoc(text).partition("\b\n")
    return re.sub(r"\s{2,}#.*", "", examples.strip().splitlines()[0]) if behind else None


def _one_line(text: str) -> str:
    words = "".join(each if each.isprintable() or each.isspace() else "\N{REPLACEMENT CHARACTER}" for each in text)
    return _ADDRESS.sub("", " ".join(words.split()))
