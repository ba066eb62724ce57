"""The picture that was copied last: a screenshot, an image out of a browser, or a file out of a folder."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from pumice.errors import ImageError

#: What stands for it where a picture's source is expected.
CLIPBOARD = "clip:"


def copied_picture() -> bytes:
    """The clipboard's picture as a file's bytes. Raises ImageError if it holds none, or cannot be read here."""
    from PIL import ImageGrab

    try:
        found = ImageGrab.grabclipboard()
    except NotImplementedError:  # Pillow asks programs of the desktop on Linux
        raise ImageError(
            "the clipboard cannot be read: neither wl-paste nor xclip is installed",
            hint="install wl-clipboard (Wayland) or xclip (X11), or name the file",
        ) from None
    except Exception as error:  # of the program that was asked, or of what it gave
        raise ImageError(f"the clipboard cannot be read: {error}", hint="name the file instead") from None
    if isinstance(found, list):
        return _copied_file(found)
    if found is None:
        raise ImageError("there is no picture on the clipboard", hint="copy one, or name the file")
    written = BytesIO()
    found.save(written, "PNG")
    return written.getvalue()


def _copied_file(names: list[str]) -> bytes:
    """Files that were copied in a folder's window."""
    if len(names) != 1:
        raise ImageError(
            f"the clipboard holds {len(names)} files, expected one picture", hint="/image A B names several"
        )
    try:
        return Path(names[0]).read_bytes()
    except OSError as error:
        raise ImageError(f"cannot read the copied file {names[0]!r}: {error.strerror}") from None
