"""``pumice ask``: one question, one answer, never a dialogue."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated
from uuid import uuid4

import typer
from typer import Argument, Option

from pumice.cli.output import note_stats, note_warnings, waiting, write_answer
from pumice.cli.pictures import Picture, load_pictures, piped_text
from pumice.cli.session import AnsweringEngine, AnswerStream, Opener, open_engine
from pumice.cli.settings import Settings, with_settings
from pumice.engine.answer import Answer
from pumice.errors import UsageError
from pumice.prompts.conversation import Conversation


@with_settings
def ask(
    context: typer.Context,
    prompt: Annotated[str, Argument(help="The question. Piped text is added below it.")],
    images: Annotated[
        list[str] | None,
        Option("--image", "-i", metavar="FILE|URL|-", help="A picture; - reads it from stdin. Repeatable."),
    ] = None,
    as_json: Annotated[bool, Option("--json", help="Print one JSON object instead of text.")] = False,
    *,
    settings: Settings,
) -> None:
    """Ask one question about pictures and print the answer.

    \b
    pumice ask -i photo.jpg "What is unusual here?"
    pumice ask -i before.png -i after.png "What has changed?"
    curl -s https://example.org/cat.jpg | pumice ask -i - "Which animal is this?"
    """
    options = settings.sampling()
    pictures = load_pictures(images or [], settings)
    question = prompt if "-" in (images or []) else _joined(prompt, piped_text(settings))
    if not question.strip():
        raise UsageError("the question is empty", hint='pumice ask -i photo.jpg "What is this?"')
    opener: Opener = context.obj or open_engine
    with waiting("loading the model", settings):
        engine = opener(settings)
    note_warnings(engine, settings)
    conversation = Conversation.ask(question, tuple(picture.part for picture in pictures), system=settings.system)
    stream = engine.stream(conversation, options)
    if as_json:
        answer = _finished(stream)
        print(json.dumps(_report(engine, answer, pictures), ensure_ascii=False))
    else:
        write_answer(stream, settings)
        answer = stream.answer
    note_stats(answer, settings)


def _joined(prompt: str, piped: str) -> str:
    return f"{prompt}\n\n{piped}" if piped else prompt


def _finished(stream: AnswerStream) -> Answer:
    for _ in stream:
        pass
    return stream.answer


def _report(engine: AnsweringEngine, answer: Answer, pictures: list[Picture]) -> dict[str, object]:
    """The one object of ``--json``."""
    return {
        "id": f"answer-{uuid4().hex}",
        "model": engine.name,
        "text": answer.text,
        "finish_reason": answer.finish_reason,
        "usage": asdict(answer.usage),
        "images": [picture.facts() for picture in pictures],
        "timings": asdict(answer.timings),
        "seed": answer.seed,
        "warnings": list(engine.warnings),
    }
