"""From any way of storing pixels to upright 8-bit RGB."""
from __future__ import annotations
from PIL import Image


def to_rgb(image: Image.Image) -> Image.Image:
    return image if image.mode == "RGB" else image.convert("RGB")
