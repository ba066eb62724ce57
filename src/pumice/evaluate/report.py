"""Results as one HTML page: the radar beside LLaVA-1.5, figures with intervals, answers that went wrong, what was run.

    Path("report.html").write_text(report({"my model": read_results(Path("out"))}), encoding="utf-8")

Runs are told by the names they are given; of one run all is said, too. Nothing but the run's own files is read, and
the pictures of the few answers that are shown.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pumice.errors import PumiceError
from pumice.evaluate.examples import chosen, costliest, example_cards
from pumice.evaluate.plots import (
    DARK,
    LEAST_AXES,
    LIGHT,
    REFERENCE,
    Estimate,
    Shade,
    Spoke,
    bars,
    in_the_round,
    radar,
    radar_centre,
)
from pumice.evaluate.questions import JSON
from pumice.evaluate.results import Figure, Result
from pumice.evaluate.tasks.table import TASKS
from pumice.page import Html, details, heading, page, paragraph, picture, preformatted, table

EXAMPLES = 9
NO_PLOTS = "Plots need matplotlib: pip install 'pumice[eval]', then write the report again."
_MOST_BARS = 24
#: How many questions each published figure is upon (reference/llava.md, section 7.2), as our scorers count them;
#: editions of the files differ a little.
_ASKED: Mapping[str, tuple[int, ...]] = {
    "vqav2": (107_394,),
    "gqa": (12_578,),
    "vizwiz": (8_000,),
    "scienceqa": (4_241,),
    "textvqa": (5_000,),
    "pope": (8_910, 9_000),
    "mme": (2_374,),
    "mmbench": (1_164, 1_176),
    "mmbench-cn": (1_164, 1_176),
    "seed-bench": (19_242, 14_232),
    "llava-bench": (60,),
    "mm-vet": (218,),
}
_FEW = 8  # metrics that are shown without a click
Runs: TypeAlias = Mapping[str, Sequence[Result]]
_Draw: TypeAlias = Callable[[Sequence[Spoke], Sequence[str], Shade], bytes]


@dataclass(frozen=True)
class _Benchmark:
    """What all runs have of one benchmark; None where a run has nothing."""

    title: str
    results: tuple[Result | None, ...]

    @property
    def some(self) -> Result:
        return next(result for result in self.results if result is not None)


def report(runs: Runs, examples: int = EXAMPLES) -> str:
    """The page. runs: by the names that are shown. examples: of each benchmark and run.

    A picture or a file of rows that is gone is said in its place; nothing of that is an error.
    """
    names = list(runs)
    benchmarks = _benchmarks(runs, control=False)
    body = [
        paragraph(
            "Intervals are 95 % confidence intervals, made by drawing whole pictures anew: they say how far a figure "
            "could be off because the benchmark has these pictures and not others like them. Published figures are "
            "LLaVA-1.5's, upon all questions of the benchmark's own files; compare only what was asked the same."
        ),
        *([*_plots(names, benchmarks), heading("Figures"), _figures(names, benchmarks)] if benchmarks else ()),
        *_controls(names, runs),
        *([heading("Benchmarks")] if benchmarks else ()),
        *(part for each in benchmarks for part in _benchmark(names, each, examples)),
        heading("What was run"),
        *(part for name in names for part in _made_with(name, runs[name])),
    ]
    return page(f"Evaluation of {' and '.join(names)}", body)


def _benchmarks(runs: Runs, *, control: bool) -> list[_Benchmark]:
    """In the order of the paper's table, then what is beyond it."""
    found = [{(each.task, each.control): each for each in results} for results in runs.values()]
    keys = {key for each in found for key in each if bool(key[1]) == control}
    places = {name: place for place, name in enumerate(TASKS)}
    benchmarks = []
    for key in sorted(keys, key=lambda key: (places.get(key[0], len(places)), key)):
        results = tuple(each.get(key) for each in found)
        benchmarks.append(_Benchmark(next(each.title for each in results if each is not None), results))
    return benchmarks


