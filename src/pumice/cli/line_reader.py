"""Lines that a person types: with history, completion and several lines at a terminal; plain ones from a pipe."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from prompt_toolkit.completion import CompleteEvent, Completion
    from prompt_toolkit.document import Document

QUOTES = '"""'


class Reader(Protocol):
    """Where questions come from."""

    def read(self, prompt: str, *, default: str = "") -> str | None:
        """The next line, which may hold line breaks; None at the end. Raises KeyboardInterrupt for Ctrl-C."""


def open_reader(prompt_is_data: bool = False) -> Reader:
    """The reader that suits the streams. prompt_is_data: the prompt goes to stdout, whoever reads that."""
    at_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if at_terminal and not prompt_is_data and os.environ.get("TERM") != "dumb":
        return TerminalReader()
    return PlainReader(prompt_is_data)


class PlainReader:
    """Lines of stdin; triple quotes hold several together. The prompt goes to stderr, so that stdout stays clean."""

    def __init__(self, prompt_is_data: bool) -> None:
        self._prompt_is_data = prompt_is_data

    def read(self, prompt: str, *, default: str = "") -> str | None:
        line = self._line(prompt)
        if line is None or not line.lstrip().startswith(QUOTES):
            return line
        while line.count(QUOTES) < 2 and (more := self._line(". ")) is not None:
            line += more
        return unquoted(line)

    def _line(self, prompt: str) -> str | None:
        if self._prompt_is_data:
            print(prompt, end="", flush=True)
        elif sys.stdin.isatty():
            print(prompt, end="", file=sys.stderr, flush=True)
        return sys.stdin.readline() or None


class TerminalReader:
    """An editor in the terminal: history of earlier days, Tab for commands and paths, Alt-Enter for a new line."""

    def __init__(self) -> None:
        from prompt_toolkit import PromptSession

        self._session: PromptSession[str] = PromptSession(
            history=_history(),
            completer=_completer(),
            complete_while_typing=False,
            key_bindings=_keys(),
            multiline=True,
            prompt_continuation=". ",
            enable_open_in_editor=True,
        )

    def read(self, prompt: str, *, default: str = "") -> str | None:
        try:
            line = self._session.prompt(prompt, default=default)
        except EOFError:
            return None
        return unquoted(line) if line.lstrip().startswith(QUOTES) else line


def unquoted(text: str) -> str:
    """What stands between triple quotes."""
    inside = text.strip().removeprefix(QUOTES)
    return inside.removesuffix(QUOTES).strip("\n")


def history_file() -> Path:
    """Where typed lines are kept."""
    from platformdirs import user_state_path

    return user_state_path("pumice", appauthor=False) / "chat-history"


def _history() -> Any:
    """Of earlier chats, readable by nobody else; of this one alone if the disk refuses."""
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    path = history_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        path.chmod(0o600)
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(path))


def _keys() -> Any:
    """Enter sends, unless triple quotes are open or a completion is being chosen; Alt-Enter breaks the line."""
    from prompt_toolkit.key_binding import KeyBindings

    keys = KeyBindings()

    @keys.add("enter")
    def _(event: Any) -> None:
        buffer = event.current_buffer
        chosen = buffer.complete_state
        if chosen and chosen.current_completion:
            buffer.complete_state = None
        elif buffer.text.lstrip().startswith(QUOTES) and buffer.text.count(QUOTES) < 2:
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _(event: Any) -> None:
        event.current_buffer.insert_text("\n")

    return keys


def _completer() -> Any:
    from prompt_toolkit.completion import Completer

    class Words(Completer):
        def get_completions(self, document: Document, _: CompleteEvent) -> Iterable[Completion]:
            return complete(document.text_before_cursor)

    return Words()


def complete(text: str) -> Iterator[Completion]:
    """What may follow ``text``: a command's name, or a path, where one stands."""
    from prompt_toolkit.completion import Completion

    from pumice.cli.slash import COMMANDS

    head, space, rest = text.partition(" ")
    if text.startswith("/") and not space and "/" not in text[1:]:
        for name, command in COMMANDS.items():
            if name.startswith(text[1:]):
                yield Completion(f"/{name}", -len(text), display_meta=command.help)
        return
    typed = COMMANDS.get(head[1:]) if text.startswith("/") else None
    if typed is None or typed.paths:
        yield from _paths(text if typed is None else rest)


def _paths(text: str) -> Iterator[Completion]:
    """Files and folders that go on from the last word of ``text``, in its own way of writing spaces."""
    from prompt_toolkit.completion import Completion

    quote = next((q for q in "'\"" if text.count(q) % 2), "")
    word = text[text.rfind(quote) + 1 :] if quote else _last_word(text)
    if not word:
        return
    plain = word if quote or os.name == "nt" else word.replace("\\ ", " ")
    folder, begin = os.path.split(os.path.expanduser(plain))
    try:
        entries = sorted(os.scandir(folder or "."), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith(begin) and (begin or not entry.name.startswith(".")):
            name = entry.name + (os.sep if entry.is_dir() else "")
            shown = plain[: len(plain) - len(begin)] + name
            yield Completion(shown if quote else _escaped(shown), -len(word), display=name)


def _last_word(text: str) -> str:
    at = len(text)
    while at > 0 and (text[at - 1] != " " or text[at - 2 : at - 1] == "\\"):
        at -= 1
    return text[at:]


def _escaped(word: str) -> str:
    """As the line will be read: a space would end the path."""
    if os.name == "nt":
        return f'"{word}"' if " " in word else word
    return word.replace(" ", "\\ ")
