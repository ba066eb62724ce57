"""Pictures and text from the command line, read before any model loads, so that what is wrong shows at once."""

from __future__ import annotations

import base64
import hashlib
import os
import select
import stat
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pumice.cli.clipboard import CLIPBOARD, copied_picture
from pumice.cli.output import note
from pumice.cli.settings import Settings
from pumice.errors import ImageError, UsageError
from pumice.prompts.conversation import Image

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

_PATIENCE_S = 2.0


@dataclass(frozen=True)
class Picture:
    """A decoded picture, the file's own bytes, and what there is to say about them."""

    source: str
    pixels: PilImage
    data: bytes

    @cached_property
    def format(self) -> str:
        from pumice.images.formats import accepted_format

        return (accepted_format(self.data) or "unknown").lower()

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def part(self) -> Image:
        return Image(self.pixels, data=self.data)

    @property
    def description(self) -> str:
        return f"{self.source} ({self.pixels.width}x{self.pixels.height} {self.format})"

    def facts(self) -> dict[str, object]:
        width, height = self.pixels.size
        return {
            "source": self.source,
            "sha256": self.sha256,
            "width": width,
            "height": height,
            "format": self.format,
        }


def load_pictures(sources: list[str], settings: Settings) -> list[Picture]:
    """Decodes every source: a file, a URL, a ``data:`` URI, ``-`` for stdin or ``clip:`` for the clipboard.

    Raises ImageError for a picture that cannot be had, UsageError for sources that make no sense together.
    """
    if sources.count("-") > 1:
        raise UsageError("stdin holds one picture: -i - may be given once")
    return [_load(source, settings) for source in sources]


def piped_text(settings: Settings) -> str:
    """The text that was piped in; empty if nothing was: a terminal, a closed stream and /dev/null hold no text.

    Waits for the writer to finish, and says so after a while: a program that starts this one and leaves its stdin open
    would otherwise wait for ever without knowing why.
    """
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError):  # closed, or replaced by something without a file behind it
        return ""
    if not (stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)):
        return ""
    if not _has_come_soon():
        note("waiting for text from stdin; to go without: < /dev/null", settings)
    try:
        return sys.stdin.buffer.read().decode("utf-8").strip()
    except UnicodeDecodeError:
        raise UsageError(
            "what was piped in is not UTF-8 text", hint="to pass a picture, add -i -; to ignore it, < /dev/null"
        ) from None


def _has_come_soon() -> bool:
    try:
        return bool(select.select([sys.stdin.fileno()], [], [], _PATIENCE_S)[0])
    except (OSError, ValueError):  # Windows selects sockets only
        return True


def _load(source: str, settings: Settings) -> Picture:
    from pumice.images.fetch import FetchPolicy, fetch
    from pumice.images.load import is_url, load_image

    if source == "-":
        return picture_of("stdin", _piped_bytes())
    if source == CLIPBOARD:
        return picture_of("clipboard", copied_picture())
    if is_url(source):  # the fetcher says which schemes there are
        if settings.offline and source.lower().startswith(("http://", "https://")):
            raise UsageError("a picture's URL needs the network, and --offline forbids it")
        return picture_of(source, fetch(source, FetchPolicy(allow_private=settings.allow_private_urls)))
    pixels = load_image(source, fetch=None)
    if source[:5].lower() == "data:":
        head, _, body = source.partition(",")
        return Picture(f"{head},...", pixels, base64.b64decode(body))
    return Picture(source, pixels, Path(source).read_bytes())


def picture_of(source: str, data: bytes) -> Picture:
    """A file's bytes as a picture, named ``source`` in what is said about it. Raises ImageError."""
    from pumice.images.load import load_image

    try:
        return Picture(source, load_image(data), data)
    except ImageError as error:
        raise ImageError(f"{source}: {error}", hint=error.hint) from None


def _piped_bytes() -> bytes:
    if sys.stdin.isatty():
        raise UsageError("-i - reads a picture from stdin, and nothing is piped in", hint="pumice ask -i - ... < a.png")
    from pumice.images.load import Limits

    return sys.stdin.buffer.read(Limits().max_bytes + 1)  # one more than is taken