def _plots(names: Sequence[str], benchmarks: Sequence[_Benchmark]) -> Iterator[Html]:
    spokes = []
    for each in benchmarks:
        headlines = [None if result is None else result.headline for result in each.results]
        spokes.append(_spoke(each.title, headlines, each.some.published))
    round_ones = in_the_round(spokes)
    try:
        if len(round_ones) >= LEAST_AXES:
            yield heading(f"Beside LLaVA-1.5: {len(round_ones)} benchmarks")
            yield _both("radar of all benchmarks", radar, round_ones, names)
            yield paragraph(
                f"Each axis runs from {radar_centre(round_ones):.0%} of the published figure of LLaVA-1.5-{REFERENCE} "
                "in the centre to the whole of it on the ring."
            )
        if others := list(_otherwise(names, benchmarks)):
            yield paragraph(
                f"Not the paper's questions, so no comparison with what was published: {'; '.join(others)}."
            )
        yield heading("All benchmarks")
        yield _both("bars of all benchmarks", bars, spokes, names)
        if any(spoke.smaller_is_better for spoke in spokes):
            yield paragraph("↓: the smaller, the better.")
    except ImportError:
        yield paragraph(NO_PLOTS)


def _otherwise(names: Sequence[str], benchmarks: Sequence[_Benchmark]) -> Iterator[str]:
    """Where a run asked more or fewer questions than the paper."""
    for each in benchmarks:
        for name, result in zip(names, each.results, strict=True):
            if result is not None and result.questions not in _ASKED.get(result.task, (result.questions,)):
                run = f" ({name})" if len(names) > 1 else ""
                yield f"{each.title}{run} {result.questions:,} instead of {_ASKED[result.task][0]:,}"


def _both(what: str, draw: _Draw, spokes: Sequence[Spoke], names: Sequence[str]) -> Html:
    """A plot for light and for dark pages."""
    return picture(draw(spokes, names, LIGHT), what, dark=draw(spokes, names, DARK))


def _spoke(title: str, figures: Sequence[Figure | None], published: Mapping[str, float]) -> Spoke:
    metric = next(each.metric for each in figures if each is not None)
    values = tuple(None if each is None or math.isnan(each.value) else _estimate(each) for each in figures)
    return Spoke(title, metric.scale, values, published, metric.smaller_is_better)


def _estimate(figure: Figure) -> Estimate:
    interval = figure.interval
    return Estimate(figure.value) if interval.unknown else Estimate(figure.value, interval.low, interval.high)


def _figures(names: Sequence[str], benchmarks: Sequence[_Benchmark]) -> Html:
    run = ["run"] if len(names) > 1 else []
    header = ["benchmark", *run, "metric", "figure", "95 % interval", "questions", "pictures", "missing", "rules of"]
    rows = []
    for each in benchmarks:
        for name, result in zip(names, each.results, strict=True):
            if result is None:
                continue
            headline = result.headline
            own = [each.title, *([name] if run else []), headline.name, _number(headline.value), _interval(headline)]
            counts = [f"{count:,}" for count in (result.questions, result.pictures, result.missing)]
            published = [_number(result.published.get(size, math.nan)) for size in ("7B", "13B")]
            rows.append([*own, *counts, result.profile, *published])
    numeric = {len(run) + at for at in (2, 3, 4, 5, 6, 8, 9)}
    return table([*header, "1.5-7B", "1.5-13B"], rows, numeric)


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:,.1f}"


def _interval(figure: Figure) -> str:
    interval = figure.interval
    return interval.unknown or f"{_number(interval.low)} to {_number(interval.high)}"


