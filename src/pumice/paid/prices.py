"""What models cost, by their exact names: a dated table of this package, with the user's own before it.

A model that is in neither has no known price, which is not a price of nothing.
"""

from __future__ import annotations

import datetime
import sys
from dataclasses import dataclass, field
from importlib.resources import files
from math import floor, log10
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pumice.errors import UsageError
from pumice.files import unreadable

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_HINT = 'a line under [models] looks like  "gpt-4o" = { input = 2.5, output = 10.0 }  in USD per million tokens'


class Price(BaseModel):
    """USD per million tokens. batch: the part of it that the Batch API takes."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cached_input: float | None = Field(default=None, ge=0)
    batch: float = Field(default=1.0, gt=0, le=1)

    def cost(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0, *, batch: bool = False) -> float:
        """USD. cached_tokens: those of the prompt that the server had read before."""
        cached = self.input if self.cached_input is None else self.cached_input
        fresh = prompt_tokens - cached_tokens
        whole = fresh * self.input + cached_tokens * cached + completion_tokens * self.output
        return whole / 1e6 * (self.batch if batch else 1.0)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    date: datetime.date
    models: dict[str, Price]


@dataclass(frozen=True)
class Prices:
    """Prices of models, the day of the table that this package brings, and that of prices from elsewhere, by model."""

    models: dict[str, Price]
    date: datetime.date
    others: dict[str, datetime.date] = field(default_factory=dict)

    def of(self, model: str) -> Price | None:
        """The price of one model; None if it is unknown."""
        return self.models.get(model)

    def day(self, model: str) -> datetime.date:
        """That of the table which has its price."""
        return self.others.get(model, self.date)


def usd(amount: float | None) -> str:
    """An amount with digits enough to tell it from nothing."""
    if amount is None:
        return "unknown"
    digits = 2 if amount == 0 or abs(amount) >= 1 else max(4, 1 - floor(log10(abs(amount))))
    return f"${amount:,.{digits}f}"


def load_prices(own: Path | None = None) -> Prices:
    """The built-in table, and ``own`` before it. Raises UsageError for a file that cannot be read or understood."""
    built_in = _read(files("pumice.paid").joinpath("prices.toml").read_text(encoding="utf-8"), "prices.toml")
    if own is None:
        return Prices(built_in.models, built_in.date)
    try:
        text = own.read_text(encoding="utf-8")
    except OSError as error:
        raise unreadable(own, error, "prices") from error
    except UnicodeDecodeError:
        raise UsageError(f"prices {str(own)!r}: expected UTF-8", hint=_HINT) from None
    theirs = _read(text, str(own))
    return Prices({**built_in.models, **theirs.models}, built_in.date, dict.fromkeys(theirs.models, theirs.date))


def _read(text: str, name: str) -> _File:
    try:
        return _File.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"prices {name!r}: not valid TOML: {error}", hint=_HINT) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UsageError(f"prices {name!r}: {where}: {first['msg']}", hint=_HINT) from error
