"""``pumice batch``: one question about each of many pictures, or many questions; a line of JSON for each answer."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
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
from pumice.errors import ImageError, UsageError
from pumice.options import SamplingOptions
from pumice.prompts.conversation import Conversation

#: Threads that read pictures while the model works, and how many questions each has ready.
READERS, AHEAD = 2, 4
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


class _Entry:
    """One question under way: its pictures are being read, then its answer is being written."""

    def __init__(self, task: Task, coming: Future[AnswerStream]) -> None:
        self.task = task
        self.coming = coming
        self.error: Exception | None = None
        self._pieces: Iterator[str] | None = None
        self._ended = False

    @property
    def running(self) -> bool:
        """Whether the model can go on with it."""
        return self.coming.done() and not self._ended

    def advance(self) -> None:
        """One piece of the answer more; all others that are under way go on by as much."""
        try:
            if self._pieces is None:
                self._pieces = iter(self.coming.result())
            self._ended = next(self._pieces, None) is None
        except Exception as error:  # concerns this question alone
            self.error, self._ended = error, True

    def line(self, schema: str | None) -> dict[str, Any]:
        """What is written about it, at its end."""
        task = self.task
        line: dict[str, Any] = {"id": task.id, "images": list(task.images), "prompt": task.prompt}
        try:
            if self.error is not None:
                raise self.error
            answer = self.coming.result().answer
            require_whole(answer, schema)
        except Exception as error:
            nothing = {"text": None, "finish_reason": None, "usage": None, "seed": None}
            return {**line, **nothing, "error": explain(error).facts()}
        made = {"text": answer.text, "finish_reason": answer.finish_reason, "usage": asdict(answer.usage)}
        writing = {} if answer.changed_by_writing is None else {"changed_by_writing": answer.changed_by_writing}
        return {**line, **made, "seed": answer.seed, **writing, "error": None}


def _answer_all(
    engine: AnsweringEngine,
    tasks: Iterable[Task],
    options: SamplingOptions,
    results: Results,
    counted: Callable[[int], None],
    settings: Settings,
) -> None:
    """Lines in the order of ``tasks``; pictures are read, and later answers made, while the first is waited for."""
    coming, window = iter(tasks), deque[_Entry]()
    began, tokens = time.monotonic(), 0

    def begin(task: Task) -> AnswerStream:
        pictures = load_pictures(list(task.places), settings)
        conversation = Conversation.ask(task.prompt, tuple(each.part for each in pictures), system=task.system)
        return engine.stream(conversation, options)

    with _readers(begin, window) as submit:
        while True:
            while len(window) < 2 * engine.most + READERS * AHEAD and (task := next(coming, None)) is not None:
                window.append(_Entry(task, submit(task)))
            if not window:
                break
            _finish(window[0], window)
            line = window.popleft().line(options.schema)
            results.add(line)
            counted(len(results.codes))
            tokens += line["usage"]["completion_tokens"] if line["usage"] else 0
    if settings.stats:
        seconds = time.monotonic() - began
        print(f"stats: {tokens} tokens in {seconds:.2f} s, {tokens / seconds:.1f} tokens/s", file=sys.stderr)


@contextmanager
def _readers(
    begin: Callable[[Task], AnswerStream], window: deque[_Entry]
) -> Iterator[Callable[[Task], Future[AnswerStream]]]:
    pool = ThreadPoolExecutor(READERS, thread_name_prefix="pictures")
    try:
        yield lambda task: pool.submit(begin, task)
    finally:  # after Ctrl-C nobody wants the rest
        window.clear()
        pool.shutdown(wait=True, cancel_futures=True)


def _finish(first: _Entry, window: Sequence[_Entry]) -> None:
    """Until ``first`` has ended; while its pictures are being read, the others go on."""
    while not first.coming.done():
        other = next((entry for entry in window if entry.running), None)
        if other is None:
            wait([first.coming])
        else:
            other.advance()
    while first.running:
        first.advance()
