"""Plots: well-formed for any number of benchmarks and runs, true to the figures, readable on both grounds."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib import rcParams
from matplotlib.figure import Figure
from matplotlib.projections.polar import PolarAxes

from pumice.evaluate.plots import DARK, LIGHT, Estimate, Shade, Spoke, _circle, bars, in_the_round, radar, radar_centre

SHADES = pytest.mark.parametrize("shade", [LIGHT, DARK], ids=["light", "dark"])
RUNS = ("mine", "yours, $5 a day", "a third")
# Machado, Oliveira, Fernandes 2009: what people without red and without green cones see of linear RGB.
BLIND = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
}


def spokes(count: int, runs: int, share: float = 0.8, scale: float = 100.0) -> list[Spoke]:
    published = {"7B": 0.6 * scale, "13B": 0.7 * scale}
    value = share * published["13B"]
    return [
        Spoke(f"bench {at}", scale, (Estimate(value, value - 1, value + 1),) * runs, published) for at in range(count)
    ]


def size(drawn: bytes) -> tuple[float, float]:
    root = ElementTree.fromstring(drawn)
    assert root.tag.endswith("}svg")
    width, height = (float(root.attrib[side].removesuffix("pt")) for side in ("width", "height"))
    return width, height


@pytest.mark.parametrize("count", [1, 2, 3, 12])
@pytest.mark.parametrize("runs", [1, 3])
def test_any_number_of_benchmarks(count: int, runs: int) -> None:
    found, names = spokes(count, runs), RUNS[:runs]
    assert all(80 < side < 2500 for side in size(radar(found, names, LIGHT)))
    assert (radar(found, names, DARK) == bars(found, names, DARK)) == (count < 3), "three make an area, two do not"


def test_the_same_figures_give_the_same_bytes_and_leave_nothing_behind() -> None:
    before, had = dict(rcParams), "matplotlib.pyplot" in sys.modules
    assert radar(spokes(4, 2), RUNS[:2], LIGHT) == radar(spokes(4, 2), RUNS[:2], LIGHT)
    assert dict(rcParams) == before
    assert ("matplotlib.pyplot" in sys.modules) == had


@pytest.mark.parametrize("draw", [radar, bars])
@pytest.mark.filterwarnings("error")
def test_any_name_is_in_the_key(draw: Callable[..., bytes]) -> None:
    names = ("_before", "结果", "<b> & $5")
    drawn = ElementTree.fromstring(draw(spokes(4, 3), names, LIGHT))
    said = {"".join(each.itertext()).strip("\u200b") for each in drawn.iter("{http://www.w3.org/2000/svg}text")}
    assert said >= set(names)


def test_what_is_missing_is_left_open() -> None:
    some = Spoke("half", 2000, (None, Estimate(1000.0)), {"13B": 1500.0})
    undefined = Spoke("none", 100, (Estimate(math.nan), None), {"13B": 60.0}, smaller_is_better=True)
    for found in ([some, undefined], [some, undefined, *spokes(2, 2)]):
        assert size(radar(found, RUNS[:2], LIGHT)) and size(bars(found, RUNS[:2], DARK))


def radii(found: Sequence[Spoke], runs: Sequence[str]) -> dict[str, list[float]]:
    """By their labels, where the lines of a radar run; 1 is the ring."""
    axes = Figure().add_subplot(projection="polar")
    assert isinstance(axes, PolarAxes)
    _circle(axes, found, runs, LIGHT)
    return {str(line.get_label()): [float(each) for each in line.get_ydata()] for line in axes.get_lines()}  # type: ignore[union-attr]


def test_the_ring_is_what_was_published() -> None:
    lines = radii([*spokes(3, 1, share=1.0), *spokes(1, 1, share=0.5, scale=2000)], ["mine"])
    assert lines["LLaVA-1.5-13B, published"] == [1.0] * 5, "closed: as many points as axes, and the first again"
    assert lines["mine"] == pytest.approx([1, 1, 1, 0, 1]), "the centre stands for a half once all are beyond it"
    assert lines["LLaVA-1.5-7B, published"] == pytest.approx([(6 / 7 - 0.5) / 0.5] * 5)
    lower = spokes(3, 1, share=0.49)
    assert radar_centre(lower) == 0
    assert radii(lower, ["mine"])["mine"] == pytest.approx([0.49] * 4)


def test_two_figures_are_no_area() -> None:
    """A run is drawn in the round from three benchmarks on; what only others have is left to the bars."""
    both = [replace(each, values=(Estimate(50.0), Estimate(40.0))) for each in spokes(3, 2)]
    only = replace(spokes(1, 2)[0], title="only", values=(None, Estimate(40.0)))
    beyond = replace(only, title="beyond", published={})
    assert in_the_round([*both, only, beyond]) == [*both, only]
    few = [replace(each, values=(Estimate(50.0), None)) for each in both[1:]]
    shown = in_the_round([both[0], *few, only, beyond])
    assert shown == [both[0], *few]
    lines = radii(shown, ["mine", "yours"])
    assert "mine" in lines and "yours" not in lines
    assert in_the_round([both[0], only]) == []


def linear(colour: str) -> np.ndarray:
    channels = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """As WCAG 2 defines it, 1 to 21."""
    light, dark = sorted((float(linear(each) @ [0.2126, 0.7152, 0.0722]) + 0.05 for each in (one, other)), reverse=True)
    return light / dark


@SHADES
def test_colours_stand_out_from_the_ground(shade: Shade) -> None:
    assert contrast(shade.ink, shade.ground) > 7
    assert contrast(shade.soft, shade.ground) > 4.5
    assert min(contrast(each, shade.ground) for each in (*shade.runs, *shade.published.values())) > 2.8


@SHADES
@pytest.mark.parametrize("kind", BLIND)
def test_colour_blind_readers_tell_runs_apart(shade: Shade, kind: str) -> None:
    seen = [np.clip(np.array(BLIND[kind]) @ linear(each), 0, 1) ** (1 / 2.2) for each in shade.runs[:4]]
    assert min(float(np.linalg.norm(one - other)) for one, other in combinations(seen, 2)) > 0.1
