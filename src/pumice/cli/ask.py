"""``pumice ask``: one question, one answer or several, never a dialogue."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated
from uuid import uuid4

import typer
from typer import Argument, Option

from pumice.cli.failures import explain
from pumice.cli.output import (
    answer_facts,
    note,
    note_limit,
    note_stats,
    note_warnings,
    note_writing,
    waiting,
    write_answer,
)
from pumice.cli.overlays import Boxes, Drawings, Looked
from pumice.cli.pictures import Picture, load_pictures, piped_text
from pumice.cli.session import AnsweringEngine, AnswerStream, Opener, open_answering
from pumice.cli.settings import Settings, with_settings
from pumice.cli.structured import Schema, extract, read_schema, require_whole
from pumice.engine.answer import Answer
from pumice.errors import UsageError
from pumice.options import SamplingOptions
from pumice.prompts.conversation import Conversation

MOST = 64  # answers to one question
DESCRIBE = "Describe the image in detail."
DESCRIBE_SEVERAL = "Describe the images in detail."


@dataclass(frozen=True)
class Form:
    """How answers are printed: as text, one JSON object, or an event a line; the extract of each; how many."""

    as_json: bool = False
    as_events: bool = False
    extracted: bool = False
    count: int = 1

    def __post_init__(self) -> None:
        if self.as_json + self.as_events + self.extracted > 1:
            raise UsageError("--json, --jsonl and --extract exclude each other")
        if not 1 <= self.count <= MOST:
            raise UsageError(f"--n must be between 1 and {MOST}, found {self.count}")

    def check(self, options: SamplingOptions) -> None:
        """Raises UsageError where several answers would be one and the same."""
        if self.count > 1 and options.temperature == 0:
            raise UsageError(
                f"--n {self.count} at temperature 0 would give the same answer {self.count} times",
                hint="add --temperature 0.7",
            )


@with_settings
def ask(
    context: typer.Context,
    prompt: Annotated[
        str | None, Argument(help="The question. Piped text is added below it, or is the question itself.")
    ] = None,
    images: Annotated[
        list[str] | None,
        Option(
            "--image", "-i", metavar="FILE|URL|-|clip:", help="A picture; - is stdin, clip: the clipboard. Repeatable."
        ),
    ] = None,
    as_json: Annotated[bool, Option("--json", help="Print one JSON object instead of text.")] = False,
    as_events: Annotated[bool, Option("--jsonl", help="Print a JSON object a line, piece by piece.")] = False,
    schema: Schema = None,
    boxes: Boxes = None,
    look: Looked = None,
    extracted: Annotated[
        bool, Option("--extract", "-x", help="Print only the first fenced block of the answer, or the JSON in it.")
    ] = False,
    count: Annotated[int, Option("--n", metavar="N", help="Answers; with --seed S their seeds are S, S+1, ...")] = 1,
    *,
    settings: Settings,
) -> None:
    """Ask one question about pictures and print the answer.

    \b
    pumice ask -i photo.jpg "What is unusual here?"
    pumice ask -i before.png -i after.png "What has changed?"
    pumice ask -i receipt.jpg --schema receipt.schema.json "Read the receipt."
    curl -s https://example.org/cat.jpg | pumice ask -i - "Which animal is this?"
    """
    form = Form(as_json, as_events, extracted, count)
    options = replace(settings.sampling(), schema=read_schema(schema, here=settings.server is None))
    form.check(options)
    pictures = load_pictures(images or [], settings)
    words = "" if prompt in (None, "-") else prompt or ""
    question = words if "-" in (images or []) else _joined(words, piped_text(settings))
    if not question.strip():
        missing = "the question is missing" if prompt is None else "the question is empty"
        raise UsageError(missing, hint='pumice ask -i photo.jpg "What is this?"')
    if not pictures and sys.stderr.isatty():
        note("no picture: -i adds one", settings)
    answer_question(
        Question(question, pictures), options, form, Drawings(boxes, look), settings, context.obj or open_answering
    )


@with_settings
def describe(
    context: typer.Context,
    images: Annotated[
        list[str], Argument(metavar="FILE|URL|-|clip:", help="A picture, or several to look at together.")
    ],
    as_json: Annotated[bool, Option("--json", help="Print one JSON object instead of text.")] = False,
    look: Looked = None,
    *,
    settings: Settings,
) -> None:
    """Describe pictures in detail: short for pumice ask "Describe the image in detail."

    \b
    pumice describe photo.jpg
    """
    pictures = load_pictures(images, settings)
    question = Question(DESCRIBE if len(pictures) == 1 else DESCRIBE_SEVERAL, pictures)
    opener: Opener = context.obj or open_answering
    answer_question(question, settings.sampling(), Form(as_json), Drawings(None, look), settings, opener)


@dataclass(frozen=True)
class Question:
    """What is asked, and the pictures that stand before it."""

    text: str
    pictures: list[Picture]

    def conversation(self, system: str | None) -> Conversation:
        return Conversation.ask(self.text, tuple(picture.part for picture in self.pictures), system=system)


def answer_question(
    question: Question, options: SamplingOptions, form: Form, drawings: Drawings, settings: Settings, opener: Opener
) -> None:
    """Load the model, ask, print in ``form``, and draw what was wished."""
    drawings.check(question.pictures, form.count, elsewhere=settings.server is not None)
    with waiting("loading the model", settings):
        engine = opener(settings)
    note_warnings(engine, settings)
    conversation = question.conversation(settings.system)
    about = _about(engine, question.pictures)
    if form.as_events:
        answers = _print_events(about, engine, conversation, options, form, settings)
        drawings.draw(engine, conversation, answers[0], question.pictures, settings)
        return
    streams = [engine.stream(conversation, each) for each in _seeded(options, form.count)]
    if form.as_json:
        answers = [_finished(stream, options) for stream in streams]
        print(json.dumps(_report(about, answers), ensure_ascii=False))
    else:
        answers = list(_print_texts(streams, options, form, settings))
    for answer in answers:
        note_stats(answer, settings)
        note_writing(answer, settings)
        note_limit(answer, settings, "--max-tokens allows more")
    drawings.draw(engine, conversation, answers[0], question.pictures, settings)


def _joined(prompt: str, piped: str) -> str:
    return f"{prompt}\n\n{piped}" if prompt and piped else prompt or piped


def _seeded(options: SamplingOptions, count: int) -> list[SamplingOptions]:
    """For each answer its options: the seeds follow each other, if one was given."""
    if options.seed is None:
        return [options] * count
    return [replace(options, seed=options.seed + index) for index in range(count)]


def _finished(stream: AnswerStream, options: SamplingOptions) -> Answer:
    for _ in stream:
        pass
    require_whole(stream.answer, options.schema)
    return stream.answer


def _print_texts(
    streams: list[AnswerStream], options: SamplingOptions, form: Form, settings: Settings
) -> Iterator[Answer]:
    """Answers below each other, with an empty line between them unless each is one line of JSON.

    What could turn out to be worthless is printed only when it is whole.
    """
    for index, stream in enumerate(streams):
        if index and options.schema is None:
            print()
        if form.extracted or options.schema is not None:
            with waiting("thinking", settings):
                answer = _finished(stream, options)
            write_answer([extract(answer.text) if form.extracted else answer.text], settings)
        else:
            write_answer(stream, settings)
            answer = stream.answer
        yield answer


def _print_events(
    about: Mapping[str, object],
    engine: AnsweringEngine,
    conversation: Conversation,
    options: SamplingOptions,
    form: Form,
    settings: Settings,
) -> list[Answer]:
    """One event a line: ``start``, for each answer ``delta``s and ``end``, and ``error`` where it goes wrong."""
    _event("start", about)
    label: dict[str, object] = {"id": about["id"]}
    answers: list[Answer] = []
    try:
        for index, stream in enumerate([engine.stream(conversation, each) for each in _seeded(options, form.count)]):
            label["index"] = index
            for delta in stream:
                if delta:
                    _event("delta", label | {"text": delta})
            require_whole(stream.answer, options.schema)
            _event("end", label | answer_facts(stream.answer))
            note_stats(stream.answer, settings)
            note_writing(stream.answer, settings)
            answers.append(stream.answer)
    except Exception as error:
        if not isinstance(error, BrokenPipeError):
            _event("error", label | {"error": explain(error).facts()})
        raise
    return answers


def _event(kind: str, values: Mapping[str, object]) -> None:
    print(json.dumps({"type": kind, **values}, ensure_ascii=False), flush=True)


def _about(engine: AnsweringEngine, pictures: list[Picture]) -> dict[str, object]:
    """What holds for all answers to a question."""
    return {
        "id": f"answer-{uuid4().hex}",
        "model": engine.name,
        "images": [picture.facts() for picture in pictures],
        "warnings": list(engine.warnings),
    }


def _report(about: Mapping[str, object], answers: list[Answer]) -> dict[str, object]:
    """The one object of ``--json``; of several answers, each is an object of the list ``answers``."""
    if len(answers) > 1:
        return {**about, "answers": [answer_facts(answer) for answer in answers]}
    values = {**about, **answer_facts(answers[0])}
    order = ("id", "model", "text", "finish_reason", "usage", "images", "timings", "seed", "warnings")
    return {name: values.pop(name) for name in order} | values
