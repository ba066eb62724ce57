"""Plots of benchmark results as SVG: the radar beside LLaVA-1.5, and bars with intervals.

Each plot comes in two shades, for light and dark pages, on a transparent ground. Runs differ by colour (Okabe and Ito's
palette, told apart by colour-blind readers) and by marker or hatching, never by colour alone. Needs matplotlib, which
the extra ``eval`` brings.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.projections.polar import PolarAxes

LEAST_AXES = 3  # a radar needs an area
REFERENCE = "13B"  # whose published figure is the radar's ring
_ZOOMED = 0.5  # the radar's centre, as a share of the ring, once every figure lies beyond it
_TEXT_AT = 103  # per cent: where a bar's figures stand
_ROW = 105  # characters that a row of the key may have
_BEYOND = 1.18  # the radar's edge, as a share of the ring: a run may be better than what was published
_MARKERS = "os^Dvp"
_HATCHES = ("", "//", "..", "xx", "\\\\", "++")


@dataclass(frozen=True)
class Estimate:
    """A figure and the ends of its 95 % interval, if it has one."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Spoke:
    """One benchmark, or one metric of it.

    scale: the largest that a figure can be. values: of each run in order, None where a run has none. published: of
    LLaVA-1.5 by size.
    """

    title: str
    scale: float
    values: tuple[Estimate | None, ...]
    published: Mapping[str, float] = field(default_factory=dict)
    smaller_is_better: bool = False


@dataclass(frozen=True)
class Shade:
    """Colours for a page. ``ground`` is the page's own, for lines upon what is filled."""

    ground: str
    ink: str
    soft: str
    line: str
    runs: tuple[str, ...]
    published: Mapping[str, str]


LIGHT = Shade(
    "#ffffff",
    "#1d232a",
    "#5b6672",
    "#d3d9df",
    ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#4b4fa0"),
    {"7B": "#8c96a1", "13B": "#414b56"},
)
DARK = Shade(
    "#15191e",
    "#e4e8ec",
    "#9aa5b1",
    "#3b444e",
    ("#56b4e9", "#f08a3c", "#3cc79b", "#e8a6cb", "#f0e442", "#a5a9f0"),
    {"7B": "#78838f", "13B": "#c3ccd5"},
)


def radar(spokes: Sequence[Spoke], runs: Sequence[str], shade: Shade) -> bytes:
    """All benchmarks in one circle; each needs a published figure of ``REFERENCE``, at which its ring is drawn.

    With fewer than three benchmarks there is no area, and bars are drawn instead.
    """
    if len(spokes) < LEAST_AXES:
        return bars(spokes, runs, shade)
    from matplotlib.projections.polar import PolarAxes

    with _settings():
        figure = _figure(8.4, 7.6)
        axes = figure.add_subplot(projection="polar")
        assert isinstance(axes, PolarAxes)
        _circle(axes, spokes, runs, shade)
        return _written(figure)


def in_the_round(spokes: Sequence[Spoke]) -> list[Spoke]:
    """The benchmarks that a radar shows: with a published figure, and one of a run that has at least three of them."""
    known = [spoke for spoke in spokes if REFERENCE in spoke.published]
    shown = _drawn(known)
    return [spoke for spoke in known if any(spoke.values[at] is not None for at in shown)]


def _drawn(spokes: Sequence[Spoke]) -> list[int]:
    """The places of the runs that have figures for an area."""
    runs = range(len(spokes[0].values) if spokes else 0)
    return [at for at in runs if sum(spoke.values[at] is not None for spoke in spokes) >= LEAST_AXES]


def radar_centre(spokes: Sequence[Spoke]) -> float:
    """What a radar's centre stands for, as a share of the ring: one half if all figures are beyond it, else 0."""
    shares = [share for spoke in spokes for share in _shares(spoke) if share is not None]
    return _ZOOMED if shares and min(shares) >= _ZOOMED else 0.0


