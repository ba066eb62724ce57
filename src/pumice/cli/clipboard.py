"""The clipboard: the picture that was copied last is read from it, and text is put on it."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from pumice.errors import ImageError, UsageError

#: What stands for it where a picture's source is expected.
CLIPBOARD = "clip:"

_PATIENCE_S = 5.0


@dataclass(frozen=True)
class _Program:
    """Puts what it reads on a clipboard.

    variable: without it in the environment there is no such clipboard. near: the clipboard of the machine it runs on,
    which over SSH is not the one before which the person sits. more: variables it is started with.
    """

    command: tuple[str, ...]
    variable: str | None = None
    near: bool = False
    encoding: str = "utf-8"
    more: Mapping[str, str] = field(default_factory=dict)

    def suits(self, environment: Mapping[str, str]) -> bool:
        far = bool(environment.get("SSH_CONNECTION") or environment.get("SSH_TTY"))
        asked_for = self.variable is None or bool(environment.get(self.variable))
        return asked_for and not (self.near and far) and shutil.which(self.command[0]) is not None


# In the order in which they are tried. clip.exe is that of Windows, also from within its Linux.
_PROGRAMS = (
    _Program(("pbcopy",), near=True, more={"LC_CTYPE": "UTF-8"}),
    _Program(("clip.exe",), near=True, encoding="utf-16-le"),
    _Program(("wl-copy", "--type", "text/plain"), "WAYLAND_DISPLAY"),
    _Program(("xclip", "-selection", "clipboard"), "DISPLAY"),
    _Program(("tmux", "load-buffer", "-w", "-"), "TMUX"),
)


def copy_text(text: str) -> str:
    """Put ``text`` on the clipboard and return what did it, for people to read. Raises UsageError if nothing can."""
    failed = []
    for each in _PROGRAMS:
        if each.suits(os.environ):
            if _takes(each, text):
                return each.command[0]
            failed.append(each.command[0])
    for stream in (sys.stderr, sys.stdout):
        if stream.isatty() and os.environ.get("TERM") != "dumb":
            # OSC 52: the terminal sets the clipboard of the machine that it runs on, as far as SSH may be between.
            print(f"\x1b]52;c;{base64.b64encode(text.encode()).decode()}\x07", end="", file=stream, flush=True)
            return "the terminal (OSC 52), if it allows that"
    reason = f"{' and '.join(failed)} failed" if failed else "no program for it was found"
    raise UsageError(
        f"the clipboard cannot be written: {reason}, and there is no terminal to ask",
        hint="install wl-clipboard (Wayland) or xclip (X11), or keep it in a file: /export FILE.md",
    )


def _takes(program: _Program, text: str) -> bool:
    try:
        done = subprocess.run(
            program.command,
            input=text.encode(program.encoding),
            # Some stay in the background to hand the text out: they must keep no pipe open, and outlive a Ctrl-C.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, **program.more},
            timeout=_PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


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
