"""``pumice evaluate``: benchmarks asked, scored as published with intervals, compared and shown."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer
from typer import Argument, Exit, Option

from pumice.cli.asking import Asking, Profile
from pumice.cli.judging import Judging, require_folder
from pumice.cli.output import note
from pumice.cli.settings import Debug, Settings, with_settings
from pumice.cli.spelling import with_groups
from pumice.errors import PumiceError, UsageError

if TYPE_CHECKING:
    from pumice.cli.evaluating import Benchmark, Order
    from pumice.evaluate.results import Result

#: What a paper's figures were made with, unless the command line itself says something else: nobody's usual settings.
_AS_PUBLISHED = ("temperature", "top_p", "top_k", "max_tokens", "seed", "stop", "system", "text_in_images")

Names: TypeAlias = Annotated[list[str], Argument(help="Benchmarks; pumice evaluate tasks lists them.", metavar="TASK")]
Data: TypeAlias = Annotated[
    Path,
    Option("--data", metavar="FOLDER", help="The official files: a folder of benchmarks, or of this one alone."),
]
#: Where the original's documentation puts them.
_DATA = Path("playground/data/eval")
Everything: TypeAlias = Annotated[bool, Option("--all", help="Show every figure, not the main ones only.")]
AsJson: TypeAlias = Annotated[bool, Option("--json", help="Print one JSON object, with every figure.")]


def evaluate() -> None:
    """Run benchmarks, score answers, and say how sure the figures are.

    \b
    pumice evaluate pope mme --data playground/data/eval -o results     # run may be left out
    """


@with_settings
@with_groups(Asking, Judging)
def run(
    context: typer.Context,
    tasks: Names,
    *,
    data: Data = _DATA,
    out: Annotated[Path, Option("--out", "-o", metavar="FOLDER", help="Where answers and results go.")],
    asking: Asking,
    everything: Everything = False,
    as_json: AsJson = False,
    judging: Judging,
    settings: Settings,
) -> None:
    """Ask a model or a server the questions of benchmarks, score its answers, and keep both.

    Run again, only what has no answer yet is asked. Answers are greedy and as long as in the paper, unless flags of
    this command line say otherwise; what your own file says about that does not count.

    \b
    pumice evaluate run pope mme -m llava-hf/llava-1.5-7b-hf --data playground/data/eval -o results
    pumice evaluate run scienceqa --server http://127.0.0.1:8000 --data eval -o results --control blind
    pumice evaluate run gqa --data eval -o results --shards 8
    """
    from pumice.cli.evaluating import Order, ask_all, prepare

    settings, max_tokens = _as_published(context, settings)
    order = Order(tuple(dict.fromkeys(tasks)), data, out, asking, judging, max_tokens)
    benchmarks = prepare(order)
    ask_all(benchmarks, order, settings, context.obj)
    _show(benchmarks, order, settings, everything=everything, as_json=as_json)


def tasks(
    data: Annotated[Path | None, Option("--data", metavar="FOLDER", help="Say which files are there.")] = None,
    debug: Debug = False,
) -> None:
    """List the benchmarks, the files that each needs, and where to get them."""
    from pumice.cli.evaluating import folder_of
    from pumice.cli.figures import print_tasks
    from pumice.evaluate.tasks.table import TASKS

    print_tasks([(task, None if data is None else folder_of(task, data)) for task in TASKS.values()])


@with_groups(Judging)
def score(
    task: Annotated[str, Argument(help="A benchmark; pumice evaluate tasks lists them.")],
    answers: Annotated[
        Path, Argument(help="Its answers, by anyone: as the benchmark's or the original's tools write them.")
    ],
    *,
    data: Data = _DATA,
    out: Annotated[
        Path | None, Option("--out", "-o", metavar="FOLDER", help="Keep the result, for compare and report.")
    ] = None,
    profile: Profile = None,
    submission: Annotated[
        Path | None,
        Option("--submission", metavar="FILE", help="Write what the benchmark's server takes, and score nothing."),
    ] = None,
    as_json: AsJson = False,
    quiet: Annotated[bool, Option("--quiet", "-q", help="Nothing on stderr but errors.")] = False,
    judging: Judging,
    debug: Debug = False,
) -> None:
    """Score a file of answers, whoever made it.

    \b
    pumice evaluate score pope answers.jsonl --data playground/data/eval
    pumice evaluate score vqav2 answers.jsonl --data eval --submission upload.json
    pumice evaluate score mm-vet answers.json --data eval -o results --judge https://api.openai.com/v1 --budget 2
    """
    from pumice.cli.evaluating import Order, find_task, folder_of, score_file

    if submission is not None:
        found = find_task(task)
        if found.submission is None:
            raise UsageError(f"{found.title} has no server to submit to", hint="leave --submission out")
        found.submission(found.answers(answers), folder_of(found, data), submission)
        print(submission)
        return
    require_folder(judging, out)
    order = Order((task,), data, out or Path(), Asking(profile=profile), judging)
    result = score_file(task, answers, order, Settings(quiet=quiet), keep=out is not None)
    _print([result], everything=True, as_json=as_json)


def compare(
    first: Annotated[Path, Argument(help="A folder of results, or one file *.result.json.")],
    second: Annotated[Path, Argument(help="Another: the change from the first to this is shown.")],
    everything: Everything = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Say by how much two runs differ, how sure that is, and which difference could have been seen at all.

    \b
    pumice evaluate compare results-7b results-13b
    pumice evaluate compare results/pope.blind.result.json results/pope.result.json
    """
    from pumice.cli.evaluating import compared
    from pumice.cli.figures import print_comparisons
    from pumice.evaluate.summary import comparison_facts

    found = compared(first, second)
    if as_json:
        print(json.dumps({"comparisons": [{"name": x.name, **comparison_facts(x.comparison)} for x in found]}))
        return
    print_comparisons(found, everything=everything)


