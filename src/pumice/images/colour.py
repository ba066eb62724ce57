"""From any way of storing pixels to 8-bit RGB.

Colour profiles are ignored: the vision towers were trained on pixel values as they are stored, and so was LLaVA.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_WITH_ALPHA = ("RGBA", "RGBa", "LA", "La", "PA")
_PALETTE_LIKE = ("1", "L", "P", "RGB")  # modes whose transparency, if any, is one colour or palette entry
_WIDE = ("I", "F")
_WHITE = (255, 255, 255)
_MAX_8, _MAX_16 = 255, 65535


def to_rgb(image: Image.Image) -> Image.Image:
    """``image`` in RGB, transparent parts on white. The same object if it is opaque RGB already."""
    if image.mode in _PALETTE_LIKE and "transparency" in image.info:
        return _on_white(image.convert("RGBA"))
    if image.mode in _WITH_ALPHA:
        straight = image.convert("LA") if image.mode == "La" else image
        return _on_white(straight.convert("RGBA"))
    if image.mode.startswith("I;16"):
        values = np.asarray(image)
        grey = _from_16_bit(values)
        if "transparency" in image.info:  # of 16 bits; Pillow's own conversion compares it with 8
            grey[values == image.info["transparency"]] = _MAX_8
        return Image.fromarray(grey).convert("RGB")
    if image.mode in _WIDE:
        return Image.fromarray(_from_wide(np.asarray(image))).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    """RGBA over a white sheet."""
    flat = Image.new("RGB", image.size, _WHITE)
    flat.paste(image.convert("RGB"), mask=image.getchannel("A"))
    return flat


def _from_16_bit(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """0..65535 to 0..255, rounded: 65535 is 255 times 257, so an 8-bit picture stored in 16 bits comes back exact."""
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _from_wide(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """32-bit integers or floats, whose range no format tells, to 0..255.

    The smallest usual range that holds all values is taken for theirs: 0..1 (floats only), 0..255, 0..65535; if none
    does, the smallest and largest value found. What is not a number becomes black.
    """
    numbers = np.nan_to_num(values.astype(np.float64), posinf=_MAX_16, neginf=0.0)
    low, high = float(numbers.min()), float(numbers.max())
    usual = [1, _MAX_8, _MAX_16] if values.dtype.kind == "f" else [_MAX_8, _MAX_16]
    top = next((top for top in usual if low >= 0 and high <= top), None)
    if top is not None:
        low, high = 0.0, float(top)
    scaled = (numbers - low) * (_MAX_8 / (high - low if high > low else 1.0))
    return np.rint(scaled).astype(np.uint8)
