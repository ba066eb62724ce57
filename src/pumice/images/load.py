"""The one door for pictures: path, URL, data URI, bytes or Pillow image in, upright RGB out, or an ImageError.

The file's content decides what it is, never its name. Sizes are checked before any pixel is decoded. Of an animation
the first frame counts. Decoders' own messages are never passed on: they may contain memory addresses.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pumice.errors import BlockedUrlError, ImageError
from pumice.files import similar_file
from pumice.images.colour import to_rgb
from pumice.images.fetch import FetchPolicy
from pumice.images.fetch import fetch as fetch_url
from pumice.images.formats import ACCEPTED, accepted_format, is_cut_short, open_first_frame, refusal
from pumice.near import did_you_mean

_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_ORIENTATION = 0x0112  # the EXIF tag
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_LONGEST_SHOWN = 200  # characters
_LONGEST_MEDIA_TYPE = 1024  # characters


@dataclass(frozen=True)
class Limits:
    """What is refused before decoding: file size in bytes, pixels in all, pixels per side, long side over short side.

    The size of what comes from the web is limited by its FetchPolicy.
    """

    max_bytes: int = 64 << 20
    max_pixels: int = 64_000_000
    max_side: int = 16384
    max_aspect: int = 200


_LIMITS = Limits()
_FETCH = FetchPolicy()


def is_url(source: str) -> bool:
    """Whether a text is a URL of any scheme, and so never a path."""
    return _URL.match(source) is not None


def load_image(
    source: str | Path | bytes | Image.Image,
    *,
    limits: Limits = _LIMITS,
    fetch: FetchPolicy | None = _FETCH,
    allow_paths: bool = True,
) -> Image.Image:
    """A picture in RGB, upright, transparency on white.

    source: a path, an http(s) URL, a ``data:`` URI, the bytes of a file, or a Pillow image, which is not changed
    (but returned itself if it is RGB and upright already).
    fetch: what may come from the web; None for nothing. allow_paths: False where strangers choose the source.
    Raises ImageError, or BlockedUrlError for a URL that must not be fetched.
    """
    if isinstance(source, Image.Image):
        return _decoded(source, b"", "the image in memory", limits)
    if isinstance(source, bytes | bytearray | memoryview):
        data, name = bytes(source), "the image in memory"
    elif isinstance(source, str) and source[:5].lower() == "data:":
        data, name = _data_uri(source, limits), "the image in the data URI"
    elif isinstance(source, str) and is_url(source):
        if fetch is None:
            raise BlockedUrlError("cannot fetch image: pictures from the web are switched off")
        data, name = fetch_url(source, fetch), "the fetched image"
    elif allow_paths:
        data, name = _file(os.fspath(source), limits), f"image {_shown(os.fspath(source))}"
    else:
        raise ImageError("cannot read image: expected an http(s) URL or a data URI, found neither")
    if len(data) > limits.max_bytes:
        raise _too_large(name, len(data), limits)
    return _decode(data, name, limits)


def content_hash(image: Image.Image) -> str:
    """sha256, in hexadecimal, over mode, size, palette and pixels: same bytes in another shape hash differently."""
    digest = hashlib.sha256(f"{image.mode} {image.width}x{image.height} ".encode())
    if image.mode in ("P", "PA"):
        digest.update(repr((image.palette and image.palette.mode, image.getpalette(None))).encode())
    digest.update(image.tobytes())
    return digest.hexdigest()


def _decode(data: bytes, name: str, limits: Limits) -> Image.Image:
    if not data:
        raise ImageError(f"cannot read {name}: it is empty (0 bytes)")
    kind = accepted_format(data)
    if kind is None:
        why, hint = refusal(data)
        raise ImageError(f"cannot read {name}: {why}", hint=hint)
    try:
        image = open_first_frame(kind, data)
    except Exception as error:  # decoders raise anything at all on hostile headers
        raise _damaged(error, kind, data, name) from None
    return _decoded(image, data, name, limits)


def _decoded(image: Image.Image, data: bytes, name: str, limits: Limits) -> Image.Image:
    _check_size(image.size, name, limits)
    try:
        image.load()
        _check_size(image.size, name, limits)  # some decoders learn the true size only now
        upright = _upright(to_rgb(image), image)
        return upright if type(upright) is Image.Image else upright.copy()  # a copy forgets the open file
    except ImageError:
        raise
    except MemoryError:
        raise ImageError(f"cannot read {name}: not enough memory for {image.width} x {image.height} pixels") from None
    except Exception as error:  # decoders raise anything at all on hostile pixels
        raise _damaged(error, accepted_format(data) or "image", data, name) from None


def noted_turn(image: Image.Image) -> Image.Transpose | None:
    """What turns a picture upright, as the camera's note in it says; None without a note that can be read."""
    try:
        return _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # EXIF comes from the file: its parser may fail in any way
        return None


