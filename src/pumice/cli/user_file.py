"""The user's file of settings: what a fresh one says, and how one value in it is changed."""

from __future__ import annotations

import json
import re
from pathlib import Path

from pumice.cli.kinds import expected
from pumice.cli.preferences import Setting, parse, settings_of, text_of, user_file
from pumice.cli.settings import Settings
from pumice.errors import UsageError
from pumice.files import fresh_file

_TOP = """\
# Settings of Pumice. A line counts once the # in front of it is gone.
# A flag comes first, then the environment, then this file. `pumice config show` says what holds, and why.
"""


def fresh_text() -> str:
    """A file in which every setting stands, explained, and none is set."""
    return "\n".join([_TOP, *(_explained(each) for each in settings_of(Settings) if not each.flag_only)])


def _explained(setting: Setting) -> str:
    names = ", ".join([*setting.flags, setting.variable])
    example = setting.default if setting.default is not None else _example(setting)
    return f"# {setting.help}\n# {expected(setting.kind).capitalize()}. {names}\n# {setting.key} = {_toml(example)}\n"


def _example(setting: Setting) -> object:
    kind = expected(setting.kind)
    return [setting.metavar] if kind.startswith("a list") else setting.metavar if kind == "a text" else 0


def _toml(value: object) -> str:
    """A value as TOML writes it; JSON does the same for texts, numbers, truth and lists of these."""
    return json.dumps(value, ensure_ascii=False)


def write_fresh(named: Path | None, *, overwrite: bool) -> Path:
    """Write ``fresh_text`` to the user's file, or the one that is named. Raises UsageError if it exists."""
    file = user_file(named)
    with fresh_file(file, overwrite=overwrite) as stream:
        stream.write(fresh_text().encode())
    return file


def set_value(key: str, value: object, named: Path | None = None) -> Path:
    """Change one setting in the user's file, or add it, and leave every other line as it is.

    Raises:
        UsageError: the file is no TOML, or written such that the line cannot be found safely.
    """
    file = user_file(named)
    before = text_of(file) if file.exists() else fresh_text()
    parse(before, str(file))
    line = f"{key} = {_toml(value)}"
    after, count = re.subn(rf"(?m)^{re.escape(key)}[ \t]*=.*$", lambda _: line, before, count=1)
    if not count:  # below the line that explains it, if that is there
        after, count = re.subn(rf"(?m)^# {re.escape(key)} = .*$", lambda found: f"{found[0]}\n{line}", before, count=1)
    after = after if count else f"{line}\n{before}"
    if dict(parse(after, str(file))) != {**parse(before, str(file)), key: value}:
        raise UsageError(f"{file} sets {key!r} in a way that cannot be changed from here", hint=f"write there: {line}")
    with fresh_file(file, overwrite=True) as stream:
        stream.write(after.encode())
    return file
