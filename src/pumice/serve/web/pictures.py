"""The pictures of conversations on the web server's disk, under the hash of their content."""

from __future__ import annotations

import hashlib
import os
import re
import time
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image

from pumice.errors import BlockedUrlError, ImageError, PumiceError
from pumice.images.fetch import FetchPolicy, fetch
from pumice.images.formats import accepted_format
from pumice.images.load import Limits, load_image

_NAME = re.compile(r"[0-9a-f]{64}\.(?:jpg|png)")
_SHOWN_BY_BROWSERS = {"JPEG": "jpg", "PNG": "png"}
_TOUCH_S = 3600


@dataclass(frozen=True)
class PictureStore:
    """A folder of pictures that were decoded once and found good.

    JPEG and PNG files stay as they came, anything else becomes a PNG of the same pixels, so that every browser shows
    what the model is sent.
    """

    folder: Path
    max_bytes: int = 20 << 20

    def open(self) -> PictureStore:
        """Makes the folder, for this user alone."""
        private_folder(self.folder)
        return self

    def keep(self, data: bytes) -> str:
        """Checks a file's bytes by decoding them, and returns the name to find them by. Raises ImageError."""
        try:
            image = load_image(data, limits=Limits(max_bytes=self.max_bytes), fetch=None)
        except ImageError as error:  # whose it is, is said where its name is known
            raise ImageError(str(error).replace("the image in memory", "it"), hint=error.hint) from None
        kind = accepted_format(data) or ""
        if kind not in _SHOWN_BY_BROWSERS:
            written = BytesIO()
            image.save(written, "PNG", compress_level=1)
            data, kind = written.getvalue(), "PNG"
        name = f"{hashlib.sha256(data).hexdigest()}.{_SHOWN_BY_BROWSERS[kind]}"
        target = self.folder / name
        if target.exists():
            os.utime(target)
            return name
        work = target.with_suffix(f".{os.getpid()}.partial")
        try:
            work.write_bytes(data)
            work.replace(target)
        except OSError as error:
            work.unlink(missing_ok=True)
            raise PumiceError(
                f"the picture cannot be kept: {error.strerror}", hint="tell whoever runs this page"
            ) from None
        return name

    def keep_file(self, path: Path) -> str:
        """As ``keep``, for an upload. Raises ImageError."""
        try:
            with path.open("rb") as file:
                data = file.read(self.max_bytes + 1)
        except OSError:
            raise ImageError("the uploaded file is gone", hint="add the picture again") from None
        return self.keep(data)

    def keep_url(self, url: str, policy: FetchPolicy | None) -> str:
        """As ``keep``, for what is behind a URL. Raises BlockedUrlError and ImageError."""
        if policy is None:
            raise BlockedUrlError("pictures from the web are switched off here", hint="save it, and upload the file")
        return self.keep(fetch(url.strip(), policy))

    def path(self, name: str) -> Path | None:
        """Where the picture is; None if it is kept no longer, or the name is none of ours."""
        if _NAME.fullmatch(name) is None:
            return None
        path = self.folder / name
        return path if path.is_file() else None

    def read(self, name: str) -> bytes:
        """Its bytes. Raises ImageError if it is kept no longer."""
        path = self.path(name)
        if path is None:
            raise ImageError(
                "a picture of this conversation is no longer kept on the server",
                hint="start a new conversation, and add the picture again",
            )
        if time.time() - path.stat().st_mtime > _TOUCH_S:
            os.utime(path)
        return path.read_bytes()

    def pixels(self, name: str) -> Image.Image:
        """The picture in RGB, upright. Raises ImageError."""
        return load_image(self.read(name), limits=Limits(max_bytes=1 << 30), fetch=None)

    def sweep(self, older_than_s: float) -> int:
        """Removes what was not used for so long; returns how many."""
        removed = 0
        for path in self.folder.iterdir():
            try:
                if time.time() - path.stat().st_mtime > older_than_s:
                    path.unlink()
                    removed += 1
            except OSError:  # another process was faster
                continue
        return removed


def private_folder(folder: Path) -> None:
    """Makes a folder that only this user may look into."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.name == "posix":
        folder.chmod(0o700)
