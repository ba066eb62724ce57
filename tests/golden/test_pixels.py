"""Preprocessing equal to the reference implementation's, pixel by pixel."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pumice.images.config import Mode, Preprocessing
from pumice.images.load import load_image
from pumice.images.preprocess import preprocess


@pytest.mark.parametrize("mode", ["square", "pad", "anyres"])
def test_pixels_equal_the_reference(golden: Path, mode: Mode) -> None:
    meta = json.loads((golden / "pixels" / "meta.json").read_text())
    pinpoints = tuple((width, height) for width, height in meta["image_grid_pinpoints"]) if mode == "anyres" else ()
    how = Preprocessing(meta["image_size"], meta["patch_size"], mode, pinpoints=pinpoints)
    pictures = sorted((golden / "images").glob("*.png"))
    assert pictures, "the golden folder has no pictures"
    for picture in pictures:
        expected = np.load(golden / "pixels" / f"{picture.name}.npz")[mode]
        tiles, grid = preprocess(load_image(picture), how)
        expected = expected.reshape(tiles.shape)
        assert len(tiles) == grid.tiles
        # 1/255 is asked for; equality holds, because the order of the resampling passes is fixed
        np.testing.assert_allclose(tiles, expected, rtol=0, atol=1e-6, err_msg=f"{picture.name} {mode}")


def test_pixels_as_a_processor_would_read_them(golden: Path) -> None:
    """The reference opened its pictures with Pillow; so may our callers."""
    meta = json.loads((golden / "pixels" / "meta.json").read_text())
    how = Preprocessing(meta["image_size"], meta["patch_size"])
    for picture in sorted((golden / "images").glob("*.png")):
        with Image.open(picture) as image:
            tiles, _ = preprocess(image, how)
        np.testing.assert_allclose(tiles, np.load(golden / "pixels" / f"{picture.name}.npz")["pad"], rtol=0, atol=1e-6)