def _upright(rgb: Image.Image, original: Image.Image) -> Image.Image:
    """``rgb`` turned as the note in ``original`` says."""
    method = noted_turn(original)
    if method is None:
        return rgb
    turned = rgb.transpose(method)
    turned.info.clear()  # or the note would turn it once more next time
    return turned


def _check_size(size: tuple[int, int], name: str, limits: Limits) -> None:
    width, height = size
    found = f"cannot read {name}: it has {width} x {height} pixels"
    if width < 1 or height < 1:
        raise ImageError(f"{found}, expected at least 1 x 1")
    if max(size) > limits.max_side or width * height > limits.max_pixels:
        allowed = f"at most {limits.max_side} a side and {limits.max_pixels / 1e6:g} million in all"
        raise ImageError(f"{found}, expected {allowed}", hint="make it smaller first")
    if max(size) > limits.max_aspect * min(size):
        raise ImageError(f"{found}, expected a shape of at most {limits.max_aspect}:1", hint="cut it into pieces first")


def _damaged(error: Exception, kind: str, data: bytes, name: str) -> ImageError:
    if data and (is_cut_short(kind, data) or "truncated" in str(error).lower()):
        return ImageError(f"cannot read {name}: the {kind} file is truncated", hint="copy or download it again")
    return ImageError(f"cannot read {name}: the {kind} file is damaged or of an unusual kind", hint="save it as PNG")


def _data_uri(uri: str, limits: Limits) -> bytes:
    comma = uri.find(",", 0, _LONGEST_MEDIA_TYPE)
    if comma < 0 or not uri[:comma].rstrip().lower().endswith(";base64"):
        raise ImageError("cannot read the image in the data URI: expected data:<type>;base64,<text>")
    size = (len(uri) - comma) // 4 * 3
    if size > 2 * limits.max_bytes:  # before anything is copied; up to half may be white space
        raise _too_large("the image in the data URI", size, limits)
    return from_base64(uri[comma + 1 :], "the image in the data URI")


def from_base64(text: str, name: str) -> bytes:
    """The bytes behind a base64 text, white space in it left out. Raises ImageError, about ``name``."""
    text = "".join(text.split())
    try:
        if text.endswith("==="):  # the decoder lets this pass
            raise ValueError
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise ImageError(
            f"cannot read {name}: its base64 text is malformed",
            hint="expected the standard alphabet, padded with = to a multiple of four",
        ) from None


def _file(path: str, limits: Limits) -> bytes:
    name = f"image {_shown(path)}"
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise ImageError(f"cannot read {name}: it is a folder", hint="name one picture in it")
        if not stat.S_ISREG(status.st_mode):  # a pipe or device might never end
            raise ImageError(f"cannot read {name}: it is not a regular file")
        if status.st_size > limits.max_bytes:
            raise _too_large(name, status.st_size, limits)
        with open(path, "rb") as file:
            return file.read(limits.max_bytes + 1)
    except FileNotFoundError:
        raise ImageError(f"cannot read {name}: file not found", hint=_similar(path)) from None
    except PermissionError:
        raise ImageError(f"cannot read {name}: permission denied") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte or a lone surrogate in the path
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a valid path"
        raise ImageError(f"cannot read {name}: {reason.lower()}", hint=f"expected the path of a {ACCEPTED}") from None


def _similar(path: str) -> str | None:
    try:
        found = similar_file(path)
    except OSError:
        return f"there is no folder {_shown(os.path.dirname(path))}"
    return did_you_mean(found, None, shown=_shown)


def _too_large(name: str, size: int, limits: Limits) -> ImageError:
    return ImageError(
        f"cannot read {name}: {size / (1 << 20):.1f} MiB, expected at most {limits.max_bytes / (1 << 20):g} MiB"
    )


def _shown(text: str) -> str:
    """A path in quotes, in one line, and not longer than a line or two."""
    short = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
    clean = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in short)
    return f"'{clean}'"