def bars(spokes: Sequence[Spoke], runs: Sequence[str], shade: Shade) -> bytes:
    """A group of bars for each benchmark, as shares of the largest possible figure, with intervals."""
    with _settings():
        published = any(spoke.published for spoke in spokes)
        height = 0.9 + len(spokes) * (0.26 + 0.24 * len(runs))
        figure = _figure(9.2, height + (0.35 if published or len(runs) > 1 else 0))
        _rows(figure.add_subplot(), spokes, runs, shade)
        _key(figure, spokes, runs, shade)
        return _written(figure)


@contextmanager
def _settings() -> Iterator[None]:
    """The same bytes each time; names with a dollar are names. All is as before afterwards.

    Text stays text: a reader has letters for any language, which matplotlib's own font has not.
    """
    from matplotlib import rc_context

    with (
        rc_context(
            {"svg.hashsalt": "pumice", "svg.fonttype": "none", "font.family": "sans-serif", "text.parse_math": False}
        ),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        yield


def _figure(width: float, height: float) -> Figure:
    """Inches. Nobody's current figure: pyplot knows nothing of it."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _written(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return file.getvalue()


def _shares(spoke: Spoke) -> list[float | None]:
    """Of the ring: of each run, then those published."""
    ring = spoke.published[REFERENCE]
    own = [None if each is None else each.value / ring for each in spoke.values]
    return [*own, *(value / ring for value in spoke.published.values())]


def _circle(axes: PolarAxes, spokes: Sequence[Spoke], runs: Sequence[str], shade: Shade) -> None:
    angles = [2 * math.pi * at / len(spokes) for at in range(len(spokes))]
    centre, shown = radar_centre(spokes), _drawn(spokes)
    axes.set_theta_zero_location("N")
    axes.set_theta_direction(-1)
    axes.set_ylim(0, (_BEYOND - centre) / (1 - centre))
    rings = [step / 4 for step in range(1, 5)]
    axes.set_yticks(rings, [""] * len(rings))
    axes.set_xticks(angles, [_label(spoke, shown) for spoke in spokes], color=shade.ink, fontsize=9.5)
    axes.tick_params(axis="x", pad=14)
    axes.grid(color=shade.line, linewidth=0.8)
    axes.spines["polar"].set_visible(False)
    for ring in rings:
        text = f"{centre + ring * (1 - centre):.0%}"
        axes.text(math.pi / len(spokes), ring, text, color=shade.soft, fontsize=7.5, ha="center", va="center")

    def line(shares: Sequence[float | None], **style: object) -> None:
        """Around the circle; open where a figure is missing."""
        radii = [math.nan if share is None else max(0.0, (share - centre) / (1 - centre)) for share in shares]
        axes.plot([*angles, angles[0]], [*radii, radii[0]], **style)  # type: ignore[arg-type]

    for size, colour in shade.published.items():
        shares = [
            spoke.published[size] / spoke.published[REFERENCE] if size in spoke.published else None for spoke in spokes
        ]
        dashes = "-" if size == REFERENCE else (0, (4, 2.5))
        line(shares, color=colour, linewidth=1.3, linestyle=dashes, label=f"LLaVA-1.5-{size}, published")
    for at in shown:
        shares = [_shares(spoke)[at] for spoke in spokes]
        line(shares, **_style(at, shade), linewidth=2, markersize=5, label=_key_label(runs[at]))
        if None not in shares:
            radii = [max(0.0, (share - centre) / (1 - centre)) for share in shares if share is not None]
            axes.fill(angles, radii, color=_style(at, shade)["color"], alpha=0.12)
    legend = axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.09), ncols=2, frameon=False, labelcolor=shade.ink)
    legend.set_zorder(0)


def _key_label(run: str) -> str:
    """A run's name for a key, from which matplotlib leaves out what begins with an underscore."""
    return f"\N{ZERO WIDTH SPACE}{run}" if run.startswith("_") else run


def _label(spoke: Spoke, shown: Sequence[int]) -> str:
    """A benchmark's name, and below it the figures of the runs that are shown."""
    figures = [spoke.values[at] for at in shown]
    return f"{spoke.title}\n{' | '.join('–' if each is None else _number(each.value) for each in figures)}"


def _number(value: float) -> str:
    return f"{value:,.1f}"


def _style(run: int, shade: Shade) -> dict[str, str]:
    return {"color": shade.runs[run % len(shade.runs)], "marker": _MARKERS[run % len(_MARKERS)]}


def _rows(axes: Axes, spokes: Sequence[Spoke], runs: Sequence[str], shade: Shade) -> None:
    thick = 0.78 / max(1, len(runs))
    for row, spoke in enumerate(spokes):
        unit = 100 / spoke.scale
        shown = [(at, each) for at, each in enumerate(spoke.values) if each is not None and not math.isnan(each.value)]
        for turn, (at, each) in enumerate(shown):
            place = row + (turn - (len(shown) - 1) / 2) * thick
            _bar(axes, place, thick, each, at, unit, shade)
            axes.text(_TEXT_AT, place, _said(each), va="center", fontsize=8, color=shade.ink)
        for size, value in spoke.published.items():
            marker = "D" if size == REFERENCE else "|"
            axes.plot(
                [value * unit], [row], marker, color=shade.published.get(size, shade.soft), markersize=6, zorder=4,
                markeredgewidth=2 if marker == "|" else 0.5,
            )  # fmt: skip
    axes.set_yticks(range(len(spokes)), [_row_title(spoke) for spoke in spokes], color=shade.ink)
    axes.set_ylim(len(spokes) - 0.4, -0.6)
    axes.set_xlim(0, 128)
    axes.set_xticks(range(0, 101, 20))
    axes.set_xlabel("% of the largest possible figure", color=shade.soft, fontsize=9)
    axes.tick_params(colors=shade.soft, length=0)
    axes.tick_params(axis="y", labelcolor=shade.ink)
    axes.grid(axis="x", color=shade.line, linewidth=0.8)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _bar(axes: Axes, place: float, thick: float, each: Estimate, run: int, unit: float, shade: Shade) -> None:
    """One bar with its interval."""
    colour, value = _style(run, shade)["color"], each.value * unit
    hatch = _HATCHES[run % len(_HATCHES)]
    axes.barh(place, value, thick * 0.86, color=colour, alpha=0.85, hatch=hatch, edgecolor=shade.ground, linewidth=0)
    if each.low is not None and each.high is not None:
        ends = [[max(0, value - each.low * unit)], [max(0, each.high * unit - value)]]
        axes.errorbar(value, place, xerr=ends, color=shade.ink, capsize=2.5, linewidth=1.2)


def _said(each: Estimate) -> str:
    interval = "" if each.low is None or each.high is None else f"  ({_number(each.low)} to {_number(each.high)})"
    return f"{_number(each.value)}{interval}"


def _row_title(spoke: Spoke) -> str:
    """The name, and what there is to know about its figures."""
    largest = "" if spoke.scale == 100 else f" (of {spoke.scale:,g})"
    return f"{spoke.title}{largest}{' ↓' if spoke.smaller_is_better else ''}"


def _key(figure: Figure, spokes: Sequence[Spoke], runs: Sequence[str], shade: Shade) -> None:
    """What colours and markers mean, above the bars."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Line2D | Patch] = []
    for at, run in enumerate(runs):
        if any(spoke.values[at] is not None for spoke in spokes):
            style = {"facecolor": _style(at, shade)["color"], "hatch": _HATCHES[at % len(_HATCHES)]}
            handles.append(Patch(**style, alpha=0.85, edgecolor=shade.ground, label=_key_label(run)))  # type: ignore[arg-type]
    for size, colour in shade.published.items():
        if any(size in spoke.published for spoke in spokes):
            marker, label = "D" if size == REFERENCE else "|", f"LLaVA-1.5-{size}, published"
            handles.append(Line2D([], [], color=colour, marker=marker, linestyle="", markeredgewidth=2, label=label))
    if len(handles) > 1:
        width = sum(len(str(each.get_label())) + 6 for each in handles)
        figure.legend(
            handles=handles, loc="outside upper left", ncols=len(handles) if width < _ROW else 2, fontsize=8.5,
            frameon=False, labelcolor=shade.ink,
        )  # fmt: skip
