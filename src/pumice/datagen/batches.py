"""Has all questions answered by batches before anything is made of the answers.

What a sample needs is only known once the first reply was read: a second attempt goes into a second round of batches.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from typing import TYPE_CHECKING

from pumice.annotations.scene import Scene
from pumice.datagen.pipeline import fill_order
from pumice.datagen.run import StoppedError, Work, at_once, unless_stopped
from pumice.datagen.teacher import PaidTeacher
from pumice.errors import ServerError
from pumice.paid.answers import Answer
from pumice.paid.ledger import Ledger
from pumice.paid.request import Request

if TYPE_CHECKING:
    from pumice.paid.batch import BatchClient

_LOOK_S = 0.2  # between two looks whether somebody wants the end


class MissingError(Exception):
    """A question that has no answer in the ledger yet."""

    def __init__(self, request: Request) -> None:
        super().__init__(request.key)
        self.request = request


class FromLedger:
    """Answers what has been answered before."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def ask(self, request: Request) -> Answer:
        """Never waits. Raises: MissingError, or RefusedForGoodError if the server has said so."""
        answer = self._ledger.find(request)
        if answer is not None:
            return answer
        refusal = self._ledger.refusal(request)
        raise MissingError(request) if refusal is None else copy(refusal)


def missing(scenes: Iterable[Scene], work: Work, teacher: PaidTeacher) -> Iterator[Request]:
    """The next question of every order that cannot be settled by what is known. teacher: asks ``FromLedger``."""
    for scene in scenes:
        for order in work.orders(scene):
            try:
                at_once(fill_order(scene, order, work.plan, teacher))
            except MissingError as error:
                yield error.request


async def fill(
    client: BatchClient,
    scenes: Callable[[], Iterable[Scene]],
    work: Work,
    teacher: PaidTeacher,
    stop: Callable[[], bool],
) -> None:
    """Round after round, until every order can be settled. scenes: all of them, each time anew.

    Raises: StoppedError after ``stop``; batches go on without us, and are found again. ServerError if a round brings
    nothing; what ``BatchClient.fill`` raises.
    """
    known = 0
    while True:
        asked = 0

        def counted() -> Iterator[Request]:
            nonlocal asked
            for request in missing(unless_stopped(scenes(), stop), work, teacher):
                asked += 1
                yield request

        task = asyncio.ensure_future(client.fill(counted()))
        while not (await asyncio.wait({task}, timeout=_LOOK_S))[0]:
            if stop():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                raise StoppedError
        filled = task.result()
        if not asked:
            return
        if filled.answered + filled.refused == known:
            raise ServerError(
                f"{asked} questions went out in batches, and none was answered",
                hint="see at the server what is wrong; then run the same command again",
            )
        known = filled.answered + filled.refused
