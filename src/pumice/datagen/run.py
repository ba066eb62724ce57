"""A run: scenes in, a folder of checked samples out; wherever it ended before, it goes on there.

The rules are followed on as many processors as there are; a paid teacher is asked by one process (``asking``). Either
way samples are written in the order of the scenes, so that the same arguments give the same files.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TypeVar

from pumice.annotations.scene import Scene
from pumice.datagen.keeping import Keeper
from pumice.datagen.pipeline import Made, Outcome, make
from pumice.datagen.plan import Order, Plan
from pumice.datagen.spread import Where, chunks, in_order
from pumice.datagen.teacher import RulesTeacher, Teacher

Result = TypeVar("Result")

_CHUNK = 16  # scenes that go to another process together


class StoppedError(Exception):
    """Nobody wants to wait for more; what is under way was waited for."""


@dataclass(frozen=True)
class Work:
    """What is done to a scene, as a value that goes to other processes.

    draw: the bytes of a scene's picture, where the source has no pictures but draws them. images: where pictures must
    be; a scene without its picture is left out. None: nobody looks.
    """

    plan: Plan
    draw: Callable[[Scene], bytes] | None = None
    images: Path | None = None

    def orders(self, scene: Scene) -> Iterator[Order]:
        """What is wanted of the scene; nothing if its picture is not there."""
        if not self._lacks(scene):
            yield from self.plan.orders(scene.id)

    async def of(self, scene: Scene, teacher: Teacher) -> Made:
        """Everything that is made of the scene. Raises as ``pipeline.make``."""
        return self.made(scene, () if self._lacks(scene) else await make(scene, self.plan, teacher))

    def made(self, scene: Scene, outcomes: tuple[Outcome, ...]) -> Made:
        """What became of its ``orders``, and its picture."""
        picture = None if self.draw is None or not outcomes else self.draw(scene)
        return Made(scene.id, scene.image, outcomes, picture, missing=self._lacks(scene))

    def _lacks(self, scene: Scene) -> bool:
        return self.images is not None and not (self.images / scene.image).is_file()


def unless_stopped(scenes: Iterable[Scene], stop: Callable[[], bool]) -> Iterator[Scene]:
    """The scenes. Raises StoppedError before the next one once ``stop`` says so."""
    for scene in scenes:
        if stop():
            raise StoppedError
        yield scene


def by_rules(
    scenes: Iterable[Scene], work: Work, keeper: Keeper, where: Where, stop: Callable[[], bool] = lambda: False
) -> None:
    """All ``scenes`` by the offline teacher, in this process, in others, or by Ray.

    Raises: StoppedError after ``stop``; what ``spread.in_order`` and ``pipeline.make`` raise.
    """
    chunk_work = partial(_chunk, work, RulesTeacher(work.plan.seed))
    wanted = chunks(unless_stopped(scenes, stop), _CHUNK)
    with closing(in_order(chunk_work, wanted, where)) as results:
        for made in chain.from_iterable(results):
            keeper.take(made)
    keeper.finish()


def _chunk(work: Work, teacher: Teacher, scenes: Sequence[Scene]) -> list[Made]:
    """Scenes one after the other, in whatever process this is."""

    return [at_once(work.of(scene, teacher)) for scene in scenes]


def at_once(coroutine: Coroutine[object, None, Result]) -> Result:
    """What a coroutine returns that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: Result = end.value
        return result
    coroutine.close()
    raise AssertionError("it waited")
