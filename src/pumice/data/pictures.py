"""What is wrong with a picture of a data set, and what it would be for the model."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from PIL.Image import Image as PilImage

from pumice.data.faults import Fault
from pumice.errors import ImageError
from pumice.images.formats import ACCEPTED, accepted_format, is_cut_short, open_first_frame
from pumice.images.load import content_hash, load_image, noted_turn

TINY = 32  # pixels of the shorter side: two patches of a usual vision tower
THIN = 8  # long side over short side: of the square that the model sees, seven eighths are border


@dataclass(frozen=True)
class Seen:
    """size: (width, height), upright; None if the picture cannot be read. hash: of its pixels."""

    size: tuple[int, int] | None
    hash: str
    faults: tuple[Fault, ...] = ()


def is_outside(name: str, folder: Path) -> bool:
    """Whether a path leaves the folder that it is relative to. Links are not followed: they are there on purpose."""
    whole, top = os.path.abspath(folder / name), os.path.abspath(folder)
    try:
        return os.path.commonpath([whole, top]) != top
    except ValueError:  # on another drive
        return True


def look(name: str, folder: Path) -> Seen:
    """Read the picture ``name`` under ``folder`` as training would."""
    if "\0" in name or is_outside(name, folder):
        return _unseen("image-outside", f"{name!r} is not in the folder {folder}")
    path = folder / name
    if not os.path.isfile(path):  # unlike the method, it answers for any name
        return _unseen("missing-image", f"there is no file {path}")
    try:
        image = load_image(path)
    except ImageError as error:
        return _refused(path, str(error))
    return Seen(image.size, content_hash(image), tuple(_doubts(path, name, image)))


def _unseen(kind: str, found: str) -> Seen:
    return Seen(None, "", (Fault(kind, found),))


def _refused(path: Path, why: str) -> Seen:
    try:
        data = path.read_bytes()
    except OSError as error:
        return _unseen("unreadable-image", f"{path}: {error.strerror}")
    kind = accepted_format(data)
    if kind is None and data:
        return _unseen("unsupported-image", f"{why}" if ACCEPTED in why else f"{why}, expected {ACCEPTED}")
    if kind is None or is_cut_short(kind, data):
        return _unseen("truncated-image", why)
    return _unseen("unreadable-image", why)


def _doubts(path: Path, name: str, image: PilImage) -> list[Fault]:
    found = []
    width, height = image.size
    shape = f"{name}: {width} x {height} pixels"
    data = path.read_bytes()
    kind = accepted_format(data)
    if kind is not None and noted_turn(open_first_frame(kind, data)) is not None:
        found.append(Fault("rotated-image", f"{shape} once it is turned as its EXIF note says"))
    if min(width, height) < TINY:
        found.append(Fault("tiny-image", shape))
    if max(width, height) > THIN * min(width, height):
        found.append(Fault("thin-image", shape))
    if all(low == high for low, high in image.getextrema()):  # type: ignore[misc]
        found.append(Fault("blank-image", f"{name}: every pixel is {image.getpixel((0, 0))}"))
    return found
