"""One run of ``pumice evaluate``: which benchmarks, whom to ask, what is asked still, and what comes out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

from pumice.cli.answerers import Respondent
from pumice.cli.asking import Asking
from pumice.cli.counting import counting
from pumice.cli.judging import Bench, Judging, judge_facts, require_fit, with_verdicts
from pumice.cli.parts import in_parts
from pumice.cli.session import Opener
from pumice.cli.settings import Settings
from pumice.errors import UsageError
from pumice.evaluate.compare import Comparison, compare
from pumice.evaluate.controls import controlled
from pumice.evaluate.layout import WHOLE, Place, Shard
from pumice.evaluate.questions import JSON, Question
from pumice.evaluate.results import Result, read_result, read_results, write_result
from pumice.evaluate.runner import (
    begin,
    digest,
    failures,
    forget,
    limited,
    merge,
    require_same,
    run,
    run_facts,
    waiting,
)
from pumice.evaluate.statistic import Scored
from pumice.evaluate.summary import only, summarise
from pumice.evaluate.task import Task
from pumice.evaluate.tasks.table import TASKS
from pumice.near import did_you_mean, nearest
from pumice.options import SamplingOptions


@dataclass(frozen=True)
class Order:
    """What is to be evaluated.

    data: the folder of benchmarks, as the original's ``playground/data/eval``, or that of a single one.
    max_tokens: None for what the benchmark's paper allowed.
    """

    tasks: tuple[str, ...]
    data: Path
    out: Path
    asking: Asking = field(default_factory=Asking)
    judging: Judging = field(default_factory=Judging)
    max_tokens: int | None = None


@dataclass(frozen=True)
class Benchmark:
    """A benchmark, or its control, whose questions have been read. asked: those that the limit leaves."""

    task: Task
    folder: Path
    place: Place
    questions: Sequence[Question]
    asked: Sequence[Question]

    def options(self, order: Order, settings: Settings) -> SamplingOptions:
        """How answers are made."""
        return replace(settings.sampling(), max_tokens=order.max_tokens or self.task.max_tokens)

    def made_with(self, order: Order, settings: Settings) -> dict[str, JSON]:
        """What all answers of a file must have in common."""
        model = settings.model
        if model is not None and settings.server is None and Path(model).exists():
            model = str(Path(model).resolve())
        named = ("server", "base", "vision_tower", "template", "system", "dtype", "bits", "kv_8bit", "text_in_images")
        sampling = asdict(self.options(order, settings))
        return {
            "model": model,
            **{name: getattr(settings, name) for name in named},
            **{name: list(value) if isinstance(value, tuple) else value for name, value in sampling.items()},
            "questions": digest(self.questions),
            "control": self.place.control,
        }


def find_task(name: str) -> Task:
    """A benchmark by its name. Raises UsageError."""
    if name not in TASKS:
        otherwise = "pumice evaluate tasks lists them"
        raise UsageError(f"there is no benchmark {name!r}", hint=did_you_mean(nearest(name, TASKS), otherwise))
    return TASKS[name]


def folder_of(task: Task, data: Path) -> Path:
    """Where a benchmark's files are: in its own folder below ``data``, or in ``data`` itself."""
    usual = data / task.folder
    return next((each for each in (usual, data / task.name, data) if _holds(each, task)), usual)


def _holds(folder: Path, task: Task) -> bool:
    return any(file.all(folder) for file in task.files)


def prepare(order: Order) -> list[Benchmark]:
    """Reads all questions, so that what is missing shows before a model is loaded. Raises UsageError."""
    tasks = [find_task(name) for name in order.tasks]
    require_fit(order.judging, tasks)
    return [each for task in tasks for each in _prepared(task, order)]


def _prepared(task: Task, order: Order) -> Iterator[Benchmark]:
    if order.asking.profile is not None:
        task.require(order.asking.profile)
    folder = folder_of(task, order.data)
    questions = list(task.questions(folder))
    if not questions:
        raise UsageError(f"{folder} holds no questions of {task.title}")
    yield Benchmark(task, folder, Place(order.out, task.name), questions, limited(questions, order.asking.limit))
    for control in order.asking.controls:
        changed = controlled(questions, control)
        yield Benchmark(
            task, folder, Place(order.out, task.name, control), questions, limited(changed, order.asking.limit)
        )


def ask_all(benchmarks: Sequence[Benchmark], order: Order, settings: Settings, opener: Opener | None) -> None:
    """Asks whatever has no answer yet. Raises as ``Opener`` and ``runner.run`` do."""
    for each in benchmarks:
        if order.asking.overwrite:
            forget(each.place)
        require_same(each.place, each.made_with(order, settings))
    parts = order.asking.parts
    left = sum(len(waiting(each.asked, each.place, part)) for each in benchmarks for part in parts)
    total = sum(len(each.asked[part.slice(len(each.asked))]) for each in benchmarks for part in parts)
    if not left:
        return
    with counting(total, total - left, settings) as counted:
        if len(parts) > 1:
            in_parts(
                partial(_one_part, replace(order, asking=replace(order.asking, overwrite=False)), settings),
                len(parts),
                counted,
            )
        else:
            _ask(benchmarks, order, settings, Respondent(settings, order.asking.jobs, opener), parts[0], counted)


