"""How the process behaves towards its surroundings while a command runs: streams, encodings and signals."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Literal, TextIO


@contextmanager
def process_manners() -> Iterator[None]:
    """UTF-8 on every stream, closed streams replaced by empty ones, and an orderly end on SIGTERM (exit 143)."""
    _open_streams()
    _speak_utf8()
    with _on_signal(signal.SIGTERM, _end):
        yield


@contextmanager
def cancelling(cancel: Callable[[], None]) -> Iterator[None]:
    """Within, the first Ctrl-C calls ``cancel`` and the next one interrupts as usual."""
    pressed = False

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True
        cancel()

    with _on_signal(signal.SIGINT, on_interrupt):
        yield


def silence_stdout() -> None:
    """After its reader has gone: the interpreter's last flush must not complain."""
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, sys.stdout.fileno())
    os.close(quiet)


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


@contextmanager
def _on_signal(number: int, handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # only there may handlers be set
        yield
        return
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


def _open_streams() -> None:
    """Python has None for a stream that was closed when the process started."""
    if sys.stdin is None:
        sys.stdin = _nothing("r")
    if sys.stdout is None:
        sys.stdout = _nothing("w")
    if sys.stderr is None:
        sys.stderr = _nothing("w")


def _nothing(mode: Literal["r", "w"]) -> TextIO:
    return open(os.devnull, mode, encoding="utf-8")


def _speak_utf8() -> None:
    for stream, errors in ((sys.stdin, "replace"), (sys.stdout, "replace"), (sys.stderr, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors=errors)
