"""Asks a judge about answers, as often as is wanted, and keeps every verdict; any OpenAI-compatible model will do.

    answers = await judged("mm-vet", answers, folder, "official", Judge("gpt-4o", runs=3), client, path)
    MM_VET.score(answers, folder, "official")

Requests go through ``paid``: one budget and one ledger for everything that costs. What was judged before, in the same
words, is not asked again; a run that broke off goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pumice.errors import PumiceError, UsageError
from pumice.evaluate.questions import JSON, Answer
from pumice.evaluate.rubrics import RUBRICS, Case, Rubric
from pumice.evaluate.task import Profile
from pumice.evaluate.verdicts import Verdict, VerdictFile, name_of, text_key, with_verdicts
from pumice.paid.answers import HOPELESS
from pumice.paid.answers import Answer as Reply
from pumice.paid.request import Request

if TYPE_CHECKING:
    from pumice.paid.client import PaidClient


@dataclass(frozen=True)
class Judge:
    """Who judges, and how often.

    model: None is the paper's own. runs: how often each answer is judged; the spread of the runs is the judge's noise.
    parameters: of the requests, before the paper's; ``max_completion_tokens`` takes the place of ``max_tokens``.
    """

    model: str | None = None
    runs: int = 1
    parameters: Mapping[str, JSON] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises UsageError for no runs at all."""
        if self.runs < 1:
            raise UsageError(f"a judge is asked at least once, found {self.runs} runs")


@dataclass(frozen=True)
class _Open:
    """A verdict that is wanted. tries: how often it was asked for."""

    case: Case
    run: int
    key: str
    tries: int = 0


def may_ask(task: str) -> bool:
    """Whether a judge can do anything for a benchmark."""
    return task in RUBRICS


def plan(
    task: str, answers: Sequence[Answer], folder: Path, profile: Profile, judge: Judge, path: Path
) -> list[Request]:
    """The requests that are still to be made, for an estimate of what they cost; those for second tries not counted.

    Raises: UsageError if the benchmark's files are not there.
    """
    rubric = _rubric(task)
    file = VerdictFile(path)
    wanted = _wanted(rubric, judge, profile, rubric.cases(answers, folder, profile), file)
    return [_request(rubric, judge, profile, each.case, each.run) for each in wanted]


async def judged(
    task: str,
    answers: Sequence[Answer],
    folder: Path,
    profile: Profile,
    judge: Judge,
    client: PaidClient,
    path: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Answer, ...]:
    """The answers with their verdicts, asked for where ``path`` does not have them yet.

    A reply that cannot be read is asked for again as the benchmark's own tool does it, and then kept as it is: the
    scorer counts it as missing. So is a request that failed; its error is kept in the verdict's place, and the next
    call tries it once more.

    progress: is told how many of all verdicts there are.

    Raises: UsageError if the benchmark's files are not there; one of ``paid.answers.HOPELESS`` when no further request
        would be answered. What has come by then is kept.
    """
    rubric = _rubric(task)
    file = VerdictFile(path)
    cases = list(rubric.cases(answers, folder, profile))
    waiting = _wanted(rubric, judge, profile, cases, file)
    texts = {name_of(answer): text_key(answer.text) for answer in answers}
    total = len(cases) * judge.runs
    done = total - len(waiting)
    progress(done, total)
    while waiting:
        unread: list[_Open] = []
        async with aclosing(_outcomes(rubric, judge, profile, client, waiting)) as outcomes:
            async for each, outcome in outcomes:
                readable = not isinstance(outcome, Reply) or rubric.readable(outcome.text, profile)
                if not readable and each.tries < len(rubric.again):
                    unread.append(replace(each, tries=each.tries + 1))
                    continue
                verdict = _verdict(each, outcome, judge.model or rubric.model)
                file.add(replace(verdict, about=texts[each.case.name]))
                done += 1
                progress(done, total)
        waiting = unread
    return with_verdicts(answers, file, judge.runs)


async def _outcomes(
    rubric: Rubric, judge: Judge, profile: Profile, client: PaidClient, waiting: Sequence[_Open]
) -> AsyncGenerator[tuple[_Open, Reply | PumiceError], None]:
    """What comes back for each. Raises one of ``HOPELESS`` as soon as it is met."""
    wanted: dict[str, list[_Open]] = {}
    requests = []
    for each in waiting:
        request = _request(rubric, judge, profile, each.case, each.run, each.tries)
        if request.key not in wanted:
            requests.append(request)
        wanted.setdefault(request.key, []).append(each)
    async with aclosing(client.ask_all(requests)) as outcomes:
        async for request, outcome in outcomes:
            if isinstance(outcome, HOPELESS):
                raise outcome
            for each in wanted[request.key]:
                yield each, outcome


def _wanted(rubric: Rubric, judge: Judge, profile: Profile, cases: Iterable[Case], file: VerdictFile) -> list[_Open]:
    """What there is no verdict on yet. The first request's key says whether a verdict is on these very words."""
    wanted = []
    for case in cases:
        for run in range(1, judge.runs + 1):
            key = _request(rubric, judge, profile, case, run).key
            if not file.settled(case.name, run, key):
                wanted.append(_Open(case, run, key))
    return wanted


def _request(rubric: Rubric, judge: Judge, profile: Profile, case: Case, run: int, tries: int = 0) -> Request:
    papers = rubric.papers if profile == "llava" else {}
    parameters: dict[str, JSON] = {**rubric.parameters, **papers, **judge.parameters}
    if "max_completion_tokens" in judge.parameters:
        del parameters["max_tokens"]
    messages = list(case.messages)
    if tries:
        again = rubric.again[tries - 1]
        parameters |= again.parameters
        messages[-1] = {**messages[-1], "content": f"{messages[-1]['content']}{again.words}"}
    return Request(judge.model or rubric.model, tuple(messages), parameters, repeat=run - 1)


def _verdict(each: _Open, outcome: Reply | PumiceError, judge: str) -> Verdict:
    told = Verdict(each.case.name, each.run, each.key, each.case.category, judge, tries=each.tries + 1)
    if isinstance(outcome, PumiceError):
        return replace(told, error=str(outcome))
    return replace(told, content=outcome.text, judge=outcome.model or judge, cost=outcome.cost)


def _rubric(task: str) -> Rubric:
    if task not in RUBRICS:
        raise UsageError(f"{task} needs no judge", hint=f"a judge is for {', '.join(RUBRICS)}")
    return RUBRICS[task]
