"""The judge of open answers, as the command line asks it: who, how often, and for how much."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from pumice.cli.counting import counting
from pumice.cli.output import note
from pumice.cli.settings import Settings
from pumice.errors import UsageError
from pumice.evaluate.layout import Place
from pumice.evaluate.questions import JSON, Answer

if TYPE_CHECKING:
    from pumice.evaluate.task import Profile, Task
    from pumice.paid.budget import Budget
    from pumice.paid.prices import Prices

#: Tokens of a verdict, for the estimate: a review explains itself.
_USUAL_VERDICT = 200


@dataclass(frozen=True)
class Judging:
    """Options of every command that may ask a judge."""

    judge: Annotated[
        str | None,
        Option(
            "--judge", metavar="URL", help="An OpenAI-compatible server that judges answers; its key: PUMICE_API_KEY."
        ),
    ] = None
    judge_model: Annotated[
        str | None, Option("--judge-model", metavar="NAME", help="Its name for the model. Default: the paper's judge.")
    ] = None
    runs: Annotated[int, Option("--runs", min=1, metavar="N", help="Times that each answer is judged.")] = 1
    budget: Annotated[float | None, Option("--budget", metavar="USD", help="Stop judging before more is spent.")] = None
    prices: Annotated[
        Path | None, Option("--prices", metavar="FILE", help="What models cost, before the built-in table.")
    ] = None

    def __post_init__(self) -> None:
        """Raises UsageError for what only a judge has any use for."""
        alone = {"--judge-model": self.judge_model, "--budget": self.budget, "--prices": self.prices}
        given = [name for name, value in alone.items() if value is not None]
        if self.judge is None and given:
            hint = "name its URL with --judge; verdicts that are kept already count without"
            raise UsageError(f"{', '.join(given)}: without --judge, nobody is asked", hint=hint)


@dataclass(frozen=True)
class Bench:
    """Whose answers are scored, and how. place: where verdicts are kept; None if nothing is."""

    task: Task
    folder: Path
    profile: Profile
    place: Place | None


def with_verdicts(answers: Sequence[Answer], bench: Bench, judging: Judging, settings: Settings) -> Sequence[Answer]:
    """The answers with what a judge says of them, for benchmarks that a judge has to do with.

    Those that came with verdicts keep them. Without ``--judge``, verdicts that are kept already count, of all runs.
    Raises: as ``evaluate.judge.judged``.
    """
    from pumice.evaluate.judge import may_ask
    from pumice.evaluate.verdicts import VerdictFile, said
    from pumice.evaluate.verdicts import with_verdicts as joined

    if not may_ask(bench.task.name) or bench.place is None or any(map(said, answers)):
        return answers
    if judging.judge is not None:
        return asyncio.run(_judged(answers, bench, bench.place, judging, settings))
    file = VerdictFile(bench.place.verdicts)
    return joined(answers, file, file.runs)


def judge_facts(answers: Sequence[Answer], judging: Judging) -> dict[str, JSON]:
    """What a result says about its judge: the server if it was named now, the models that said something, the runs."""
    from pumice.evaluate.verdicts import said

    verdicts = [verdict for answer in answers for verdict in said(answer).values()]
    if not verdicts:
        return {}
    models = ", ".join(sorted({verdict.judge for verdict in verdicts if verdict.judge}))
    return {"judge": judging.judge, "judge_model": models, "judge_runs": max(verdict.run for verdict in verdicts)}


def require_fit(judging: Judging, tasks: Sequence[Task]) -> None:
    """Raises UsageError for a judge that could not be asked: before anything else is done, which may take hours."""
    from pumice.evaluate.judge import may_ask

    if judging.judge is not None and any(may_ask(task.name) for task in tasks):
        _terms(judging)


def require_folder(judging: Judging, out: Path | None) -> None:
    """Raises UsageError: verdicts cost money, and there is no place to keep them."""
    if judging.judge is not None and out is None:
        raise UsageError("--judge needs a folder in which verdicts are kept", hint="name one with -o")


def _terms(judging: Judging) -> tuple[str, Prices, Budget]:
    """Where the judge is, what it costs, and how much it may cost. Raises UsageError."""
    from pumice.paid.budget import Budget
    from pumice.paid.prices import load_prices
    from pumice.remote import base_url

    return base_url(judging.judge or "", "--judge"), load_prices(judging.prices), Budget(judging.budget)


async def _judged(
    answers: Sequence[Answer], bench: Bench, place: Place, judging: Judging, settings: Settings
) -> Sequence[Answer]:
    from pumice.evaluate.judge import Judge, judged, plan
    from pumice.paid.client import PaidClient
    from pumice.paid.estimate import estimate
    from pumice.paid.keys import key_of_environment
    from pumice.paid.ledger import Ledger

    name, title = bench.task.name, bench.task.title
    judge, (url, prices, budget) = Judge(judging.judge_model, judging.runs), _terms(judging)
    requests = plan(name, answers, bench.folder, bench.profile, judge, place.verdicts)
    expected = estimate(requests, prices, answer_tokens=_USUAL_VERDICT)
    cost = "of unknown cost" if expected.cost is None else f"for about ${expected.cost:.2f}"
    note(f"{title}: {expected.requests} verdicts to ask for, {cost}", settings)
    with Ledger(place.ledger) as ledger:
        async with PaidClient(url, key_of_environment(), ledger=ledger, budget=budget, prices=prices) as client:
            with counting(len(requests), 0, settings) as counted:

                def progress(done: int, total: int) -> None:
                    if done > total - len(requests):
                        counted(0)

                found = await judged(
                    name, answers, bench.folder, bench.profile, judge, client, place.verdicts, progress
                )
        spent = ledger.totals().cost
    cost = "cost unknown" if spent is None else f"${spent:.4f}"
    note(f"{title}: judged; {cost} in all by {place.ledger}", settings)
    return found
