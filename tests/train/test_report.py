"""What a finished run leaves to be read."""

from __future__ import annotations

import base64
import io
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image as Pil

from pumice.checkpoint.load import load_checkpoint
from pumice.train.recipe_file import read_recipe
from pumice.train.report import MISSING, read_log, training_seconds
from pumice.train.run import train
from train import small
from train.test_run import few_texts  # noqa: F401


class Page(HTMLParser):
    """Words, pictures and addresses of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    train(read_recipe(small.written(folder)), lambda _: None)
    return folder / "run"


def test_the_report(finished: Path) -> None:
    text = (finished / "report.html").read_text()
    page = Page(text)
    assert {"svg", "table", "pre", "img"} <= set(page.tags)
    assert all(source.startswith(("data:", "#")) for source in page.sources), "nothing is fetched from elsewhere"
    said = " ".join(page.words)
    best = json.loads((finished / "best.json").read_text())
    for words in (
        "Training of run", "held out", "learning rate", "Sample answers", "expected:", "PyTorch", '"task": "caption"',
        f"best held-out loss {best['loss']:.4f}", "scenes of Pumice's synthetic world", "vision at 0.001", "cores",
    ):  # fmt: skip
        assert words in re.sub(r"\s+", " ", said), words
    (picture,) = [source for source in page.sources if source.startswith("data:image/png;base64,")]
    assert max(Pil.open(io.BytesIO(base64.b64decode(picture.partition(",")[2]))).size) <= 224
    for line in read_log(finished / "log.jsonl"):
        for answer in line.get("answers", ()):
            assert answer in said or not answer


def test_the_card(finished: Path) -> None:
    """The header is what the hub's own reader takes, and the folder still loads."""
    from huggingface_hub import ModelCard

    card = ModelCard.load(finished / "model" / "README.md")
    assert card.data.library_name == "pumice" and card.data.pipeline_tag == "image-text-to-text"
    assert "llava" in card.data.tags and "# run" in card.text and "best held-out loss" in card.text
    assert load_checkpoint(finished / "model").processor.template.name == "plain"


def test_facts_of_adapters(tmp_path: Path) -> None:
    """What a reader of the card must know: what they belong to."""
    changes = ["lora={language={rank=2,alpha=4}}", "quantize={language={bits=4}}", "average=0.5"]
    result = train(read_recipe(small.written(tmp_path), changes), lambda _: None)
    card = (result / "README.md").read_text()
    for words in (
        f"These are adapters; they need {tmp_path}/start", "| adapters | language of rank 2, alpha 4 |",
        "| integers below them | language 4 bits |", "| averaged | each step keeps 0.5",
    ):  # fmt: skip
        assert words in card, words


def test_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run is finished all the same, and says what to install."""
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    said: list[str] = []
    folder = train(read_recipe(small.written(tmp_path)), said.append)
    assert said[-1] == MISSING and "pip install" in MISSING
    assert (folder / "README.md").is_file()
    page = Page((tmp_path / "run" / "report.html").read_text())
    assert "svg" not in page.tags and MISSING in page.words and "img" in page.tags


def test_words_are_never_markup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pumice.train.watchers.answer", lambda *_, **__: "<script>alert(1)</script>")
    train(read_recipe(small.written(tmp_path)), lambda _: None)
    text = (tmp_path / "run" / "report.html").read_text()
    assert "script" not in Page(text).tags and "&lt;script&gt;" in text


def test_what_was_done_twice_is_read_once(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    lines = [
        {"step": 1, "loss": 3.0, "rows_per_s": 4.0},
        {"step": 2, "held_out_loss": 5.0},
        {"step": 2, "loss": 2.0, "rows_per_s": 4.0},
        {"step": 3, "loss": 9.0, "rows_per_s": 4.0},
        {"step": 2, "loss": 2.5, "rows_per_s": 4.0},
        {"step": 3, "loss": 1.0, "rows_per_s": 2.0},
    ]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    read = read_log(log)
    assert [(line["step"], line.get("loss")) for line in read] == [(1, 3.0), (2, 2.5), (2, None), (3, 1.0)]
    assert training_seconds(read, 8) == pytest.approx(2 * 2 + 4)
    assert read_log(tmp_path / "none") == []


@pytest.mark.usefixtures("few_texts")
def test_stage_0_has_a_report_and_no_card(tmp_path: Path) -> None:
    from train.test_held_out import world_recipe

    result = train(world_recipe(tmp_path, "patches"), lambda _: None)
    assert result.is_file()
    assert "Sample answers" not in (tmp_path / "report.html").read_text()
