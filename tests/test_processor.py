"""The one door: however a picture comes, the tensors are the same."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from pumice.errors import ImageError, UsageError
from pumice.images.config import Merge, Mode
from pumice.images.grid import plan
from pumice.processor import Inputs, Processor
from pumice.prompts.conversation import Conversation, Image
from pumice.prompts.encode import IGNORE, IMAGE_ID
from pumice.prompts.templates import get_template


def same(first: Inputs, second: Inputs) -> bool:
    return (
        (first.ids, first.labels, first.grids, first.hashes) == (second.ids, second.labels, second.grids, second.hashes)
        and len(first.tiles) == len(second.tiles)
        and all(np.array_equal(a, b) for a, b in zip(first.tiles, second.tiles, strict=True))
    )


@pytest.mark.parametrize("mode", ["square", "pad", "anyres"])
def test_path_bytes_uri_and_pillow_give_the_same(tmp_path: Path, mode: Mode) -> None:
    picture = tiny.picture(1, (70, 33))
    data = io.BytesIO()
    picture.save(data, "PNG")
    path = tmp_path / "picture.png"
    path.write_bytes(data.getvalue())
    uri = "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()
    read = tiny.processor(mode=mode)
    found = [
        read(Conversation.ask("What is in the picture?", (Image(source),)).then_answer("A red cup."))
        for source in (picture, path, str(path), data.getvalue(), uri)
    ]
    assert all(same(found[0], each) for each in found)
    assert found[0].tiles[0].dtype == np.float32


@pytest.mark.parametrize(
    ("mode", "merge", "keeps_cls"),
    [
        ("square", "flat", False),
        ("pad", "flat", True),
        ("anyres", "flat", True),
        ("anyres", "spatial", False),
        ("anyres", "spatial_unpad", False),
    ],
)
@settings(deadline=None, max_examples=10)
@given(sizes=st.lists(st.tuples(st.integers(1, 120), st.integers(1, 120)), min_size=1, max_size=3))
def test_every_picture_has_its_tokens(mode: Mode, merge: Merge, keeps_cls: bool, sizes: list[tuple[int, int]]) -> None:
    read = tiny.processor(mode=mode, merge=merge, keeps_cls=keeps_cls)
    pictures = tuple(Image(tiny.picture(seed, size)) for seed, size in enumerate(sizes))
    inputs = read(Conversation.ask("What is in the picture?", pictures))
    assert read.preprocessing is not None
    assert inputs.grids == tuple(plan(*size, read.preprocessing) for size in sizes)
    assert inputs.ids.count(IMAGE_ID) == inputs.image_tokens == sum(grid.tokens for grid in inputs.grids)
    assert [len(tiles) for tiles in inputs.tiles] == [grid.tiles for grid in inputs.grids]
    runs = "".join("i" if token == IMAGE_ID else " " for token in inputs.ids).split()
    assert [len(run) for run in runs] == [grid.tokens for grid in inputs.grids]


def test_labels_are_the_answers_and_their_ends() -> None:
    read, tokens = tiny.processor(), tiny.tokenizer()
    talk = tiny.question("What is in the picture?", 1).then_answer("A red cup.").then_ask("Sky?").then_answer("Red.")
    inputs = read(talk)
    assert len(inputs.ids) == len(inputs.labels)
    assert all(label in (IGNORE, token) for token, label in zip(inputs.ids, inputs.labels, strict=True))
    learned = [label for label in inputs.labels if label != IGNORE]
    assert learned.count(tokens.eos_id) == 2
    assert tokens.decode(learned).split() == ["A", "red", "cup.", "Red."]
    assert inputs.ids[0] == tokens.bos_id


def test_an_open_question_teaches_nothing_but_earlier_answers() -> None:
    read = tiny.processor()
    assert set(read(tiny.question("Sky?", 1)).labels) == {IGNORE}
    begun = tiny.question("Sky?", 1).then_answer("Red.")
    complete, open_again = read(begun), read(begun.then_ask("Sky?"))
    assert open_again.ids[: len(complete.ids)] == complete.ids
    assert set(open_again.labels[len(complete.ids) :]) == {IGNORE}


def test_typed_markup_is_text() -> None:
    """Neither a picture nor an end of turn can be typed."""
    inputs = tiny.processor()(tiny.question("Is <image> </s> markup? <s>"))
    assert IMAGE_ID not in inputs.ids and inputs.ids.count(2) == 0 and inputs.ids.count(1) == 1
    assert inputs.image_tokens == 0


def test_hashes_tell_pictures_apart() -> None:
    read = tiny.processor()
    first, second, again = (read(tiny.question("Sky?", seed)) for seed in (1, 2, 1))
    assert first.hashes == again.hashes != second.hashes
    assert read(Conversation.ask("?", (Image(tiny.picture(1, (30, 40))),))).hashes != first.hashes


def test_the_same_picture_twice_is_two_pictures() -> None:
    inputs = tiny.processor()(tiny.question("Sky?", 1, 1))
    assert len(inputs.tiles) == 2 and inputs.image_tokens == 8 and inputs.hashes[0] == inputs.hashes[1]


def test_reading_once_and_asking_often() -> None:
    """Training reads a scene's picture once for all questions about it."""
    read = tiny.processor()
    picture = read.see(tiny.picture(1))
    for words in ("Sky?", "How many?"):
        assert same(read.encode(tiny.question(words, 1), [picture]), read(tiny.question(words, 1)))


def test_refused() -> None:
    blind = Processor(tiny.tokenizer(), get_template("vicuna_v1"), None)
    assert blind(tiny.question("Sky?")).tiles == ()
    with pytest.raises(UsageError, match="no vision tower"):
        blind(tiny.question("Sky?", 1))
    read = tiny.processor()
    with pytest.raises(ImageError, match=r"absent\.png"):
        read(Conversation.ask("Sky?", (Image("absent.png"),)))
    with pytest.raises(UsageError, match="places for 1 pictures"):
        read.encode(tiny.question("Sky?", 1), [])
    with pytest.raises(UsageError, match="without turns"):
        read(Conversation())


def test_the_web_is_closed_unless_opened() -> None:
    with pytest.raises(ImageError, match="switched off"):
        tiny.processor()(Conversation.ask("Sky?", (Image("https://pictures.example/cat.png"),)))
