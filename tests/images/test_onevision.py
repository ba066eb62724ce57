"""LLaVA-OneVision's mosaics equal those of transformers' processor: token counts, tiles, pixels and their order."""

from __future__ import annotations

import math
import random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tiny
from pumice.errors import ModelError
from pumice.images.config import SIGLIP_MEAN, SIGLIP_STD, Preprocessing
from pumice.images.grid import Grid, plan
from pumice.images.preprocess import preprocess
from pumice.processor import Processor
from pumice.prompts.conversation import Conversation
from pumice.prompts.conversation import Image as Picture
from pumice.prompts.templates import get_template

transformers = pytest.importorskip("transformers", reason="transformers is the parity oracle; install pumice[dev]")


def mosaics(side: int) -> tuple[tuple[int, int], ...]:
    return tuple((side * columns, side * rows) for columns in range(1, 7) for rows in range(1, 7))


def reading(side: int, patch: int) -> Preprocessing:
    return Preprocessing(side, patch, "anyres", "spatial_unpad", mosaics(side), 9, SIGLIP_MEAN, SIGLIP_STD)


PUBLISHED = reading(384, 14)
SMALL = reading(30, 7)  # patches do not cover a tile here either


def sizes(count: int, most: int) -> list[tuple[int, int]]:
    rng = random.Random(most)
    return [(rng.randint(1, most), rng.randint(1, most)) for _ in range(count)]


def their_counts(width: int, height: int) -> int:
    """``LlavaOnevisionProcessor`` itself wants a processor of films, which wants more than is installed here."""
    kind = transformers.models.llava_onevision.processing_llava_onevision.LlavaOnevisionProcessor
    pinpoints = [[height, width] for width, height in PUBLISHED.pinpoints]
    own = SimpleNamespace(
        image_processor=SimpleNamespace(image_grid_pinpoints=pinpoints),
        num_image_tokens=729,
        vision_aspect_ratio="anyres_max_9",
        _get_unpadded_features=lambda *sides: kind._get_unpadded_features(own, *sides),
    )
    return int(kind._get_number_of_features(own, height, width, 384, 384))


def rounds_otherwise(width: int, height: int, grid: Grid) -> bool:
    """transformers takes 26.99999999 rows for 27; the code that the models were trained with takes them for 26."""
    columns, rows = grid.columns * grid.side, grid.rows * grid.side
    kept = height * (columns / width) if width / height > columns / rows else width * (rows / height)
    return int(kept) != int(round(kept, 7)) or int(kept) == 0  # of a very thin picture we keep one row


def test_token_counts_equal_theirs() -> None:
    compared = scaled = 0
    for width, height in [*sizes(1500, 3000), *sizes(300, 400), (2304, 2304), (768, 768), (384, 384), (4000, 1000)]:
        grid = plan(width, height, PUBLISHED)
        if rounds_otherwise(width, height, grid):
            continue
        assert grid.tokens == their_counts(width, height), (width, height)
        compared += 1
        scaled += grid.shown != (grid.bottom - grid.top, grid.right - grid.left)
    assert compared > 1700 and scaled > 500


@pytest.mark.parametrize(
    ("size", "tokens"),
    [
        ((384, 384), 729 + 27 * 28),  # a mosaic of one tile stands beside the base view all the same
        ((1152, 1152), 729 + 81 * 82),  # nine tiles: as they are
        ((2304, 2304), 729 + 81 * 82),  # thirty-six: scaled down to nine
        ((1920, 1080), 729 + 60 * 109),  # five by three, of which 75 rows of 135 show the picture
    ],
)
def test_token_counts(size: tuple[int, int], tokens: int) -> None:
    assert plan(*size, PUBLISHED).tokens == tokens


def test_never_more_than_a_fifth_above_nine_tiles() -> None:
    for width, height in sizes(3000, 20000):
        height_shown, width_shown = plan(width, height, PUBLISHED).shown
        assert 0 < height_shown * width_shown <= 1.21 * 9 * 27**2


