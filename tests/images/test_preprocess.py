"""Preprocessing against CLIP's own processor, which works on whole canvases with one resize call."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pumice.images.config import CLIP_MEAN, CLIP_STD, Mode, Preprocessing
from pumice.images.grid import plan
from pumice.images.load import load_image
from pumice.images.preprocess import preprocess

PINPOINTS = ((64, 128), (128, 64), (128, 128), (192, 64), (64, 192))
FILL = tuple(int(value * 255) for value in CLIP_MEAN)
SIZES = [
    (64, 64),
    (100, 60),
    (200, 201),
    (31, 30),
    (640, 480),
    (1, 1),
    (300, 1),
    (5, 4),
    (500, 170),
    (63, 65),
    (33, 99),
]


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """Smooth waves with some noise: like a photo, and with every pixel different."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [np.sin(rows / (7 + c)) + np.cos(columns / (9 + 2 * c)) for c in range(3)]
    values = 128 + 45 * np.stack(waves, -1) + rng.normal(0, 8, (height, width, 3))
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def clip(image: Image.Image, side: int) -> NDArray[np.float32]:
    processing = pytest.importorskip("transformers.models.clip.image_processing_pil_clip", reason="needs transformers")
    processor = processing.CLIPImageProcessorPil(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}
    )
    pixels: NDArray[np.float32] = np.asarray(processor(image, return_tensors="np")["pixel_values"])[0]
    return pixels


def on_square(image: Image.Image) -> Image.Image:
    side = max(image.size)
    canvas = Image.new("RGB", (side, side), FILL)
    canvas.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return canvas


def assert_close(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1 / 255)


@pytest.mark.parametrize("size", SIZES)
def test_square_equals_clip(size: tuple[int, int]) -> None:
    image = picture(*size)
    tiles, grid = preprocess(image, Preprocessing(64, 16, "square"))
    assert tiles.shape == (1, 3, 64, 64)
    assert tiles.dtype == np.float32
    assert grid == plan(*size, Preprocessing(64, 16, "square"))
    assert_close(tiles[0], clip(image, 64))


@pytest.mark.parametrize("size", [*SIZES, (60, 100), (1, 300), (170, 900), (2500, 40), (40, 2500)])
def test_pad_equals_clip_on_a_whole_square(size: tuple[int, int]) -> None:
    image = picture(*size)
    tiles, _ = preprocess(image, Preprocessing(64, 16, "pad"))
    assert_close(tiles[0], clip(on_square(image), 64))


def test_pad_in_strips_equals_pad_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    image, how = picture(60, 333), Preprocessing(64, 16, "pad")
    whole, _ = preprocess(image, how)
    monkeypatch.setattr("pumice.images.preprocess._STRIP_PIXELS", 1000)
    np.testing.assert_array_equal(preprocess(image, how)[0], whole)


def test_a_large_thin_picture_is_padded_within_a_level() -> None:
    image, how = picture(60, 4200), Preprocessing(64, 16, "pad")
    tiles, _ = preprocess(image, how)
    np.testing.assert_allclose(tiles[0], clip(on_square(image), 64), rtol=0, atol=1.01 / 255 / min(CLIP_STD))


@pytest.mark.parametrize("size", [(100, 60), (200, 200), (300, 100), (640, 480), (130, 131), (120, 140)])
def test_anyres_equals_clip_on_each_view(size: tuple[int, int]) -> None:
    image = picture(*size)
    how = Preprocessing(64, 16, "anyres", "spatial_unpad", PINPOINTS)
    tiles, grid = preprocess(image, how)
    assert len(tiles) == grid.tiles == 1 + grid.rows * grid.columns
    assert_close(tiles[0], clip(image.resize((64, 64)), 64))
    width, height = grid.columns * 64, grid.rows * 64
    scale = min(width / size[0], height / size[1])
    fitted = image.resize((min(width, int(np.ceil(size[0] * scale))), min(height, int(np.ceil(size[1] * scale)))))
    canvas = Image.new("RGB", (width, height), "black")
    canvas.paste(fitted, ((width - fitted.width) // 2, (height - fitted.height) // 2))
    views = [canvas.crop((x, y, x + 64, y + 64)) for y in range(0, height, 64) for x in range(0, width, 64)]
    for tile, view in zip(tiles[1:], views, strict=True):
        assert_close(tile, clip(view, 64))


def test_tall_pictures_are_resampled_alike_by_every_pillow() -> None:
    """Columns first where height shrinks much more than width: said outright, whatever the installed Pillow does."""
    image = picture(61, 533)
    bicubic = Image.Resampling.BICUBIC
    tiles, _ = preprocess(image, Preprocessing(56, 14, "anyres", "flat", ((56, 112),)))
    assert_close(tiles[0], clip(image.resize((61, 56), bicubic).resize((56, 56), bicubic), 56))
    other_order = clip(image.resize((56, 533), bicubic).resize((56, 56), bicubic), 56)
    assert np.abs(tiles[0] - other_order).max() > 1 / 255


@pytest.mark.parametrize("mode", ["square", "pad", "anyres"])
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 199), (4000, 20)])
def test_extreme_shapes(mode: Mode, size: tuple[int, int]) -> None:
    how = Preprocessing(64, 16, mode, pinpoints=PINPOINTS if mode == "anyres" else ())
    tiles, grid = preprocess(picture(*size), how)
    assert tiles.shape == (grid.tiles, 3, 64, 64)
    assert np.isfinite(tiles).all()


def test_padding_is_grey_and_normalises_to_nearly_nothing() -> None:
    tiles, _ = preprocess(Image.new("RGB", (100, 20), "white"), Preprocessing(64, 16))
    expected = (np.array(FILL) / 255 - np.array(CLIP_MEAN)) / np.array(CLIP_STD)
    np.testing.assert_allclose(tiles[0, :, 0, 0], expected, atol=1e-6)
    assert (tiles[0, :, 32, 32] > 1).all()


def test_other_modes_are_converted() -> None:
    image = picture(50, 40)
    see_through = image.convert("RGBA")
    see_through.putalpha(0)
    tiles, _ = preprocess(see_through, Preprocessing(64, 16, "square"))
    np.testing.assert_array_equal(
        tiles, preprocess(Image.new("RGB", (50, 40), "white"), Preprocessing(64, 16, "square"))[0]
    )


def test_own_mean_and_deviation() -> None:
    how = Preprocessing(64, 16, "square", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    tiles, _ = preprocess(Image.new("RGB", (64, 64), (0, 255, 51)), how)
    np.testing.assert_allclose(tiles[0, :, 0, 0], [-1, 1, -0.6], atol=1e-6)


def test_photos_equal_clip() -> None:
    photos = sorted((Path(__file__).resolve().parents[3] / "shared" / "data" / "photos").glob("*.jpg"))
    if not photos:
        pytest.skip("no photos in ../shared/data/photos")
    for photo in photos:
        image = load_image(photo)
        for mode, seen in (("square", image), ("pad", on_square(image))):
            tiles, _ = preprocess(image, Preprocessing(336, 14, "square" if mode == "square" else "pad"))
            assert_close(tiles[0], clip(seen, 336))
