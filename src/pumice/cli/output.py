"""Where words go: answers to stdout as they are, everything else to stderr."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict

from pumice.cli.session import AnsweringEngine
from pumice.cli.settings import Settings
from pumice.engine.answer import Answer, Sight

_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[^\[\x1b])")  # an escape in an escape begins a new one
_UNFINISHED_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*)?\Z")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and newline


class TerminalFilter:
    """Keeps a model's text from steering the terminal, also where an escape sequence comes in several pieces."""

    def __init__(self) -> None:
        self._held = ""

    def clean(self, delta: str) -> str:
        text = self._held + delta
        unfinished = _UNFINISHED_ESCAPE.search(text)
        self._held = text[unfinished.start() :] if unfinished else ""
        text = text[: unfinished.start()] if unfinished else text
        return _CONTROL.sub("", _ESCAPE.sub("", text))


def write_answer(deltas: Iterable[str], settings: Settings, *, prefix: str = "") -> str:
    """Streams to stdout behind ``prefix``, ending with a newline. Returns the text as it came."""
    terminal = TerminalFilter() if sys.stdout.isatty() else None
    pieces: list[str] = []
    coming = iter(deltas)
    with waiting("thinking", settings):
        delta = next(coming, None)
    sys.stdout.write(prefix)
    try:
        while delta is not None:
            pieces.append(delta)
            sys.stdout.write(terminal.clean(delta) if terminal else delta)
            sys.stdout.flush()
            delta = next(coming, None)
    except BaseException:
        if terminal and pieces:  # its message would otherwise follow on the half-written line
            print(flush=True)
        raise
    if not "".join(pieces[-1:]).endswith("\n"):
        sys.stdout.write("\n")
    sys.stdout.flush()
    return "".join(pieces)


def note(text: str, settings: Settings) -> None:
    """One line for the person who watches, not for the data."""
    if not settings.quiet:
        print(text, file=sys.stderr, flush=True)


def note_warnings(engine: AnsweringEngine, settings: Settings) -> None:
    for warning in engine.warnings:
        note(f"warning: {warning}", settings)


def note_stats(answer: Answer, settings: Settings) -> None:
    """The line behind ``--stats``; it was asked for, so ``--quiet`` does not silence it."""
    if settings.stats:
        print(stats_line(answer), file=sys.stderr, flush=True)


def stats_line(answer: Answer) -> str:
    """Times and token counts of an answer."""
    times, usage = answer.timings, answer.usage
    later, seconds = usage.completion_tokens - 1, times.total_s - times.first_token_s
    rate = f", {later / seconds:.1f} tokens/s" if later > 0 and seconds > 0 else ""
    return (
        f"stats: {usage.completion_tokens} tokens in {times.total_s:.2f} s{rate}; first token after "
        f"{times.first_token_s:.2f} s (inputs {times.prepare_s:.2f} s, pictures {times.vision_s:.2f} s); prompt "
        f"{usage.prompt_tokens} tokens, {usage.image_tokens} of them pictures, {usage.cached_tokens} cached; "
        f"finish: {answer.finish_reason}"
    )


def answer_facts(answer: Answer) -> dict[str, object]:
    """An answer as programs are told. What nobody wanted to know is left out."""
    writing = {} if answer.changed_by_writing is None else {"changed_by_writing": answer.changed_by_writing}
    return {
        "text": answer.text,
        "finish_reason": answer.finish_reason,
        "usage": asdict(answer.usage),
        "timings": asdict(answer.timings),
        "seed": answer.seed,
        **writing,
    }


def note_writing(answer: Answer, settings: Settings) -> None:
    """An answer that comes from writing in a picture says so: whoever wrote there may have wanted it."""
    if answer.changed_by_writing:
        note("warning: the answer changes when writing in the picture is painted over", settings)


def note_limit(answer: Answer, settings: Settings, advice: str) -> None:
    """An answer that was cut off says so."""
    if answer.finish_reason == "length":
        note(f"stopped after {answer.usage.completion_tokens} tokens: {advice}", settings)


def seen_as(sight: Sight | None) -> str:
    """What a model makes of a picture, in words."""
    if sight is None:
        return "the server does not say how the model sees it"
    side = f"{sight.side}x{sight.side}"
    how = {
        "pad": f"seen whole, padded to {side}",
        "square": f"its middle square is seen, as {side}",
        "anyres": f"seen whole and in {sight.tiles - 1} tiles of {side}",
    }[sight.mode]
    return f"{how}, {sight.tokens} tokens"


def _understands_escapes() -> bool:
    """Whether the terminal takes control sequences, and its owner wants them (no-color.org)."""
    return os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")


def shows_motion(settings: Settings) -> bool:
    """Whether stderr is a terminal on which things may move, and be wiped away."""
    return not settings.no_color and _understands_escapes() and sys.stderr.isatty()


@contextmanager
def waiting(text: str, settings: Settings) -> Iterator[None]:
    """Shows what takes time, on a terminal only, and wipes it away afterwards."""
    shown = not settings.quiet and shows_motion(settings)
    if shown:
        print(f"{text} ...", end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        if shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
