"""Curves of a training log, as one picture. Needs matplotlib, which the extra ``train`` brings."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

_SIZE = (11.0, 7.0)  # inches
_BLUE, _RED, _GREY = "#2f6fab", "#c4472b", "#9a9a9a"


def draw_curves(lines: Sequence[Mapping[str, float]]) -> str:
    """Loss, accuracy, learning rate and tokens a second over the steps of a log, as SVG.

    lines: of the log, those of training and of held-out data, by step. Raises: ImportError without matplotlib.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, layout="constrained")
    panels = figure.subplots(2, 2)
    plots = (
        (panels[0, 0], "loss", (("loss", "training", _BLUE, "-"), ("held_out_loss", "held out", _RED, "o-"))),
        (
            panels[0, 1],
            "token accuracy",
            (("accuracy", "training", _BLUE, "-"), ("held_out_accuracy", "held out", _RED, "o-")),
        ),
        (panels[1, 0], "learning rate, share of the peak", (("rate", "rate", _GREY, "-"),)),
        (panels[1, 1], "tokens a second", (("tokens_per_s", "tokens/s", _GREY, "-"),)),
    )
    for axes, title, curves in plots:
        for name, label, colour, style in curves:
            points = [(line["step"], line[name]) for line in lines if line.get(name) is not None]
            if points:
                axes.plot(*zip(*points, strict=True), style, color=colour, label=label, markersize=4, linewidth=1.4)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("step", fontsize=9)
        axes.grid(alpha=0.3)
        if len(axes.get_lines()) > 1:
            axes.legend(fontsize=9)
    drawn = io.StringIO()
    with rc_context({"svg.fonttype": "none"}):  # words stay words
        figure.savefig(drawn, format="svg")
    return drawn.getvalue()[drawn.getvalue().index("<svg") :]
