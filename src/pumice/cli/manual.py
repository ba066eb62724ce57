"""``pumice manual``: the reference of all commands, in Markdown, made from the commands themselves.

``pumice manual > docs/cli.md`` writes the page again; a test compares the two.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from inspect import cleandoc

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from pumice.cli.kinds import expected
from pumice.cli.main import COMMANDS, EXIT_CODES, LazyGroup
from pumice.cli.preferences import FILE_VARIABLE, Setting, settings_of
from pumice.cli.settings import LEGACY_FLAGS, Settings

_TOP = """\
# The command line

<!-- Made by `pumice manual > docs/cli.md`. Change the commands, not this page. -->

`pumice COMMAND --help` shows the same on a terminal. Answers and data go to standard output, everything else to
standard error; `--json` prints one object, and then errors are objects, too.
"""

_SETTINGS = f"""\
## Settings

A flag comes first, then the environment, then the user's file, then the default. `pumice config show` prints what holds
and why, `pumice config path` the file, `pumice config init` writes one with everything explained. The file is TOML with
the keys below; `--config FILE` or `{FILE_VARIABLE}` names another one. A file in the current folder is never read by
itself. An empty variable counts as none; a list is written as JSON (`PUMICE_STOP='["A", "B"]'`), a single
entry as it is. A variable of truth is `1` or `0`, `true` or `false`: with `0` it undoes what the file says.
"""


def manual() -> None:
    """Print the reference of all commands in Markdown."""
    print("\n".join(_page()), end="")


def _page() -> Iterator[str]:
    group = LazyGroup(name="pumice")
    top = typer.Context(group, info_name="pumice")
    yield _TOP
    for name in COMMANDS:
        command = group.get_command(top, name)
        assert command is not None
        yield from _section(command, typer.Context(command, info_name=name, parent=top), "##")
    yield _SETTINGS
    yield from _table(
        ("key", "variable", "flag", "value", "default"),
        [_setting(each) for each in settings_of(Settings) if not each.flag_only],
    )
    yield "## Exit codes\n"
    rows = [line.strip().partition("  ") for line in EXIT_CODES.splitlines() if line.strip()[:1].isdigit()]
    yield from _table(("code", "meaning"), [(code, meaning.strip()) for code, _, meaning in rows])
    yield "## Flags of the original\n"
    yield "Understood wherever ours are, and shown nowhere else.\n"
    yield from _table(("original", "ours"), [(f"`{old}`", f"`{new}`") for old, new in LEGACY_FLAGS.items()])


def _section(command: TyperCommand | TyperGroup, context: typer.Context, level: str) -> Iterator[str]:
    pieces = " ".join(command.collect_usage_pieces(context))
    yield f"{level} {context.command_path}\n"
    yield f"```text\n{context.command_path} {pieces}\n```\n"
    yield from _prose(command.help or "")
    for title, kind in (("argument", TyperArgument), ("option", TyperOption)):
        records = [each.get_help_record(context) for each in command.params if isinstance(each, kind)]
        rows = [(f"`{' '.join(names.split())}`", text) for names, text in filter(None, records)]
        if rows:
            yield from _table((title, ""), rows)
    if isinstance(command, TyperGroup):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert isinstance(inner, TyperCommand | TyperGroup)
            yield from _section(inner, typer.Context(inner, info_name=name, parent=context), level + "#")


def _prose(text: str) -> Iterator[str]:
    """Paragraphs; one that must keep its lines, behind a backspace, is an example."""
    for paragraph in cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b"):
            yield f"```text\n{cleandoc(paragraph[1:].strip(chr(10)))}\n```\n"
        else:
            yield paragraph.strip() + "\n"


def _setting(setting: Setting) -> tuple[str, ...]:
    flags = ", ".join(f"`{flag}`" for flag in setting.flags)
    default = "" if setting.default is None else f"`{json.dumps(setting.default)}`"
    value = f"{expected(setting.kind)}{', shown masked' if setting.secret else ''}"
    return f"`{setting.key}`", f"`{setting.variable}`", flags, value, default


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    lines = [head, tuple("---" for _ in head), *rows]
    yield "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in each) + " |" for each in lines) + "\n"
