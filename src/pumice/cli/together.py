"""Many questions under way at once: pictures are read, and later answers made, while the first is waited for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from typing import Generic, TypeVar

from pumice.cli.session import AnswerStream
from pumice.engine.answer import Answer

T = TypeVar("T")

#: Threads that read pictures while the model works, and how many questions each has ready.
READERS, AHEAD = 2, 4


def answers_in_order(
    begin: Callable[[T], AnswerStream], questions: Iterable[T], most: int
) -> Iterator[tuple[T, Answer | Exception]]:
    """Every question with its answer, or with what went wrong with it alone, in the order in which they come.

    begin: reads a question's pictures and asks; called by other threads. most: answers that are made together.
    """
    coming, window = iter(questions), deque[_Entry[T]]()
    with _readers(begin, window) as submit:
        while True:
            for question in islice(coming, 2 * most + READERS * AHEAD - len(window)):
                window.append(_Entry(question, submit(question)))
            if not window:
                break
            _finish(window[0], window)
            first = window.popleft()
            yield first.question, first.end()


class _Entry(Generic[T]):
    """One question under way: its pictures are being read, then its answer is being written."""

    def __init__(self, question: T, coming: Future[AnswerStream]) -> None:
        self.question = question
        self.coming = coming
        self._error: Exception | None = None
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
            self._error, self._ended = error, True

    def end(self) -> Answer | Exception:
        """What came of it."""
        try:
            return self.coming.result().answer if self._error is None else self._error
        except Exception as error:
            return error


@contextmanager
def _readers(
    begin: Callable[[T], AnswerStream], window: deque[_Entry[T]]
) -> Iterator[Callable[[T], Future[AnswerStream]]]:
    pool = ThreadPoolExecutor(READERS, thread_name_prefix="pictures")
    try:
        yield lambda question: pool.submit(begin, question)
    finally:  # after Ctrl-C nobody wants the rest
        window.clear()
        pool.shutdown(wait=True, cancel_futures=True)


def _finish(first: _Entry[T], window: Sequence[_Entry[T]]) -> None:
    """Until ``first`` has ended; while its pictures are being read, the others go on."""
    while not first.coming.done():
        other = next((entry for entry in window if entry.running), None)
        if other is None:
            wait([first.coming])
        else:
            other.advance()
    while first.running:
        first.advance()