def _one_part(order: Order, settings: Settings, index: int, counted: Callable[[int], None]) -> None:
    """The work of one of several processes."""
    respondent = Respondent(replace(settings, quiet=True), order.asking.jobs)
    _ask(prepare(order), order, settings, respondent, Shard(index, order.asking.shards), counted)


def _ask(
    benchmarks: Sequence[Benchmark],
    order: Order,
    settings: Settings,
    respondent: Respondent,
    part: Shard,
    counted: Callable[[int], None],
) -> None:
    failed = 0
    for each in benchmarks:
        if not waiting(each.asked, each.place, part):
            continue
        begin(each.place, each.made_with(order, settings), respondent.facts(each.asked[0]))
        answerer = respondent.answerer(each.options(order, settings))
        progress = partial(_counted_after, failed, counted)
        failed += run(each.asked, answerer, each.place, respondent.engine.name, shard=part, progress=progress)


def _counted_after(before: int, counted: Callable[[int], None], failed: int) -> None:
    counted(before + failed)


def conclude(benchmark: Benchmark, order: Order, settings: Settings) -> Result | None:
    """Scores a benchmark's answers once all parts have ended, after a judge if need be; None if they have not.

    Raises: UsageError if they cannot be scored here, as those of a test split.
    """
    task, place, asked = benchmark.task, benchmark.place, benchmark.asked
    if not merge(asked, place, order.asking.shards):
        return None
    profile = task.require(order.asking.profile or task.default_profile)
    bench = Bench(task, benchmark.folder, profile, place)
    scored, judge = _scored(place.merged, bench, order, settings, {each.id for each in asked})
    if len(asked) < len(benchmark.questions):
        scored = only(scored, asked, len(benchmark.questions), len(waiting(asked, place, WHOLE)))
    result = summarise(scored, task, place, run_facts(place) | judge)
    write_result(result, scored.rows, picture_files(benchmark.questions))
    return result


def picture_files(questions: Sequence[Question]) -> dict[str, Path]:
    """Where pictures are, by ``Question.image_key``, as far as they are files."""
    return {
        question.image_key: Path(image.source).absolute()
        for question in questions
        for image in question.conversation.images()
        if isinstance(image.source, str | Path)
    }


def score_file(name: str, answers: Path, order: Order, settings: Settings, *, keep: bool) -> Result:
    """Figures of anybody's answers to a benchmark. keep: in the order's folder. Raises UsageError."""
    task = find_task(name)
    folder, place = folder_of(task, order.data), Place(order.out, task.name)
    profile = task.require(order.asking.profile or task.default_profile)
    require_fit(order.judging, [task])
    scored, judge = _scored(answers, Bench(task, folder, profile, place if keep else None), order, settings)
    result = summarise(scored, task, place, judge)
    if keep:
        write_result(result, scored.rows, _pictures(task, folder))
    return result


def _scored(
    path: Path, bench: Bench, order: Order, settings: Settings, asked: Collection[str] | None = None
) -> tuple[Scored, dict[str, JSON]]:
    """A file of answers by the rules of its benchmark, after a judge if need be, and what is known of the judge.

    asked: ids of questions, if only these concern anyone: nobody pays to have answers of a larger run judged.
    """
    told = bench.task.answers(path)
    answers = with_verdicts(
        told if asked is None else [each for each in told if each.question_id in asked], bench, order.judging, settings
    )
    return bench.task.score(answers, bench.folder, bench.profile), judge_facts(answers, order.judging)


def _pictures(task: Task, folder: Path) -> dict[str, Path]:
    """As ``picture_files``; none where there are answers and the truth, but no questions to be asked."""
    try:
        return picture_files(list(task.questions(folder)))
    except UsageError:
        return {}


def failed(benchmark: Benchmark, order: Order) -> list[tuple[str, int]]:
    """Why single questions have no answer, with the exit code of each."""
    found = [each for part in order.asking.parts for each in failures(benchmark.asked, benchmark.place, part)]
    return [(str(each["error"]), int(str(each["code"]))) for each in found]


@dataclass(frozen=True)
class Compared:
    """Two runs of one benchmark. name: of what was run, such as "pope.blind". headline: the main figure's name."""

    name: str
    headline: str
    comparison: Comparison


def compared(first: Path, second: Path) -> list[Compared]:
    """All benchmarks that both have results of. Raises UsageError for none."""
    ours, theirs = _by_name(first), _by_name(second)
    if len(ours) == len(theirs) == 1:  # also a benchmark with its control
        names = [(next(iter(ours)), next(iter(theirs)))]
    else:
        names = [(name, name) for name in ours if name in theirs]
    if not names:
        raise UsageError(f"{first} and {second} have no benchmark in common: {', '.join(ours)}; {', '.join(theirs)}")
    return [
        Compared(
            one if one == other else f"{one}, {other}",
            ours[one].headline.name,
            compare(ours[one].scored(), theirs[other].scored()),
        )
        for one, other in names
    ]


def _by_name(path: Path) -> dict[str, Result]:
    results = [read_result(path)] if path.is_file() else read_results(path)
    return {each.place.name: each for each in results}
