"""Where the value of a setting comes from: a flag, else the environment, else the user's file, else the default.

One dataclass is all there is to know: a field's annotation gives its type, its ``Option`` the flag, and from the flag
follow the key of the file and the variable. A field without an ``Option`` has no flag; ``FLAG_ONLY`` ones nothing else.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Final,
    Generic,
    Literal,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

from typer.models import OptionInfo

from pumice.cli.kinds import expected, read_text, read_toml
from pumice.errors import UsageError
from pumice.near import did_you_mean, nearest

T = TypeVar("T")

PREFIX = "PUMICE_"
#: Names another file than the user's own; a setting that no file could hold.
FILE_VARIABLE = "PUMICE_CONFIG"
MASK = "********"


@dataclass(frozen=True)
class Marker:
    """Stands in a field's ``Annotated``. text: what the setting is for, where no ``Option`` says it."""

    name: str
    text: str = ""


FLAG_ONLY: Final = Marker("flag only")
SECRET: Final = Marker("secret")


@dataclass(frozen=True)
class Setting:
    """One thing that can be set. key: its name in the file; field: in the dataclass; flags: on the command line."""

    field: str
    key: str
    kind: Any
    default: object
    flags: tuple[str, ...] = ()
    metavar: str = "VALUE"
    help: str = ""
    flag_only: bool = False
    secret: bool = False

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return PREFIX + self.key.upper()

    def shown(self, value: object) -> object:
        """``value`` as others may see it."""
        return MASK if self.secret and value is not None else value


@dataclass(frozen=True)
class Origin:
    """Which layer a value is from, and the place in it, for people to read."""

    layer: Literal["flag", "environment", "file", "default"]
    place: str


@dataclass(frozen=True)
class Chosen(Generic[T]):
    """What all layers come to. origins: by field. file: the one that was read, or would be if it existed."""

    settings: T
    origins: Mapping[str, Origin]
    file: Path


def settings_of(kind: type) -> tuple[Setting, ...]:
    """All settings of a dataclass, in its order."""
    hints = get_type_hints(kind, include_extras=True)
    return tuple(_setting(each.name, hints[each.name], each.default) for each in fields(kind))


def _setting(name: str, hint: Any, default: object) -> Setting:
    known: tuple[Any, ...] = ()
    if get_origin(hint) is Annotated:
        hint, *rest = get_args(hint)
        known = tuple(rest)
    option = next((each for each in known if isinstance(each, OptionInfo)), None)
    # Within Annotated there is no default, and typer keeps the first flag in its place.
    flags = (str(option.default), *(option.param_decls or ())) if option else ()
    long = next((flag for flag in flags if flag.startswith("--")), f"--{name}")
    text = next((each.text for each in known if isinstance(each, Marker) and each.text), "")
    return Setting(
        field=name,
        key=long.removeprefix("--").replace("-", "_"),
        kind=hint,
        default=default,
        flags=flags,
        metavar=(option.metavar if option else None) or "VALUE",
        help=((option.help if option else None) or text).strip(),
        flag_only=FLAG_ONLY in known,
        secret=SECRET in known,
    )


def user_file(named: Path | None = None) -> Path:
    """The file of settings: the one that is named by flag or environment, else the user's own. It may not exist."""
    if named is None and os.environ.get(FILE_VARIABLE):
        named = Path(os.environ[FILE_VARIABLE])
    if named is not None:
        return named.expanduser()
    from platformdirs import user_config_path

    return user_config_path("pumice", appauthor=False) / "config.toml"


