"""Curves of a training log, as one picture. Needs matplotlib, which the extra ``train`` brings."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_SIZE = (11.0, 7.0)  # inches
_BLUE, _RED, _GREY = "#2f6fab", "#c4472b", "#5b6770"
_SMOOTH = 50  # as many points a smoothed curve has, about


@dataclass(frozen=True)
class _Panel:
    """What a panel shows: its own curve, with the field of the log, and that of held-out data."""

    title: str
    own: str
    held_out: str | None = None
    colour: str = _BLUE
    unit: float = 1.0  # that values are multiplied with


def draw_curves(lines: Sequence[Mapping[str, float]], rate: float, best: int | None = None) -> str:
    """Loss, accuracy, learning rate and tokens a second over the steps of a log, as SVG.

    lines: of the log, those of training and of held-out data, by step. rate: the highest learning rate. best: the step
    of the best model. Raises: ImportError without matplotlib.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    panels = (
        _Panel("loss", "loss", "held_out_loss"),
        _Panel("token accuracy", "accuracy", "held_out_accuracy"),
        _Panel("learning rate", "rate", colour=_GREY, unit=rate),
        _Panel("tokens a second", "tokens_per_s", colour=_GREY),
    )
    drawn = io.StringIO()
    with rc_context({"svg.fonttype": "none", "font.family": "sans-serif", "svg.hashsalt": "pumice"}):
        figure = Figure(figsize=_SIZE, layout="constrained")
        for axes, panel in zip(figure.subplots(2, 2).flat, panels, strict=True):
            _draw(axes, panel, lines)
            if best is not None and panel.held_out is not None:
                axes.axvline(best, color=_RED, linewidth=1, linestyle=":", label="best")
            if panel.held_out is not None and axes.get_lines():
                axes.legend(fontsize=9, frameon=False)
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()[drawn.getvalue().index("<svg") :]


def _draw(axes: object, panel: _Panel, lines: Sequence[Mapping[str, float]]) -> None:
    from matplotlib.axes import Axes

    assert isinstance(axes, Axes)
    axes.set_title(panel.title, fontsize=10, loc="left")
    axes.set_xlabel("step", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.set_xlim(0, max((line["step"] for line in lines), default=1) * 1.02)
    points = _points(lines, panel.own, panel.unit)
    many = len(points) > 2 * _SMOOTH and panel.held_out is not None
    if points:
        thin = {"alpha": 0.3, "linewidth": 0.8} if many else {"linewidth": 1.5, "label": "training"}
        axes.plot(*zip(*points, strict=True), color=panel.colour, **thin)
    if many:
        axes.plot(*zip(*_smoothed(points), strict=True), color=panel.colour, linewidth=1.6, label="training, mean")
    held = [] if panel.held_out is None else _points(lines, panel.held_out, 1.0)
    if held:
        axes.plot(*zip(*held, strict=True), "o-", color=_RED, markersize=3.5, linewidth=1.5, label="held out")
    if panel.held_out != "held_out_loss":
        axes.set_ylim(bottom=0)


def _points(lines: Sequence[Mapping[str, float]], name: str, unit: float) -> list[tuple[float, float]]:
    return [(line["step"], line[name] * unit) for line in lines if line.get(name) is not None]


def _smoothed(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Means of neighbours."""
    size = max(1, len(points) // _SMOOTH)
    groups = [points[at : at + size] for at in range(0, len(points), size)]
    return [(each[-1][0], sum(value for _, value in each) / len(each)) for each in groups]
