"""Pictures that a benchmark draws by itself: files in the user's cache, drawn once, the same ones each time."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_cache_path

from pumice.files import fresh_file
from pumice.world.draw import draw_scene
from pumice.world.scene import make_scene

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

SIDE = 224  # pixels of the world's pictures, as in docs/accuracy.md


def held_out_picture(index: int) -> Path:
    """The file of a held-out scene's picture."""
    return drawn_once(held_out_key(index), lambda: draw_scene(make_scene("held_out", index), SIDE))


def held_out_key(index: int) -> str:
    """Of the scene, for everything that was drawn of it."""
    return f"scene-{index:05d}"


def drawn_once(name: str, draw: Callable[[], PilImage | bytes]) -> Path:
    """The file of this name, drawn if it is not there yet. Raises: UsageError if it cannot be written."""
    path = user_cache_path("pumice") / "drawn" / _edition() / f"{name}.png"
    if not path.exists():
        made = draw()
        with fresh_file(path, overwrite=True) as file:
            file.write(made if isinstance(made, bytes) else _png(made))
    return path


@lru_cache(maxsize=1)
def _edition() -> str:
    """Of the world: another one draws other pictures, which must not be taken for each other."""
    sources = sorted(
        (each for each in files("pumice.world").iterdir() if each.name.endswith(".py")), key=lambda each: each.name
    )
    return hashlib.sha256(b"".join(each.read_bytes() for each in sources)).hexdigest()[:12]


def _png(picture: PilImage) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
