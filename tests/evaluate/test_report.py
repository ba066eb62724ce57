"""The page about runs: every figure on it, what went wrong shown, and nothing of it fatal."""

from __future__ import annotations

import math
import re
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pumice.evaluate.examples import chosen, costliest
from pumice.evaluate.formula import mean, total
from pumice.evaluate.layout import Place
from pumice.evaluate.report import NO_PLOTS, report
from pumice.evaluate.results import Result, read_results, write_result
from pumice.evaluate.statistic import Metric, Row, Scored
from pumice.evaluate.summary import summarise
from pumice.evaluate.task import Task

EVIL = "<script>alert('x')</script>"
F1 = 200 * total("tp") / (2 * total("tp") + total("fp") + total("fn"))
OUTCOMES = {"tp": True, "fp": False, "fn": False, "tn": True}


def scored(task: str = "pope", wrong: int = 5, rows: int = 40) -> Scored:
    made = tuple(
        Row(
            str(at),
            f"{at // 2}.jpg",
            {"right": float(at >= wrong), "loss": float(at < wrong)},
            "ab"[at % 2],
            at >= wrong,
            asked=f"Question {at}?",
            answer=EVIL,
            expected=f"expected {at}",
            note="a & b",
        )
        for at in range(rows)
    )
    metrics = (
        Metric("accuracy", 100 * mean("right")),
        Metric("loss", 100 * mean("loss", "a"), smaller_is_better=True),
        Metric("nothing", mean("absent")),
    )
    return Scored(task, "llava", "accuracy", made, metrics, missing=3, notes=("Mind the gap.",))


def kept(folder: Path, found: Scored, pictures: dict[str, Path], control: str = "") -> Result:
    task = Task(
        found.task,
        f"The {found.task} <b>",
        found.task,
        (),
        lambda folder: (),
        lambda path: (),
        lambda *about: found,
        published={"7B": 60.1, "13B": 70.2},
    )
    facts = {
        "made_with": {"model": "tiny", "limit": None},
        "about": {"libraries": {"torch": "2"}, "prompt": found.task},
    }
    result = summarise(found, task, Place(folder, found.task, control), facts)
    write_result(result, found.rows, pictures)
    return result


def drawn(folder: Path, count: int = 20) -> dict[str, Path]:
    folder.mkdir(exist_ok=True)
    for at in range(count):
        Image.new("RGB", (900, 300), (at * 10, 80, 160)).save(folder / f"{at}.jpg")
    return {f"{at}.jpg": folder / f"{at}.jpg" for at in range(count)}


def words(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)))


def test_everything_is_on_the_page(tmp_path: Path) -> None:
    pictures = drawn(tmp_path / "pictures")
    for name in ("pope", "gqa", "vizwiz"):
        kept(tmp_path / "out", scored(name), pictures)
    kept(tmp_path / "out", scored("pope", wrong=25), pictures, "blind")
    results = read_results(tmp_path / "out")
    page = report({"mine": results}, examples=4)
    said = words(page)
    for result in results:
        for figure in result.figures:
            if not result.control and not math.isnan(figure.value):
                assert f"{figure.name} {figure.value:,.1f} {figure.interval.low:,.1f} to" in said
    assert "Beside LLaVA-1.5: 3 benchmarks" in said and "70.2" in said and "Mind the gap." in said
    assert "blind 37.5" in said and "87.5" in said, "the control stands beside what it controls"
    assert said.count("Question") == 12 and said.count("4 of 5 answers that cost points") == 3
    assert page.count('src="data:image/jpeg') == 12
    assert page.count('src="data:image/svg') == page.count('srcset="data:image/svg') == 2 + 3
    assert said.index("The vizwiz") > said.index("The gqa"), "in the order of the paper's table"
    assert "The pope <b> 40 instead of 8,910" in said.replace("&lt;", "<").replace("&gt;", ">"), "no fair comparison"
    assert "model tiny" in said and "torch" in said and "limit" not in said
    assert EVIL not in page and "<b>" not in page and "http" not in page.split("</style>")[1]


