"""Groups of options: declared once as the fields of a dataclass, spelt out in the signature of each command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any


def fields_of(group: type) -> list[Parameter]:
    """The fields of a dataclass as parameters of a command."""
    found = signature(group, eval_str=True).parameters.values()
    return [one.replace(kind=Parameter.KEYWORD_ONLY) for one in found]


def shown_as(run: Callable[..., None], shown: Sequence[Parameter]) -> Callable[..., None]:
    """``run`` with the signature from which typer reads the options."""
    run.__dict__["__signature__"] = Signature(shown)
    run.__annotations__ = {one.name: one.annotation for one in shown}
    run.__dict__.pop("__wrapped__", None)  # else the old annotations are found through it
    return run


def with_groups(*groups: type) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The command with each parameter that is one of ``groups`` replaced by one option for each of its fields."""

    def spelt_out(command: Callable[..., None]) -> Callable[..., None]:
        own = [
            one.replace(kind=Parameter.KEYWORD_ONLY) for one in signature(command, eval_str=True).parameters.values()
        ]
        fields = {one.name: fields_of(one.annotation) for one in own if one.annotation in groups}

        @wraps(command)
        def run(**values: Any) -> None:  # typer has checked their types
            for one in own:
                if one.name in fields:
                    values[one.name] = one.annotation(**{each.name: values.pop(each.name) for each in fields[one.name]})
            command(**values)

        return shown_as(run, [each for one in own for each in fields.get(one.name, [one])])

    return spelt_out