def choose(
    kind: type[T],
    flags: Mapping[str, object],
    *,
    named: Path | None = None,
    rivals: Sequence[Collection[str]] = (),
    check: Callable[[T], object] | None = None,
) -> Chosen[T]:
    """Put the layers together.

    flags: fields given on the command line, already of the right types. named: the file to read in place of the
    user's own. rivals: fields of which at most one can be true; a stronger layer's choice drops a weaker one's.
    check: raises UsageError for a value that has the right type and makes no sense.

    Raises:
        UsageError: a value of environment or file is wrong; the message names the place, what is there and what
            should be. A file that was named does not exist.
    """
    file = user_file(named)
    required = named is not None or bool(os.environ.get(FILE_VARIABLE))
    values, origins = dict(flags), dict.fromkeys(flags, Origin("flag", "command line"))
    for setting, value, origin in (*_from_environment(kind), *_from_file(kind, file, required)):
        _check_alone(kind, setting, value, origin, check)
        others = {name for group in rivals if setting.field in group for name in group} - {setting.field}
        if setting.field in values or (value and any(values.get(name) for name in others)):
            continue
        values[setting.field], origins[setting.field] = value, origin
    default = Origin("default", "default")
    return Chosen(kind(**values), {each.field: origins.get(each.field, default) for each in settings_of(kind)}, file)


def _check_alone(
    kind: type[T], setting: Setting, value: object, origin: Origin, check: Callable[[T], object] | None
) -> None:
    if check is None:
        return
    try:
        check(kind(**{setting.field: value}))
    except UsageError as error:
        raise UsageError(f"{origin.place}: {error}", hint=error.hint) from error


def _settable(kind: type) -> dict[str, Setting]:
    return {each.key: each for each in settings_of(kind) if not each.flag_only}


def _from_environment(kind: type) -> Iterator[tuple[Setting, object, Origin]]:
    known = {each.variable: each for each in _settable(kind).values()}
    for name in sorted(os.environ):
        text = os.environ[name]
        if not name.startswith(PREFIX) or not text or name == FILE_VARIABLE:
            continue
        if name in known:
            origin = Origin("environment", name)
            yield known[name], _read(known[name], text, origin, is_text=True), origin
            continue
        near = nearest(name, [*known, FILE_VARIABLE], cutoff=0.85)
        if near is not None:  # others may have variables of their own, but not such similar ones
            raise UsageError(f"{name} is no setting", hint=did_you_mean(near, None))


def _from_file(kind: type, file: Path, required: bool) -> Iterator[tuple[Setting, object, Origin]]:
    known = _settable(kind)
    for key, value in _parsed(file, required).items():
        if key not in known:
            hint = did_you_mean(nearest(key, known), "`pumice config show` lists all settings")
            raise UsageError(f"{file}: {key!r} is no setting", hint=hint)
        origin = Origin("file", f"{file}: {key}")
        yield known[key], _read(known[key], value, origin, is_text=False), origin


def _parsed(file: Path, required: bool) -> Mapping[str, object]:
    try:
        text = text_of(file)
    except UsageError as error:
        if required or not isinstance(error.__cause__, FileNotFoundError):
            raise
        return {}
    return parse(text, str(file))


def text_of(file: Path) -> str:
    """What a file of settings says. Raises UsageError if there is none, or what is there cannot be read."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise UsageError(
            f"there is no file of settings {str(file)!r}", hint=f"pumice config init --config '{file}' writes one"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise UsageError(
            f"cannot read the settings in {str(file)!r}: {reason}",
            hint="settings are a text in TOML, UTF-8; `pumice config init --config FILE` writes one to begin with",
        ) from error


def parse(text: str, place: str) -> Mapping[str, object]:
    """The values of TOML. Raises UsageError, which names ``place``."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(
            f"{place} is not valid TOML: {error}", hint='a line looks like  model = "NAME"  or  temperature = 0.2'
        ) from error


def _read(setting: Setting, value: object, origin: Origin, *, is_text: bool) -> object:
    """``value`` as its field wants it."""
    try:
        return read_text(setting.kind, str(value)) if is_text else read_toml(setting.kind, value)
    except ValueError as error:
        found = MASK if setting.secret else repr(value)
        hint = "correct it, or unset it" if is_text else "correct it there, or remove the line"
        raise UsageError(f"{origin.place}: expected {expected(setting.kind)}, found {found}", hint=hint) from error