def report(
    folders: Annotated[list[Path], Argument(help="Folders of results, of one run each.", metavar="FOLDER")],
    out: Annotated[
        Path | None, Option("--out", "-o", metavar="FILE", help="The page. Default: report.html in the first folder.")
    ] = None,
    examples: Annotated[
        int, Option("--examples", min=0, help="Answers that went wrong, of each benchmark and run.")
    ] = 9,
    overwrite: Annotated[bool, Option("--overwrite", help="Replace the page if it exists.")] = False,
    debug: Debug = False,
) -> None:
    """Write one page of HTML about runs: the radar beside LLaVA-1.5, figures with intervals, and what went wrong.

    \b
    pumice evaluate report results
    pumice evaluate report results-7b results-13b -o sizes.html
    """
    from pumice.cli.figures import names_of
    from pumice.evaluate.report import report as written
    from pumice.evaluate.results import read_results
    from pumice.files import fresh_file

    page = written(dict(zip(names_of(folders), map(read_results, folders), strict=True)), examples)
    target = out or folders[0] / "report.html"
    with fresh_file(target, overwrite=overwrite) as file:
        file.write(page.encode("utf-8", "replace"))  # half a surrogate pair, which JSON can spell, is no UTF-8
    print(target)


def _as_published(context: typer.Context, settings: Settings) -> tuple[Settings, int | None]:
    """The settings without what only habit says about generation; and the most tokens, if the command line tells."""
    from dataclasses import replace

    plain = Settings()
    given = {name for name in _AS_PUBLISHED if _given(context, name)}
    usual = {name: getattr(plain, name) for name in _AS_PUBLISHED if name not in given}
    return replace(settings, **usual), settings.max_tokens if "max_tokens" in given else None


def _given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _show(benchmarks: list[Benchmark], order: Order, settings: Settings, *, everything: bool, as_json: bool) -> None:
    """Scores what can be scored, shows it, and says of the rest why not. Exits with the first failure's code."""
    from pumice.cli.evaluating import conclude, failed

    results: list[Result] = []
    codes: list[int] = []
    for each in benchmarks:
        try:
            result = conclude(each, order, settings)
        except PumiceError as error:
            codes.append(error.exit_code)
            print(
                f"{each.place.name} is not scored: {error}" + (f" ({error.hint})" if error.hint else ""),
                file=sys.stderr,
            )
            result = None
        else:
            if result is None:
                note(f"{each.place.name}: scored once all parts have ended", settings)
        if result is not None:
            results.append(result)
        if failures := failed(each, order):
            why, code = failures[0]
            codes.append(code)
            print(
                f"{each.place.name}: {len(failures)} questions are not answered, the first because: {why}",
                file=sys.stderr,
            )
    _print(results, everything=everything or len(results) == 1, as_json=as_json)
    if codes:
        raise Exit(codes[0])


def _print(results: list[Result], *, everything: bool, as_json: bool) -> None:
    from pumice.cli.figures import print_results
    from pumice.evaluate.results import as_facts

    if as_json:
        print(json.dumps({"results": [as_facts(each) for each in results]}))
    elif results:
        print_results(results, everything=everything)