def their_processor(how: Preprocessing) -> Any:
    kind = transformers.models.llava_onevision.image_processing_pil_llava_onevision.LlavaOnevisionImageProcessorPil
    return kind(
        size={"height": how.image_size, "width": how.image_size},
        image_grid_pinpoints=[[height, width] for width, height in how.pinpoints],
        image_mean=list(how.mean),
        image_std=list(how.std),
    )


def picture(size: tuple[int, int]) -> Image.Image:
    values = np.random.default_rng(sum(size)).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    return Image.fromarray(values).resize(size, Image.Resampling.BICUBIC)


def close(ours: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any]) -> None:
    """Pillow's two passes may come in the other order, which moves single pixels by a few levels of 255."""
    assert ours.shape == theirs.shape
    assert float(np.abs(ours - theirs).mean()) < 0.004
    assert float(np.abs(ours - theirs).max()) < 0.1


def test_tiles_of_a_hundred_pictures_equal_theirs() -> None:
    processor = their_processor(SMALL)
    for size in sizes(100, 200):
        tiles, grid = preprocess(picture(size), SMALL)
        theirs = processor(images=picture(size), return_tensors="np")["pixel_values"][0]
        assert grid.tiles == len(theirs), size
        close(tiles, theirs)


def test_several_pictures_are_padded_as_theirs() -> None:
    processor = their_processor(SMALL)
    for pair in zip(sizes(40, 200)[::2], sizes(40, 200)[1::2], strict=True):
        images = [picture(size) for size in pair]
        theirs = processor(images=[images], return_tensors="np")["pixel_values"]
        for image, expected in zip(images, theirs, strict=True):
            tiles, grid = preprocess(image, SMALL, alone=False)
            assert (grid.tiles, grid.tokens) == (1, 4 * 4 + 1)  # and a newline
            close(tiles, expected)


def reader() -> Processor:
    return Processor(tiny.tokenizer(), get_template("qwen_1_5"), SMALL)


def test_one_picture_in_a_conversation_is_looked_at_closely_and_several_are_not() -> None:
    image, other = Picture(tiny.picture(1, (90, 60))), Picture(tiny.picture(2, (60, 90)))
    read = reader()
    asked = Conversation.ask("What?", (image,))
    lone = read(asked)
    both = read(asked.then_answer("A cup.").then_ask("And this?", (other,)))
    assert lone.grids == (plan(90, 60, SMALL),) and lone.grids[0].tiles == 7
    assert [grid.tokens for grid in both.grids] == [17, 17]
    assert both.image_tokens == 34 == sum(index < 0 for index in both.ids)
    # Features are remembered by fingerprint: those of a mosaic must not be taken for those of one tile.
    assert lone.hashes[0] != both.hashes[0]
    assert read(Conversation.ask("What?", (other, image))).hashes == both.hashes[::-1]


def test_other_models_look_at_several_as_at_one() -> None:
    how = Preprocessing(30, 7, "anyres", "spatial_unpad", mosaics(30))
    assert plan(90, 60, how, alone=False) == plan(90, 60, how)
    first, second = (Picture(tiny.picture(seed)) for seed in (1, 2))
    read = Processor(tiny.tokenizer(), get_template("vicuna_v1"), how)
    assert read(Conversation.ask("?", (first, second))).hashes[0] == read(Conversation.ask("?", (first,))).hashes[0]


def test_a_limit_needs_mosaics() -> None:
    for changes in ({"mode": "pad"}, {"merge": "spatial"}, {"most_tiles": 0}):
        values: dict[str, Any] = {
            "mode": "anyres",
            "merge": "spatial_unpad",
            "pinpoints": mosaics(30),
            "most_tiles": 9,
            **changes,
        }
        with pytest.raises(ModelError, match="limit of tiles"):
            Preprocessing(30, 7, **values)


def test_what_is_shown_is_the_published_formula() -> None:
    grid = plan(2000, 1500, PUBLISHED)
    height, width = grid.bottom - grid.top, grid.right - grid.left
    times = math.sqrt(height * width / (9 * 27**2))
    assert times > 1.1 and grid.shown == (int(height // times), int(width // times))
