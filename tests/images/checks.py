"""What a loaded picture is compared with, and what a refusal may say."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from images.pictures import array
from pumice.errors import ImageError
from pumice.images.load import load_image

LEAKS = re.compile(r"0x[0-9a-fA-F]{4,}|site-packages|BytesIO|Traceback")


def assert_same(image: Image.Image, expected: Image.Image, tolerance: int = 0) -> None:
    assert image.mode == "RGB"
    assert image.size == expected.size
    assert np.abs(array(image) - array(expected.convert("RGB"))).max() <= tolerance


def refusal(source: str | Path | bytes | Image.Image) -> ImageError:
    with pytest.raises(ImageError) as caught:
        load_image(source)
    assert not LEAKS.search(f"{caught.value} {caught.value.hint}")
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value
