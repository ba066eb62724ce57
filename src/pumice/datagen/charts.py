"""Histograms of a run, for a page that is light or dark."""

from __future__ import annotations

import io
from collections.abc import Mapping
from importlib.util import find_spec

from pumice.errors import UsageError
from pumice.page import Html, picture

_SIZE_IN = (6.4, 2.8)
_BINS = 40
_INK = "#1d232a"
_THEME = b"<style>svg { color: #1d232a } @media (prefers-color-scheme: dark) { svg { color: #e4e8ec } }</style>"
_COLOURS = ("#0b62a8", "#c8553d", "#588b3c", "#8f5aa8", "#b08a1e", "#3a9e9e", "#a84a74")


def require_charts() -> None:
    """Raises: UsageError if there is nothing to draw with."""
    if find_spec("matplotlib") is None:
        raise UsageError("the report of a run needs matplotlib", hint="pip install 'pumice[datagen]'")


def histogram(title: str, counts: Mapping[str, Mapping[str, int]]) -> Html:
    """How often which number occurs, stacked by group. counts: group -> number, as text -> how often."""
    alt = f"{title}: " + "; ".join(f"{name} {_span(each)}" for name, each in counts.items())
    return picture(_drawn(title, counts), alt, 620)


def middle(counts: Mapping[str, int]) -> int:
    """The median of numbers that are counted; 0 of none."""
    left = sum(counts.values()) / 2
    for number, count in sorted((int(number), count) for number, count in counts.items()):
        left -= count
        if left <= 0:
            return number
    return 0


def _span(counts: Mapping[str, int]) -> str:
    numbers = [int(each) for each in counts]
    return f"from {min(numbers)} to {max(numbers)}, median {middle(counts)}"


def _drawn(title: str, counts: Mapping[str, Mapping[str, int]]) -> bytes:
    """As SVG whose ink follows the reader's preference, as the page's does."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    most = max(int(number) for each in counts.values() for number in each)
    width = max(1, -(-(most + 1) // _BINS))
    with mpl.rc_context({"svg.hashsalt": "pumice", "svg.fonttype": "path", "font.size": 9}):
        figure = Figure(figsize=_SIZE_IN, facecolor="none")
        axes = figure.add_axes((0.1, 0.2, 0.88, 0.75), facecolor="none")
        axes.hist(
            [[int(number) for number in each] for each in counts.values()],
            weights=[list(each.values()) for each in counts.values()],
            bins=[edge - 0.5 for edge in range(0, most + width + 1, width)],
            stacked=True,
            label=list(counts),
            color=[_COLOURS[at % len(_COLOURS)] for at in range(len(counts))],
        )
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))  # there are no half words
        axes.set_xlabel(title, color=_INK)
        axes.set_ylabel("how many", color=_INK)
        axes.tick_params(colors=_INK)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["bottom", "left"]].set_color(_INK)
        if len(counts) > 1:
            axes.legend(frameon=False, labelcolor=_INK)
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    head, begin, body = file.getvalue().partition(b"<defs>")
    return head + _THEME + begin + body.replace(_INK.encode(), b"currentColor")
