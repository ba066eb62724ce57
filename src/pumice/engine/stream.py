"""An answer that is read while it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pumice.engine.answer import Answer, TokenChances
from pumice.engine.scheduler import Request, Scheduler


class Stream:
    """An answer as it is written: iterate for its pieces; ``answer`` is whole after the end.

    Leaving the loop early, or ``cancel`` from any thread, ends it with what is there.
    """

    def __init__(
        self, scheduler: Scheduler, request: Request, review: Callable[[Answer], Answer] | None = None
    ) -> None:
        """review: looks at the whole answer again, once, before anyone sees it."""
        self._scheduler = scheduler
        self._request = request
        self._review = review
        self._reviewed: Answer | None = None

    def __iter__(self) -> Iterator[str]:
        request = self._request
        try:
            while True:
                self._scheduler.advance(request)
                while request.pieces:
                    if piece := request.pieces.popleft():
                        yield piece
                if request.ended and not request.pieces:
                    return
        finally:
            self._scheduler.cancel(request)

    def __del__(self) -> None:
        self._scheduler.cancel(self._request)  # never begun, or left: nobody will read it

    def cancel(self) -> None:
        """Stop after the token that is being made."""
        self._scheduler.cancel(self._request)

    def whole(self) -> Answer:
        """Waits for the end."""
        self._scheduler.advance(self._request, to_end=True)
        return self.answer

    def take(self) -> str:
        """What has come since, without waiting; for callers who make ``Engine.turn`` themselves. Raises what went
        wrong with this answer."""
        pieces = self._request.pieces
        text = "".join(pieces.popleft() for _ in range(len(pieces)))
        if not text and self._request.error is not None:
            raise self._request.error
        return text

    @property
    def news(self) -> bool:
        """Whether there is something to take, or it has ended."""
        return bool(self._request.pieces) or self._request.ended

    @property
    def ended(self) -> bool:
        """Whether no more text will come; what came may wait to be taken."""
        return self._request.ended

    @property
    def chances(self) -> list[TokenChances] | None:
        """Of the tokens so far, if they were asked for; grows."""
        return self._request.answering.chances

    @property
    def answer(self) -> Answer:
        """The answer, once the stream has ended."""
        if self._request.cancelled:
            self._scheduler.advance(self._request, to_end=True)  # a turn of another thread may not have seen it yet
        if self._reviewed is None:
            answer = self._request.answering.answer()
            self._reviewed = self._review(answer) if self._review else answer
        return self._reviewed