def _controls(names: Sequence[str], runs: Runs) -> Iterator[Html]:
    """What a figure owes to the pictures: real ones, none, and somebody else's."""
    found = _benchmarks(runs, control=True)
    if not found:
        return
    real = {(name, each.task): each for name in names for each in runs[name] if not each.control}
    rows = []
    for each in found:
        for name, result in zip(names, each.results, strict=True):
            if result is None:
                continue
            seen = real.get((name, result.task))
            figures = [None if seen is None else seen.headline, result.headline]
            said = [
                cell
                for one in figures
                for cell in (("–", "–") if one is None else (_number(one.value), _interval(one)))
            ]
            rows.append([result.title, name, result.headline.name, *said[:2], result.control, *said[2:]])
    yield heading("Controls")
    yield paragraph(
        "Blind: the same questions without pictures. Shuffled: with the pictures of other questions. What is not lost "
        "there was never seen."
    )
    header = ["benchmark", "run", "metric", "with the pictures", "95 % interval", "control", "figure", "95 % interval"]
    yield table(header, rows, numeric={3, 4, 6, 7})


def _benchmark(names: Sequence[str], benchmark: _Benchmark, examples: int) -> Iterator[Html]:
    yield heading(benchmark.title, 3)
    several = len(names) > 1
    for name, result in zip(names, benchmark.results, strict=True):
        for note in () if result is None else result.notes:
            yield paragraph(f"{name}: {note}" if several else note)
    figures = [{} if result is None else {each.name: each for each in result.figures} for result in benchmark.results]
    metrics = list(dict.fromkeys(name for each in figures for name in each))
    own = [(name, each) for name, each in zip(names, figures, strict=True) if each]
    rows = [[metric, *(cell for _, each in own for cell in _cells(each.get(metric)))] for metric in metrics]
    header = ["metric", *(word for name, _ in own for word in (name if several else "figure", "95 % interval"))]
    made = table(header, rows, numeric=frozenset(range(1, len(header))))
    if len(metrics) > 1:
        spokes = [_spoke(name, [each.get(name) for each in figures], {}) for name in metrics]
        drawn = [spoke for spoke in spokes if any(value is not None for value in spoke.values)][:_MOST_BARS]
        try:
            plot = _both(f"bars of {benchmark.title}", bars, drawn, names) if drawn else Html("")
            made = made if len(metrics) <= _FEW else details(f"All {len(metrics)} figures", made)
            yield plot
        except ImportError:
            pass
    yield made
    for name, result in zip(names, benchmark.results, strict=True):
        if result is not None and examples:
            yield _failures(f"{name}: " if several else "", result, examples)


def _cells(figure: Figure | None) -> tuple[str, str]:
    return ("–", "–") if figure is None else (_number(figure.value), _interval(figure))


def _failures(run: str, result: Result, count: int) -> Html:
    try:
        rows, pictures = costliest(result.scored()), result.picture_files()
    except PumiceError as error:
        return paragraph(f"{run}no examples: {error}")
    if not rows:
        return paragraph(f"{run}no answer was wrong.")
    some = chosen(rows, count)
    return details(f"{run}{len(some)} of {len(rows)} answers that cost points", example_cards(some, pictures))


def _made_with(name: str, results: Sequence[Result]) -> Iterator[Html]:
    """What is the same for all benchmarks once, and the rest for each."""
    yield heading(name, 3)
    said = {f"{result.title}{f' ({result.control})' if result.control else ''}": _flat(result) for result in results}
    made = {title: facts for title, facts in said.items() if facts}
    for title in (title for title in said if title not in made):
        yield paragraph(f"{title}: answers that were scored as they came; nobody wrote down how they were made.")
    if not made:
        return
    first = next(iter(made.values()))
    shared = {key: value for key, value in first.items() if all(facts.get(key) == value for facts in made.values())}
    yield table(["setting", "value"], [[key, preformatted(value)] for key, value in shared.items()])
    for title, facts in made.items():
        own = [[key, preformatted(value)] for key, value in facts.items() if key not in shared]
        if own:
            yield details(title, table(["setting", "value"], own))


def _flat(result: Result) -> dict[str, str]:
    """Settings and versions as text; what is not set is left out."""
    found: dict[str, str] = {}
    for key, value in result.made_with.items():
        inner: Mapping[str, JSON] = value if isinstance(value, Mapping) else {key: value}
        for name, one in inner.items():
            if one not in (None, "", [], {}):
                found[name] = one if isinstance(one, str) else json.dumps(one, ensure_ascii=False)
    return found