def test_runs_stand_beside_each_other(tmp_path: Path) -> None:
    kept(tmp_path / "a", scored("pope", wrong=5), {})
    kept(tmp_path / "a", scored("gqa", wrong=5), {})
    kept(tmp_path / "b", scored("pope", wrong=10), {})
    said = words(report({name: read_results(tmp_path / name) for name in "ab"}, examples=2))
    assert re.search(r"accuracy 87\.5 [\d.]+ to [\d.]+ 75\.0 [\d.]+ to [\d.]+", said), "one line for both"
    assert "metric a 95 % interval b 95 % interval accuracy" in said, "of the one that both have"
    assert "metric a 95 % interval accuracy" in said, "and of the other"
    assert "a: 2 of 5 answers" in said and "b: 2 of 10 answers" in said


def test_controls_alone_have_a_page_without_empty_parts(tmp_path: Path) -> None:
    page = report({"mine": [kept(tmp_path, scored(), {}, "blind")]})
    assert "Controls" in words(page) and "svg" not in page
    assert not {"<h2>Figures</h2>", "<h2>Benchmarks</h2>"} & set(page.splitlines())


def test_what_is_gone_is_said(tmp_path: Path) -> None:
    pictures = drawn(tmp_path / "pictures")
    result = kept(tmp_path / "out", scored(), pictures)
    pictures["0.jpg"].unlink()
    pictures["1.jpg"].write_bytes(b"no picture")
    page = report({"mine": [result]})
    assert words(page).count("cannot be shown") == 4, "two questions about each"
    assert page.count('src="data:image/jpeg') == 1
    result.place.rows.unlink()
    assert "no examples: cannot read the rows of a result" in words(report({"mine": [result]}))
    right = kept(tmp_path / "right", scored(wrong=0), {})
    assert "no answer was wrong" in words(report({"mine": [right]}))
    assert "answers that cost points" not in words(report({"mine": [result]}, examples=0))


def test_without_matplotlib_there_are_no_plots_but_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = kept(tmp_path / "out", scored(), {})
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    page = report({"mine": [result]})
    assert NO_PLOTS in words(page).replace("&#x27;", "'") and "svg" not in page and "87.5" in page


@settings(deadline=None)
@given(st.lists(st.sampled_from(list(OUTCOMES)), min_size=2, max_size=30), st.booleans())
def test_the_costliest_come_first(outcomes: list[str], reverse: bool) -> None:
    """Whatever the metric, leaving out the first row shown gains the most, and rows that gain nothing are not shown."""
    rows = tuple(
        Row(str(at), str(at % 3), {name: float(name == one) for name in OUTCOMES}, "ab"[at % 2], OUTCOMES[one])
        for at, one in enumerate(outcomes)
    )
    formula = 100 - F1 if reverse else F1
    whole = Scored("toy", "official", "f1", rows, (Metric("f1", formula, smaller_is_better=reverse),))

    def without(row: Row) -> float:
        rest = tuple(each for each in rows if each is not row)
        gain = Scored("toy", "official", "f1", rest, whole.metrics).value() - whole.value()
        return -gain if reverse else gain

    gains = [without(row) for row in costliest(whole)]
    assert (
        gains == sorted(gains, reverse=True)
        or max(map(abs, (a - b for a, b in zip(gains, sorted(gains)[::-1], strict=True)))) < 1e-6
    )
    others = [row for row in rows if row not in costliest(whole) and row.correct is False]
    assert all(not without(row) > 1e-6 for row in others)
    assert all(row.correct is False for row in costliest(whole))


def test_examples_are_spread_over_kinds_and_pictures() -> None:
    found = costliest(scored(wrong=20))
    assert len(found) == 20
    assert {row.group for row in found[:2]} == {"a", "b"}
    assert len({row.cluster for row in chosen(found, 10)}) == 10
    assert sorted(chosen(found, 99), key=lambda row: row.question_id) == sorted(found, key=lambda row: row.question_id)


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium to open the page with")
def test_a_browser_shows_it(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    for name in ("pope", "gqa", "vizwiz"):
        kept(tmp_path / "out", scored(name), drawn(tmp_path / "pictures"))
    target = tmp_path / "report.html"
    target.write_text(report({"mine": read_results(tmp_path / "out")}, examples=3), encoding="utf-8")
    troubles: list[str] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for scheme, width in (("light", 1280), ("dark", 390)):
            page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
            page.on("console", lambda message: troubles.append(message.text))
            page.on("request", lambda asked: asked.url.startswith(("data:", "file:")) or troubles.append(asked.url))
            page.goto(target.as_uri())
            page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
            page.wait_for_function("[...document.images].every(each => each.complete && each.naturalWidth > 0)")
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"too wide for {width}"
            ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(21, 25, 30)"}[scheme]
        browser.close()
    assert troubles == []
