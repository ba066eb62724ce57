"""A whole run as one call: opens the source, the folder and the teacher, makes what is wanted, and writes the report.

generation = Generation(Path("out"), supply, Plan(read_rates("conversation,detail")))
ended = generate(generation)
ended.tally.samples
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pumice import __version__
from pumice.datagen.charts import require_charts
from pumice.datagen.folder import IMAGES, LEDGER, REPORT, opened, read_progress
from pumice.datagen.keeping import Keeper
from pumice.datagen.paying import Errand, Paid, by_paid
from pumice.datagen.plan import Plan
from pumice.datagen.report import write_report
from pumice.datagen.run import StoppedError, Work, by_rules
from pumice.datagen.samples import Json
from pumice.datagen.spread import Where
from pumice.datagen.supply import Supply
from pumice.datagen.tally import Tally
from pumice.datagen.writing import require_whole
from pumice.errors import PumiceError, UsageError
from pumice.files import fresh_file
from pumice.paid.ledger import Ledger, Totals

if TYPE_CHECKING:
    from pumice.paid.batch_server import BatchState


@dataclass(frozen=True)
class Generation:
    """Everything that a run is told. paid: None for the offline teacher, who works ``where`` it is said.

    images: where the pictures are, if they are to be looked for. ledger: of another run, whose answers and costs count
    here as well; None for one in the folder.
    """

    folder: Path
    supply: Supply
    plan: Plan
    paid: Paid | None = None
    images: Path | None = None
    where: Where = 1
    ledger: Path | None = None

    def __post_init__(self) -> None:
        """Raises UsageError for what contradicts itself."""
        if self.images is not None and self.supply.kind == "world":
            raise UsageError("the world draws its own pictures", hint="leave out --images")
        if self.ledger is not None and self.paid is None:
            raise UsageError("--ledger: the rules ask nobody", hint="name a teacher, or leave it out")

    @property
    def books(self) -> Path:
        """Where the ledger lies, if there is one."""
        return self.ledger or self.folder / LEDGER

    def arguments(self) -> dict[str, Json]:
        """What decides the output. Where the teacher stands, how fast and how dear it may be, does not."""
        told: dict[str, Json] = {"source": self.supply.as_json(), **self.plan.as_json(), "pumice": __version__}
        told["pictures"] = "looked for" if self.images is not None else "not looked for"
        if self.paid is None:
            return {**told, "teacher": "rules"}
        version = self.paid.prompts.version
        return {**told, "teacher": self.paid.model, "parameters": dict(self.paid.parameters), "prompts": version}


@dataclass(frozen=True)
class Ended:
    """How a call ended. totals: of the ledger, if the teacher was paid. idle: there was nothing left to do."""

    tally: Tally
    totals: Totals | None
    finished: bool
    idle: bool


def generate(
    generation: Generation,
    *,
    watch: Callable[[Tally], object] = lambda tally: None,
    told: Callable[[BatchState], None] = lambda state: None,
    stop: Callable[[], bool] = lambda: False,
) -> Ended:
    """Makes what is not made yet, and writes the report. watch: told after each scene; told: of batches.

    stop: asked all the time; once it says so, what is under way is waited for, and the call returns.

    Raises: UsageError for a folder that holds something else; what the source and the teacher raise. Everything up to
    then is kept, and the next call with the same arguments goes on there.
    """
    require_charts()
    _require_prompts(generation)
    with opened(generation.folder, generation.arguments()) as new:
        progress, tally = read_progress(generation.folder)
        for name, length in progress.lengths.items():
            require_whole(generation.folder / name, length)
        _require_books(generation, new)
        if progress.finished and (generation.folder / REPORT).is_file():
            return Ended(tally, _totals(generation), finished=True, idle=True)
        try:
            tally, finished = _made(generation, watch, told, stop)
        except PumiceError:
            _report(generation)
            raise
        return Ended(tally, _report(generation), finished, idle=False)


def _made(
    generation: Generation,
    watch: Callable[[Tally], object],
    told: Callable[[BatchState], None],
    stop: Callable[[], bool],
) -> tuple[Tally, bool]:
    supply = generation.supply
    work = Work(generation.plan, supply.draw, generation.images)
    with Keeper(generation.folder, generation.plan, watch) as keeper:
        if not keeper.progress.finished:
            scenes = supply.scenes(keeper.progress.scenes)
            with suppress(StoppedError):
                if generation.paid is None:
                    by_rules(scenes, work, keeper, generation.where, stop)
                else:
                    by_paid(generation.paid, Errand(generation.books, supply, work, keeper), told, stop)
        return keeper.tally, keeper.progress.finished


def _require_books(generation: Generation, new: bool) -> None:
    """Only a new folder begins a ledger: with an empty one in place of another, everything would be paid for again."""
    if generation.paid is None or generation.books.is_file():
        return
    if generation.ledger is not None or not new:
        raise UsageError(f"there is no ledger {generation.books}", hint="name that of an earlier run with --ledger")
    Ledger(generation.books).close()


def _require_prompts(generation: Generation) -> None:
    paid = generation.paid
    for kind in generation.plan.rates if paid else ():
        if paid is not None and kind not in paid.prompts.prompts:
            raise UsageError(f"there is no prompt for the kind {kind}", hint="add a folder of that name to --prompts")


def _report(generation: Generation) -> Totals | None:
    """Writes the page about what there is so far."""
    progress, tally = read_progress(generation.folder)
    totals = _totals(generation)
    pictures = generation.folder / IMAGES if generation.supply.draw is not None else generation.images
    told: dict[str, Json] = {**generation.arguments(), "left out of the annotations": dict(generation.supply.left_out)}
    text = write_report(told, tally, totals, pictures, finished=progress.finished)
    with fresh_file(generation.folder / REPORT, overwrite=True) as file:
        file.write(text.encode("utf-8", "backslashreplace"))
    return totals


def _totals(generation: Generation) -> Totals | None:
    if generation.paid is None:
        return None
    with Ledger(generation.books) as ledger:
        return ledger.totals()
