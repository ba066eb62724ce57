"""The command ``pumice``: the table of commands, and the one place that turns errors into words and exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import takewhile
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from pumice import __version__
from pumice.cli.completion import teach_completion
from pumice.cli.failures import report
from pumice.cli.settings import modern_flags
from pumice.cli.streams import process_manners, silence_stdout

if TYPE_CHECKING:
    from pumice.cli.session import Opener

# name: (module, function). A command's file is imported when the command runs or help is shown.
COMMANDS = {
    "ask": ("pumice.cli.ask", "ask"),
    "batch": ("pumice.cli.batch", "batch"),
    "describe": ("pumice.cli.ask", "describe"),
    "chat": ("pumice.cli.chat", "chat"),
    "convert": ("pumice.cli.convert", "convert"),
    "quantize": ("pumice.cli.quantize", "quantize"),
    "train": ("pumice.cli.train", "train"),
    "estimate": ("pumice.cli.estimate", "estimate"),
    "controller": ("pumice.cli.controller", "controller"),
    "models": ("pumice.cli.models", "models"),
    "serve": ("pumice.cli.serve", "serve"),
    "api": ("pumice.cli.api", "api"),
    "web": ("pumice.cli.web", "web"),
    "worker": ("pumice.cli.worker", "worker"),
    "doctor": ("pumice.cli.doctor", "doctor"),
    "config": ("pumice.cli.config", "config"),
    "data": ("pumice.cli.data", "data"),
    "generate": ("pumice.cli.generate", "generate"),
    "evaluate": ("pumice.cli.evaluate", "evaluate"),
    "slack": ("pumice.cli.slack", "slack"),
    "keys": ("pumice.cli.keys", "keys"),
    "completion": ("pumice.cli.completion", "completion"),
}
# Commands that have commands of their own. One of these may be found under two names.
GROUPS = {
    "data": {
        "convert": ("pumice.cli.data", "convert"),
        "doctor": ("pumice.cli.data", "doctor"),
        "balance": ("pumice.cli.data", "balance"),
    },
    "evaluate": {
        "run": ("pumice.cli.evaluate", "run"),
        "tasks": ("pumice.cli.evaluate", "tasks"),
        "score": ("pumice.cli.evaluate", "score"),
        "compare": ("pumice.cli.evaluate", "compare"),
        "report": ("pumice.cli.evaluate", "report"),
        "pope-questions": ("pumice.cli.pope_questions", "pope_questions"),
    },
    "models": {
        "list": ("pumice.cli.models", "list_models"),
        "pull": ("pumice.cli.models", "pull"),
        "info": ("pumice.cli.models", "info"),
        "verify": ("pumice.cli.models", "verify"),
        "convert": ("pumice.cli.convert", "convert"),
        "rm": ("pumice.cli.models", "rm"),
        "default": ("pumice.cli.models", "default"),
    },
    "keys": {
        "create": ("pumice.cli.keys", "create"),
        "list": ("pumice.cli.keys", "list_keys"),
        "revoke": ("pumice.cli.keys", "revoke"),
    },
    "config": {
        "show": ("pumice.cli.config", "show"),
        "init": ("pumice.cli.config", "init"),
        "path": ("pumice.cli.config", "path"),
    },
}
# Run by other doors than this one's help.
HIDDEN = {
    "llava-chat": ("pumice.cli.chat", "llava_chat"),
    "llava-register-worker": ("pumice.cli.originals", "register_worker"),
    "llava-test-message": ("pumice.cli.originals", "test_message"),
    "manual": ("pumice.cli.manual", "manual"),
}

EXIT_CODES = """
\b
Exit codes:
    0  all went well
    1  internal error, or nothing found (ask -x)
    2  the command line makes no sense
    3  model not found, incomplete or unsupported
    4  picture cannot be read, or its URL is blocked
    5  server unreachable or overloaded
    6  not enough memory
    7  key missing or wrong
  130  interrupted (Ctrl-C)
  141  nobody reads standard output any more
  143  terminated
"""


_HELP = {"help_option_names": ["-h", "--help"]}


def _function(place: tuple[str, str]) -> Callable[..., None]:
    module, name = place
    found: Callable[..., None] = getattr(import_module(module), name)
    return found


class LazyGroup(TyperGroup):
    """Finds commands in the table above instead of holding them."""

    def list_commands(self, ctx: object) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: object, cmd_name: str) -> TyperCommand | TyperGroup | None:
        if cmd_name not in self.commands:
            home = COMMANDS.get(cmd_name) or HIDDEN.get(cmd_name)
            if home is None:
                for name in COMMANDS:  # typer looks for close matches among those that are loaded
                    self.get_command(ctx, name)
                return None
            single = typer.Typer(add_completion=False, rich_markup_mode=None)
            if cmd_name in GROUPS:
                single.callback(epilog=EXIT_CODES)(_function(home))
                for name, place in GROUPS[cmd_name].items():
                    single.command(name, epilog=EXIT_CODES)(_function(place))
            else:
                single.command(cmd_name, epilog=EXIT_CODES)(_function(home))
            self.add_command(get_command(single), cmd_name)
        command = self.commands[cmd_name]
        assert isinstance(command, TyperCommand | TyperGroup)
        return command


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"pumice {__version__}")
        raise typer.Exit


def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Ask questions about images on your own hardware, and make the model yours."""


def _spelled_out(words: list[str]) -> list[str]:
    """A group's command ``run`` may be left out: ``pumice evaluate pope`` is ``pumice evaluate run pope``."""
    commands = GROUPS.get(words[0], {}) if words else {}
    if "run" in commands and len(words) > 1 and words[1] not in {*commands, *_HELP["help_option_names"]}:
        return [words[0], "run", *words[1:]]
    return words


def _run(words: list[str], opener: Opener | None) -> int:
    teach_completion()  # of typer's own flags for completion, `pumice completion` takes the place
    application = typer.Typer(
        cls=LazyGroup,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings=_HELP,
    )
    application.callback(epilog=EXIT_CODES)(_top)
    try:
        code = get_command(application).main(words or ["--help"], "pumice", standalone_mode=False, obj=opener)
    except SystemExit as stop:  # typer's answer to a closed pipe
        if isinstance(stop.__context__, BrokenPipeError):
            raise stop.__context__ from None
        raise
    return code if isinstance(code, int) else 0


def main(argv: Sequence[str] | None = None, opener: Opener | None = None) -> int:
    """Runs one command line (default: the process's own) and returns its exit code.

    opener: how to get an engine; None loads the real one.
    """
    words = _spelled_out(modern_flags(sys.argv[1:] if argv is None else argv))
    flags = set(takewhile(lambda word: word != "--", words))
    with process_manners():
        try:
            code = _run(words, opener)
            sys.stdout.flush()
        except BrokenPipeError:
            silence_stdout()
            return 141
        except KeyboardInterrupt:
            return 130
        except Exception as error:
            return report(error, as_json=bool(flags & {"--json", "--jsonl"}), with_traceback="--debug" in flags)
    return code
