"""``pumice chat``: questions line by line, answers streamed, the conversation kept."""

from __future__ import annotations

import os
import re
import shlex
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from typing import Annotated

import typer
from typer import Argument, Option

from pumice.cli.failures import report
from pumice.cli.output import note, note_stats, note_warnings, waiting, write_answer
from pumice.cli.pictures import load_pictures
from pumice.cli.session import AnsweringEngine, Opener, open_engine
from pumice.cli.settings import Settings, with_settings
from pumice.cli.streams import cancelling
from pumice.errors import PumiceError, UsageError
from pumice.prompts.conversation import Conversation, Image

HELP = """\
/image FILE|URL ...  add pictures to the next question
/clear               forget the conversation and its pictures
/help                show this
/exit                leave; so does an empty line
Ctrl-C stops an answer; at the prompt it leaves."""

_COMMAND = re.compile(r"/[a-z]+(?=\s|$)")


@dataclass(frozen=True)
class Manners:
    """What stands in front of a question and of an answer, and the last word. ``always``: also when nobody types."""

    question: str = "> "
    answer: str = ""
    farewell: str = ""
    always: bool = False


LLAVA_TEMPLATE = "llava_v1"  # its system sentence differs by a word from the one of training, vicuna_v1
LLAVA = Manners("USER: ", "ASSISTANT: ", "exit...", always=True)


@with_settings
def chat(
    context: typer.Context,
    prompt: Annotated[str | None, Argument(help="The first question.")] = None,
    images: Annotated[
        list[str] | None, Option("--image", "-i", metavar="FILE|URL", help="A picture for it. Repeatable.")
    ] = None,
    *,
    settings: Settings,
) -> None:
    """Talk about pictures. An empty line or the end of the input leaves; /help lists the commands."""
    Chat(settings, Manners(), context.obj or open_engine, images or []).run(prompt)


@with_settings
def llava_chat(
    context: typer.Context,
    images: Annotated[list[str] | None, Option("--image", "-i", metavar="FILE|URL", help="The picture.")] = None,
    *,
    settings: Settings,
) -> None:
    """Talk about a picture as the original's llava.serve.cli does."""
    opener: Opener = context.obj or partial(open_engine, guess=LLAVA_TEMPLATE)
    Chat(settings, LLAVA, opener, images or []).run(None)


class Chat:
    """One dialogue: what was said, and the pictures that wait for the next question."""

    def __init__(self, settings: Settings, manners: Manners, opener: Opener, sources: list[str]) -> None:
        if "-" in sources:
            raise UsageError("a chat reads its questions from stdin, so a picture cannot come from there")
        self._settings = settings
        self._manners = manners
        self._options = settings.sampling()
        self._waiting = self._load(sources)
        self._said = Conversation(system=settings.system)
        with waiting("loading the model", settings):
            self._engine: AnsweringEngine = opener(settings)

    def run(self, first: str | None) -> None:
        """Until an empty line, the end of the input or ``/exit``."""
        note_warnings(self._engine, self._settings)
        line = first if first is not None else self._next_line()
        failed = 0
        while line is not None and line.strip() not in ("", "/exit"):
            try:
                self._respond(line.strip())
            except PumiceError as error:  # one turn has failed; the conversation stays as it was before it
                failed = report(error, with_traceback=self._settings.debug)
            line = self._next_line()
        if self._manners.farewell:
            print(self._manners.farewell)
        if failed and not sys.stdin.isatty():
            raise typer.Exit(failed)  # nobody was there to see it

    def _respond(self, line: str) -> None:
        command = _COMMAND.match(line)
        if command is None:
            self._answer(line)
        elif command[0] == "/image":
            self._waiting += self._load(_words(line[command.end() :]))
        elif command[0] == "/clear":
            self._said, self._waiting = replace(self._said, turns=()), ()
        elif command[0] == "/help":
            print(HELP, file=sys.stderr)
        else:
            raise UsageError(f"no command {command[0]}", hint="/help lists the commands")

    def _answer(self, question: str) -> None:
        asked = self._said.then_ask(question, self._waiting)
        stream = self._engine.stream(asked, self._options)
        with cancelling(stream.cancel):
            text = write_answer(stream, self._settings, prefix=self._manners.answer)
        answer = stream.answer
        note_stats(answer, self._settings)
        if text or answer.finish_reason != "cancelled":
            self._said, self._waiting = asked.then_answer(text.strip()), ()

    def _load(self, sources: list[str]) -> tuple[Image, ...]:
        pictures = load_pictures(sources, self._settings)
        for picture in pictures:
            note(f"+ {picture.description}", self._settings)
        return tuple(picture.part for picture in pictures)

    def _next_line(self) -> str | None:
        """None at the end of the input. The prompt is for people: stdout stays clean when it goes elsewhere."""
        if sys.stdin.isatty() and sys.stdout.isatty():
            with suppress(ImportError):  # Windows has none
                import_module("readline")  # makes input() editable
            try:
                return input(self._manners.question)
            except EOFError:
                print(file=sys.stderr)
                return None
        if self._manners.always:
            print(self._manners.question, end="", flush=True)
        elif sys.stdin.isatty():
            print(self._manners.question, end="", file=sys.stderr, flush=True)
        return sys.stdin.readline() or None


def _words(text: str) -> list[str]:
    """Sources as a shell would split them, so that a dropped file's quotes and backslashes work."""
    try:
        words = [os.path.expanduser(word) if word.startswith("~") else word for word in shlex.split(text)]
    except ValueError as error:
        raise UsageError(f"/image: {error}", hint="/image 'my photo.jpg'") from None
    if not words:
        raise UsageError("/image needs a file or a URL", hint="/image photo.jpg")
    return words
