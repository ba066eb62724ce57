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


def with_verdicts(
    task: Task,
    answers: Sequence[Answer],
    folder: Path,
    profile: Profile,
    place: Place,
    judging: Judging,
    settings: Settings,
) -> Sequence[Answer]:
    """The answers with what a judge says of them, for benchmarks that a judge has to do with.

    Without ``--judge``, verdicts that are kept already count. Raises: as ``evaluate.judge.judged``.
    """
    from pumice.evaluate.judge import may_ask
    from pumice.evaluate.verdicts import VerdictFile
    from pumice.evaluate.verdicts import with_verdicts as joined

    if not may_ask(task.name):
        return answers
    if judging.judge is not None:
        return asyncio.run(_judged(task, answers, folder, profile, place, judging, settings))
    if place.verdicts.exists():
        return joined(answers, VerdictFile(place.verdicts), judging.runs)
    return answers


def judge_facts(task: Task, judging: Judging) -> dict[str, JSON]:
    """What a result says about its judge."""
    from pumice.evaluate.judge import may_ask

    if judging.judge is None or not may_ask(task.name):
        return {}
    return {"judge": judging.judge, "judge_model": judging.judge_model, "judge_runs": judging.runs}


async def _judged(
    task: Task,
    answers: Sequence[Answer],
    folder: Path,
    profile: Profile,
    place: Place,
    judging: Judging,
    settings: Settings,
) -> Sequence[Answer]:
    from pumice.evaluate.judge import Judge, judged, plan
    from pumice.paid.budget import Budget
    from pumice.paid.client import PaidClient
    from pumice.paid.estimate import estimate
    from pumice.paid.keys import key_of_environment
    from pumice.paid.ledger import Ledger
    from pumice.paid.prices import load_prices
    from pumice.remote import base_url

    judge, prices = Judge(judging.judge_model, judging.runs), load_prices(judging.prices)
    url = base_url(judging.judge or "", "--judge")
    requests = plan(task.name, answers, folder, profile, judge, place.verdicts)
    expected = estimate(requests, prices, answer_tokens=_USUAL_VERDICT)
    cost = "of unknown cost" if expected.cost is None else f"for about ${expected.cost:.2f}"
    note(f"{task.title}: {expected.requests} verdicts to ask for, {cost}", settings)
    with Ledger(place.ledger) as ledger:
        budget = Budget(judging.budget)
        async with PaidClient(url, key_of_environment(), ledger=ledger, budget=budget, prices=prices) as client:
            with counting(len(requests), 0, settings) as counted:

                def progress(done: int, total: int) -> None:
                    if done > total - len(requests):
                        counted(0)

                found = await judged(task.name, answers, folder, profile, judge, client, place.verdicts, progress)
        spent = ledger.totals().cost
    note(
        f"{task.title}: judged; {'cost unknown' if spent is None else f'${spent:.4f}'} in all by {place.ledger}",
        settings,
    )
    return found


def require_folder(judging: Judging, out: Path | None) -> None:
    """Raises UsageError: verdicts cost money, and there is no place to keep them."""
    if judging.judge is not None and out is None:
        raise UsageError("--judge needs a folder in which verdicts are kept", hint="name one with -o")
