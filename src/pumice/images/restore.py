"""From the normalised tiles that a model reads back to pictures that a person can look at."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pumice.images.config import Preprocessing


def as_pictures(tiles: NDArray[np.float32], how: Preprocessing) -> Iterator[Image.Image]:
    """The tiles [T, 3, S, S] as RGB pictures of S x S pixels: the 8-bit values from which they were made."""
    mean, std = (np.array(values, np.float32)[:, None, None] for values in (how.mean, how.std))
    for tile in tiles:
        values = np.rint((tile * std + mean) * 255).clip(0, 255).astype(np.uint8)
        yield Image.fromarray(np.ascontiguousarray(values.transpose(1, 2, 0)))
