"""``pumice batch``: one question about each of many pictures, or many questions; a line of JSON for each answer."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from pumice.cli.counting import counting
from pumice.cli.failures import explain
from pumice.cli.output import note, note_warnings, waiting
from pumice.cli.pictures import load_pictures
from pumice.cli.results import Results
from pumice.cli.session import AnsweringEngine, AnswerStream, Opener, open_answering
from pumice.cli.settings import Settings, with_settings
from pumice.cli.structured import Schema, read_schema, require_whole
from pumice.cli.tasks import Task, read_tasks
from pumice.cli.together import answers_in_order
from pumice.engine.answer import Answer
from pumice.errors import ImageError, UsageError
from pumice.options import SamplingOptions
from pumice.prompts.conversation import Conversation

MOST_JOBS = 256


@with_settings
def batch(
    context: typer.Context,
    source: Annotated[str, Argument(help="A folder, a pattern in quotes, or a JSONL file.", metavar="DIR|GLOB|JSONL")],
    prompt: Annotated[str | None, Argument(help="The question, for whatever has none of its own.")] = None,
    *,
    out: Annotated[Path, Option("--out", "-o", metavar="FILE", help="The JSONL file to write.")],
    jobs: Annotated[int, Option("--jobs", "-j", metavar="N", help="Answers that are made together.")] = 8,
    recursive: Annotated[bool, Option("--recursive", "-r", help="Also pictures in folders in the folder.")] = False,
    resume: Annotated[bool, Option("--resume", help="Go on with FILE where it ends.")] = False,
    retry: Annotated[bool, Option("--retry-errors", help="With --resume: do errors again.")] = False,
    overwrite: Annotated[bool, Option("--overwrite", help="Replace FILE if it exists.")] = False,
    schema: Schema = None,
    settings: Settings,
) -> None:
    """Ask about many pictures, and write a line of JSON for each.

    A line of a JSONL file holds prompt, image or images, and perhaps id and system; paths count from where the file
    is. Lines are written in the order of the questions. What cannot be read or answered becomes a line whose error
    says why; the rest goes on. Exit code: 0 if every line is an answer, 4 if pictures could not be read, else that of
    the first other error.

    \b
    pumice batch photos -o out.jsonl "Describe the picture."
    pumice batch 'photos/**/*.jpg' -o out.jsonl --schema photo.schema.json "What is it?"
    pumice batch questions.jsonl -o answers.jsonl --resume
    """
    if not 1 <= jobs <= MOST_JOBS:
        raise UsageError(f"--jobs must be between 1 and {MOST_JOBS}, found {jobs}")
    if overwrite and resume:
        raise UsageError("--resume and --overwrite exclude each other")
    if retry and not resume:
        raise UsageError("--retry-errors goes with --resume")
    options = replace(settings.sampling(), schema=read_schema(schema, here=settings.server is None))
    tasks = read_tasks(source, prompt, system=settings.system, recursive=recursive)
    made_with = _made_with(settings, options, prompt)
    with Results(out).opened() as results:
        if resume:
            results.resume(made_with, retry=retry)
        else:
            results.require_free(Path(source), overwrite=overwrite)
        left = [task for task in tasks if not results.has(task.id)]
        if left:
            engine = _opened(context.obj or open_answering, jobs, settings)
            if not resume:  # what is replaced is there until a model has been found
                results.begin(made_with)
            with counting(len(tasks), len(tasks) - len(left), settings) as counted:
                _answer_all(engine, left, options, results, counted, settings)
    errors = len(results.codes)
    note(f"{out}: {len(results.done)} lines; answers: {len(results.done) - errors}, errors: {errors}", settings)
    if errors:
        others = [code for code in results.codes if code != ImageError.exit_code]
        raise typer.Exit(others[0] if others else ImageError.exit_code)


def _opened(opener: Opener, jobs: int, settings: Settings) -> AnsweringEngine:
    with waiting("loading the model", settings):
        engine = opener(settings)
    note_warnings(engine, settings)
    engine.most = jobs
    return engine


def _made_with(settings: Settings, options: SamplingOptions, prompt: str | None) -> dict[str, object]:
    """What an answer depends on; the pictures themselves may become more."""
    model = settings.model
    if model is not None and settings.server is None and Path(model).exists():
        model = str(Path(model).resolve())
    named = ("server", "base", "vision_tower", "template", "system", "dtype", "bits", "kv_8bit", "text_in_images")
    sampling = {**asdict(options), "stop": list(options.stop)}
    return {"model": model, **{name: getattr(settings, name) for name in named}, **sampling, "prompt": prompt}


def _line(task: Task, found: Answer | Exception, schema: str | None) -> dict[str, Any]:
    """What is written about one question."""
    line: dict[str, Any] = {"id": task.id, "images": list(task.images), "prompt": task.prompt}
    try:
        if isinstance(found, Exception):
            raise found
        require_whole(found, schema)
    except Exception as error:
        nothing = {"text": None, "finish_reason": None, "usage": None, "seed": None}
        return {**line, **nothing, "error": explain(error).facts()}
    made = {"text": found.text, "finish_reason": found.finish_reason, "usage": asdict(found.usage)}
    writing = {} if found.changed_by_writing is None else {"changed_by_writing": found.changed_by_writing}
    return {**line, **made, "seed": found.seed, **writing, "error": None}


def _answer_all(
    engine: AnsweringEngine,
    tasks: Iterable[Task],
    options: SamplingOptions,
    results: Results,
    counted: Callable[[int], None],
    settings: Settings,
) -> None:
    """Lines in the order of ``tasks``."""
    began, tokens = time.monotonic(), 0

    def begin(task: Task) -> AnswerStream:
        pictures = load_pictures(list(task.places), settings)
        conversation = Conversation.ask(task.prompt, tuple(each.part for each in pictures), system=task.system)
        return engine.stream(conversation, options)

    for task, found in answers_in_order(begin, tasks, engine.most):
        line = _line(task, found, options.schema)
        results.add(line)
        counted(len(results.codes))
        tokens += line["usage"]["completion_tokens"] if line["usage"] else 0
    if settings.stats:
        seconds = time.monotonic() - began
        print(f"stats: {tokens} tokens in {seconds:.2f} s, {tokens / seconds:.1f} tokens/s", file=sys.stderr)
