"""Has all questions answered by batches before anything is made of the answers.

What a sample needs is only known once the first reply was read: a second attempt goes into a second round of batches.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from copy import copy
from typing import TYPE_CHECKING

from pumice.annotations.scene import Scene
from pumice.datagen.keeping import Keeper
from pumice.datagen.pipeline import fill_order
from pumice.datagen.run import StoppedError, Work, at_once, unless_stopped
from pumice.datagen.teacher import PaidTeacher
from pumice.datagen.unfit import ENOUGH, unfit
from pumice.errors import ServerError
from pumice.paid.answers import Answer, GaveUpError
from pumice.paid.ledger import Ledger
from pumice.paid.request import Request

if TYPE_CHECKING:
    from pumice.paid.batch import BatchClient, Filled

_MANY = 20  # questions without an answer, and none with one: then it is not their fault
_LOOK_S = 0.2  # between two looks whether somebody wants the end


class MissingError(Exception):
    """A question that has no answer in the ledger yet."""

    def __init__(self, request: Request) -> None:
        super().__init__(request.key)
        self.request = request


class FromLedger:
    """Answers what has been answered before."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.given_up: dict[str, GaveUpError] = {}  # by the requests' keys

    async def ask(self, request: Request) -> Answer:
        """Never waits. Raises: MissingError; RefusedForGoodError if the server has said so; GaveUpError."""
        answer = self.ledger.find(request)
        if answer is not None:
            return answer
        refusal = self.ledger.refusal(request.key) or self.given_up.get(request.key)
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
    most: int,
    stop: Callable[[], bool],
) -> None:
    """Round after round, until every order can be settled. scenes: all of them, each time anew.

    teacher: asks ``FromLedger``. most: rounds in vain after which a question is given up, if others are answered.

    Raises: StoppedError after ``stop``; batches go on without us, and are found again. ServerError if nothing is ever
    answered; what ``BatchClient.fill`` raises.
    """
    answers = teacher.asks
    assert isinstance(answers, FromLedger)
    rounds, ledger = Counter[str](), answers.ledger
    while True:
        asked: list[str] = []

        def noted(asked: list[str] = asked) -> Iterator[Request]:
            for request in missing(unless_stopped(scenes(), stop), work, teacher):
                asked.append(request.key)
                yield request

        filled = await _unless_stopped(client.fill(noted()), stop)
        if not asked:
            return
        rounds.update(asked)
        lost = [key for key in asked if not ledger.has_answer(key) and not ledger.refusal(key)]
        _require_use(asked, lost, filled, ledger)
        answers.given_up |= {key: _gave_up(most) for key in lost if rounds[key] >= most}


def _require_use(asked: Sequence[str], lost: Sequence[str], filled: Filled, ledger: Ledger) -> None:
    """Raises: UnfitError or ServerError if it is the server that is at fault, and not the ``lost`` questions."""
    ever = bool(ledger.totals().answered)
    refused = [refusal for key in asked if (refusal := ledger.refusal(key))]
    if not ever and len(refused) >= min(ENOUGH, len(asked)) and (error := unfit(refused)):
        raise error
    if lost and not filled.answered and (not ever or len(lost) >= _MANY):
        raise ServerError(
            f"{len(asked):,} questions went out in batches, and none was answered",
            hint="see at the server what is wrong; then run the same command again",
        )


def _gave_up(most: int) -> GaveUpError:
    return GaveUpError(f"given up after {most} batches without an answer to it", hint="ask again later")


async def _unless_stopped(filling: Coroutine[object, None, Filled], stop: Callable[[], bool]) -> Filled:
    task = asyncio.ensure_future(filling)
    while not (await asyncio.wait({task}, timeout=_LOOK_S))[0]:
        if stop():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise StoppedError
    return task.result()


def write_down(
    scenes: Iterable[Scene], work: Work, keeper: Keeper, teacher: PaidTeacher, stop: Callable[[], bool]
) -> None:
    """What was made of all ``scenes``, once every order can be settled. Raises StoppedError after ``stop``."""
    for scene in unless_stopped(scenes, stop):
        keeper.take(at_once(work.of(scene, teacher)))
    keeper.finish()
