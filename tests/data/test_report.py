"""The page: complete in itself, safe with hostile data, and the samples as the model reads them."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil

import tiny
from images.pictures import noise
from pumice.data.doctor import Doctor, Task
from pumice.data.records import read_records
from pumice.data.report import write_report
from pumice.data.samples import Sample, as_seen
from pumice.images.restore import as_pictures
from pumice.prompts.encode import IGNORE

HOSTILE = "</span><script>alert(1)</script><img src=http://example.test/x onerror=alert(2)>\"'&amp;"


def page(tmp_path: Path, text: str) -> tuple[str, list[Sample]]:
    noise(tiny.SIDE, tiny.SIDE, seed=3).save(tmp_path / "a.png")
    talk = [{"from": "human", "value": f"<image>\n{text}"}, {"from": "gpt", "value": text}]
    records = [
        {"id": text, "image": "a.png", "conversations": talk},
        {"id": text, "image": text, "conversations": talk},
    ]
    path = tmp_path / "records.json"
    path.write_text(json.dumps(records), encoding="utf-8")
    doctor = Doctor(Task(path, tmp_path, tiny.processor(), 4096))
    found = list(doctor.findings())
    assert found
    samples = [as_seen(each, tiny.processor()) for each in doctor.summary.samples]
    return write_report(f"{path} {text}", doctor.summary, found, samples), samples


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_nothing_in_the_data_is_markup(tmp_path: Path) -> None:
    made, _ = page(tmp_path, HOSTILE)
    tags = _Tags()
    tags.feed(made)
    allowed = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "table", "tr", "th", "td"}
    assert {tag for tag, _ in tags.found} <= allowed | {"div", "span", "img", "small", "ul", "li"}
    for _, attributes in tags.found:
        assert not any(name.startswith("on") or name == "href" for name in attributes)
        assert "src" not in attributes or str(attributes["src"]).startswith("data:image/png;base64,")
    assert "default-src 'none'" in made and "alert(1)" in made


def test_the_page_holds_everything(tmp_path: Path) -> None:
    made, samples = page(tmp_path, "Red.")
    for text in (
        "2 records, 1 pictures",
        "missing-image",
        "duplicate-id",
        "[picture: 4 tokens]",
        "ASSISTANT:",
        "Findings",
    ):
        assert text in made
    pictures = [Pil.open(io.BytesIO(base64.b64decode(each))) for each in re.findall(r"base64,([^\"]+)", made)]
    # Three histograms, and the one tile of the one sample that can be read.
    assert len(pictures) == 4 and len(samples) == 1
    assert pictures[-1].size == (tiny.SIDE, tiny.SIDE)


def test_an_empty_data_set_has_a_page(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text("")
    doctor = Doctor(Task(path, tmp_path, tiny.processor(), 9))
    assert "nothing to show" in write_report("r.json", doctor.summary, [], [])


@pytest.mark.parametrize("size", [(28, 28), (60, 20)])
def test_tiles_turn_back_into_pixels(size: tuple[int, int]) -> None:
    """Exactly: a picture of the tile's own size is unchanged, and a border has the mean colour."""
    image, how = noise(*size, seed=5), tiny.processor().preprocessing
    assert how is not None
    (tile,) = as_pictures(tiny.processor().see(image).tiles, how)
    values = np.asarray(tile)
    if size == (28, 28):
        assert (values == np.asarray(image)).all()
    else:
        assert values[0, 0].tolist() == [122, 116, 104]


def test_what_is_marked_is_what_is_learned(tmp_path: Path) -> None:
    noise(30, 30).save(tmp_path / "a.png")
    talk = [("human", "What <image>?"), ("gpt", "A cup é."), ("human", "Sure?"), ("gpt", "Yes.")]
    said = [{"from": role, "value": text} for role, text in talk]
    path = tmp_path / "r.json"
    path.write_text(json.dumps([{"id": "7", "image": "a.png", "conversations": said}]), encoding="utf-8")
    (record,) = read_records(path, tmp_path)
    for mode in ("pad", "anyres"):
        how = tiny.processor(mode=mode)  # type: ignore[arg-type]
        sample, inputs = as_seen(record, how), how(record.conversation)
        assert sample.tokens == len(inputs.ids) and len(sample.tiles) == len(inputs.tiles[0])
        learned = [span.text for span in sample.spans if span.kind == "learned"]
        assert [text.strip() for text in learned] == ["A cup é.</s>", "Yes.</s>"]
        assert sum(label != IGNORE for label in inputs.labels) > 4
        assert [span.text for span in sample.spans if span.kind == "picture"] == [
            f"[picture: {inputs.image_tokens} tokens]"
        ]
