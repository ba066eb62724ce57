"""``pumice chat``: questions line by line, answers streamed, the conversation kept."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import typer
from typer import Argument, Option

from pumice.cli import slash
from pumice.cli.dialogue import Dialogue
from pumice.cli.failures import report
from pumice.cli.line_reader import Reader, open_reader
from pumice.cli.mentions import find_mentions, without_mentions
from pumice.cli.output import note, note_limit, note_stats, note_warnings, note_writing, seen_as, waiting, write_answer
from pumice.cli.pictures import Picture, load_pictures
from pumice.cli.session import AnsweringEngine, Opener, open_answering
from pumice.cli.settings import Settings, with_settings
from pumice.cli.streams import cancelling
from pumice.engine.answer import Answer
from pumice.errors import PumiceError, UsageError

#: What an empty line asks when pictures wait.
SHOWN = "What is in this image?"


@dataclass(frozen=True)
class Manners:
    """What stands in front of a question and of an answer, and the last word.

    original: as llava.serve.cli, whose prompt is part of its output and which leaves at an empty line.
    """

    question: str = "> "
    answer: str = ""
    farewell: str = ""
    original: bool = False


LLAVA_TEMPLATE = "llava_v1"  # its system sentence differs by a word from the one of training, vicuna_v1
LLAVA = Manners("USER: ", "ASSISTANT: ", "exit...", original=True)


@with_settings
def chat(
    context: typer.Context,
    prompt: Annotated[str | None, Argument(help="The first question.")] = None,
    images: Annotated[
        list[str] | None, Option("--image", "-i", metavar="FILE|URL|clip:", help="A picture for it. Repeatable.")
    ] = None,
    jsonl: Annotated[
        bool, Option("--jsonl", help="Speak JSON, a request and an event per line (docs/protocol.md).")
    ] = False,
    at_once: Annotated[int, Option("--at-once", metavar="N", help="With --jsonl: answers under way together.")] = 4,
    *,
    settings: Settings,
) -> None:
    """Talk about pictures; /help lists the commands. Ctrl-D or the end of the input leaves.

    \b
    pumice chat -i photo.jpg
    pumice chat -m llava-hf/llava-1.5-7b-hf --4bit
    """
    opener: Opener = context.obj or open_answering
    if jsonl:
        if prompt is not None or images:
            raise UsageError("--jsonl takes its questions and pictures from stdin", hint="see docs/protocol.md")
        from pumice.cli.protocol import serve_lines

        serve_lines(settings, opener, at_once)
        return
    Chat(settings, Manners(), opener, images or []).run(prompt)


@with_settings
def llava_chat(
    context: typer.Context,
    images: Annotated[list[str] | None, Option("--image", "-i", metavar="FILE|URL", help="The picture.")] = None,
    *,
    settings: Settings,
) -> None:
    """Talk about a picture as the original's llava.serve.cli does."""
    opener: Opener = context.obj or partial(open_answering, guess=LLAVA_TEMPLATE)
    Chat(settings, LLAVA, opener, images or []).run(None)


class Chat:
    """One dialogue with a person, or with lines out of a pipe."""

    def __init__(self, settings: Settings, manners: Manners, opener: Opener, sources: list[str]) -> None:
        if "-" in sources:
            raise UsageError("a chat reads its questions from stdin, so a picture cannot come from there")
        if settings.no_input and sys.stdin.isatty():
            raise UsageError(
                "--no-input, but a chat at a terminal asks for questions", hint="pumice ask QUESTION, or pipe them in"
            )
        self._settings = settings
        self._manners = manners
        self.dialogue = Dialogue(settings.sampling(), settings.system)
        self.last: Answer | None = None
        first = load_pictures(sources, settings)
        with waiting("loading the model", settings):
            self._engine: AnsweringEngine = opener(settings)
        self._show(first)
        self._reader: Reader = open_reader(manners.original)

    @property
    def model(self) -> str:
        return self._engine.name

    def run(self, first: str | None) -> None:
        """Until the end of the input or ``/exit``."""
        note_warnings(self._engine, self._settings)
        after: slash.Next | None = slash.Next()
        line, failed = first, 0
        while after is None or not after.leave:
            if line is None:
                line = self._next_line(after.edit if after and after.edit else "")
            if line is None or (self._manners.original and not line.strip()):
                break
            try:
                after = self._respond(line.strip())
            except PumiceError as error:  # one turn has failed; the conversation stays as it was before it
                after, failed = None, report(error, with_traceback=self._settings.debug)
            line = None
        if self._manners.farewell:
            print(self._manners.farewell)
        if failed and not sys.stdin.isatty():
            raise typer.Exit(failed)  # nobody was there to see it

    def attach(self, sources: list[str]) -> None:
        """Add pictures to the next question, all or none."""
        self._show(load_pictures(sources, self._settings))

    def seen(self, picture: Picture, count: int) -> str:
        """What the model sees of ``picture``, one of ``count`` in the conversation."""
        return seen_as(self._engine.sees(*picture.pixels.size, alone=count == 1))

    def say(self, text: str) -> None:
        """To the person, also under ``--quiet``: it was asked for."""
        print(text, file=sys.stderr, flush=True)

    def _show(self, pictures: list[Picture]) -> None:
        count = len(pictures) + len(list(self.dialogue.pictures()))
        told = [f"+ {each.description}; {self.seen(each, count)}" for each in pictures]
        for line in told:
            note(line, self._settings)
        self.dialogue.waiting += pictures

    def _respond(self, line: str) -> slash.Next | None:
        found = slash.find(line)
        if found is None:
            self._ask(line)
            return None
        command, arguments = found
        after = command.run(self, arguments)
        if after is not None and after.question is not None:
            self._answer(after.question)
        return after

    def _ask(self, line: str) -> None:
        mentions = find_mentions(line)
        question = without_mentions(line, mentions, len(list(self.dialogue.pictures())))
        if mentions:
            self._attach_mentioned([each.source for each in mentions])
        if not question and not mentions and self.dialogue.waiting:
            question = SHOWN
        if question:
            self._answer(question)

    def _attach_mentioned(self, sources: list[str]) -> None:
        """Pictures that are named but cannot be had keep the question from being asked."""
        try:
            self.attach(sources)
        except PumiceError as error:
            hint = "nothing was asked; /text sends words as they are"
            raise type(error)(str(error), hint=f"{error.hint}; {hint}" if error.hint else hint) from error

    def _answer(self, question: str) -> None:
        asked = self.dialogue.asked(question)
        stream = self._engine.stream(asked, self.dialogue.options)
        with cancelling(stream.cancel):
            text = write_answer(stream, self._settings, prefix=self._manners.answer)
        self.last = answer = stream.answer
        note_stats(answer, self._settings)
        note_writing(answer, self._settings)
        note_limit(answer, self._settings, "/set max_tokens 1024 allows more")
        if text or answer.finish_reason != "cancelled":
            self.dialogue.answered(question, text.strip())

    def _next_line(self, default: str) -> str | None:
        """Ctrl-C wipes what was typed; the second in a row leaves."""
        try:
            return self._reader.read(self._manners.question, default=default)
        except KeyboardInterrupt:
            note("Ctrl-C again, or /exit, leaves", self._settings)
        return self._reader.read(self._manners.question)
