"""A real terminal (tmux) that a person seems to sit at, and recorded sessions to compare with what it shows.

    python tests/terminal.py tests/cli/sessions/chat.session ...

types sessions again and writes what the screen shows now in place of what it showed. Look at the difference.

    python tests/terminal.py --picture docs/images/chat.session docs/images/chat.svg

draws the screen at a session's end.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fakes import python_path

ROOT = Path(__file__).parent.parent
WIDTH, HEIGHT = 110, 46
PATIENCE_S = 60.0
_KEYS = re.compile(r"<([A-Z][A-Za-z-]*)>")


class Terminal:
    """Keys go in, the screen comes out."""

    def __init__(self, socket: str) -> None:
        self._socket = socket

    def type(self, text: str) -> None:
        """Key by key; ``<Tab>``, ``<Enter>``, ``<C-c>``, ``<M-Enter>``, ``<Up>``, ... are keys with names."""
        pieces = _KEYS.split(text)
        for index, piece in enumerate(pieces):
            if piece:
                self._tmux("send-keys", *(["-l", "--"] if index % 2 == 0 else []), piece)

    def screen(self, *, colours: bool = False) -> str:
        """What has been shown, history included, without the empty lines below."""
        return self._tmux("capture-pane", "-p", "-S", "-", *(["-e"] if colours else [])).rstrip()

    def wait_for(self, wanted: str, *, seconds: float = PATIENCE_S) -> str:
        """The screen once ``wanted`` ends it (``...`` alone stands for any lines, in a line for any characters).

        Raises: AssertionError with what the screen shows instead.
        """
        pattern = _pattern(wanted)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            shown = self.screen()
            if pattern.fullmatch(_trimmed(shown)):
                return shown
            time.sleep(0.05)
        raise AssertionError(f"waited for:\n{wanted}\n--- the screen shows:\n{self.screen()}")

    def settled(self) -> str:
        """The screen once it asks for something and has not changed for a while; or for a long while."""
        shown, since = "", time.monotonic()
        while (quiet := time.monotonic() - since) < 30 and (quiet < 1.5 or not re.search(r"(^|\n)[$>.]$", shown)):
            now = _trimmed(self.screen())
            if now != shown:
                shown, since = now, time.monotonic()
            time.sleep(0.1)
        return shown

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(["tmux", "-L", self._socket, *words], capture_output=True, text=True, check=True)
        return done.stdout


@contextlib.contextmanager
def terminal(folder: Path, **environment: str) -> Iterator[Terminal]:
    """A shell in ``folder``, with ``$ `` as its prompt."""
    socket = f"pumice-{uuid.uuid4().hex[:8]}"
    own = {**os.environ, "PS1": "$ ", "PS2": "> ", "HISTFILE": "", **environment}
    own.pop("TMUX", None)
    size = ["-x", str(WIDTH), "-y", str(HEIGHT)]
    subprocess.run(
        ["tmux", "-L", socket, "-f", os.devnull, "new-session", "-d", *size, "bash", "--norc", "--noprofile"],
        cwd=folder,
        env=own,
        check=True,
    )
    try:
        yield Terminal(socket)
    finally:
        subprocess.run(["tmux", "-L", socket, "kill-server"], check=False, capture_output=True)


@dataclass(frozen=True)
class Step:
    """What is typed, and all that the screen shows when it has been answered."""

    typed: str
    shown: str


def read_session(path: Path) -> list[Step]:
    """Steps of a recorded session: a line ``@ keys`` each, and below it the end of the screen that follows."""
    steps: list[Step] = []
    for block in re.split(r"^@ ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        typed, _, shown = block.partition("\n")
        steps.append(Step(typed, shown.strip("\n")))
    return steps


@contextlib.contextmanager
def seat() -> Iterator[Terminal]:
    """A terminal in a folder of its own with pictures in it, where nothing was ever set or said."""
    with tempfile.TemporaryDirectory(prefix="pumice-seat-") as name:
        folder, home = Path(name) / "here", Path(name) / "home"
        shutil.copytree(ROOT / "examples", folder / "photos", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
        shutil.copy(folder / "photos" / "cups.png", folder / "photos" / "red and pink.png")
        home.mkdir()
        own = {
            each: str(home / each.lower())
            for each in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "HF_HOME")
        }
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        own |= {"HOME": str(home), "PATH": path, "PYTHONPATH": python_path(ROOT), "OMP_NUM_THREADS": "1"}
        with terminal(folder, HF_HUB_OFFLINE="1", LANG="C.UTF-8", **own) as screen:
            screen.wait_for("$")
            yield screen


def replay(screen: Terminal, path: Path) -> None:
    """Type a recorded session and compare what the terminal shows, step by step."""
    for step in read_session(path):
        screen.type(step.typed)
        screen.wait_for(f"...\n{step.shown}")


def record(path: Path) -> None:
    """Type a session again and write down what is shown."""
    head = re.split(r"^@ ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[0]
    blocks, before = [], "$"
    with seat() as screen:
        for step in read_session(path):
            screen.type(step.typed)
            now = screen.settled()
            new = now.splitlines()[len(before.splitlines()) - 1 :]
            blocks.append("\n".join([f"@ {step.typed}", *new]))
            before = now
    path.write_text(head + "\n".join(blocks) + "\n", encoding="utf-8")


def _trimmed(text: str) -> str:
    """Without what differs from run to run: times, rates, and where the seat is."""
    text = re.sub(r"\S*pumice-seat-\w+", "SEAT", text)
    text = re.sub(r"\b\d+(\.\d+)? (s|ms|tokens/s|GiB|GB)\b", r"# \2", text)
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")


def _pattern(wanted: str) -> re.Pattern[str]:
    """Lines of any text in place of a line ``...``, any characters in place of one within a line."""
    lines = _trimmed(wanted).split("\n")
    return re.compile(
        "".join(_line_pattern(line) for line in lines[:-1]) + _line_pattern(lines[-1]).removesuffix(r"\n")
    )


def _line_pattern(line: str) -> str:
    if line == "...":
        return r"(?:[^\n]*\n)*?"
    return re.escape(line).replace(re.escape("..."), r"[^\n]*") + r"\n"


def draw(path: Path, target: Path) -> None:
    """The screen at the end of a session as a picture."""
    from rich.console import Console
    from rich.terminal_theme import MONOKAI
    from rich.text import Text

    with seat() as screen:
        for step in read_session(path):
            screen.type(step.typed)
            screen.settled()
        shown = screen.screen(colours=True)
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(shown))
    svg = console.export_svg(title="pumice chat", theme=MONOKAI, unique_id="pumice")
    # The reader's own monospaced font: a picture fetches nothing.
    target.write_text(re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1] == "--picture":
        draw(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        for each in sys.argv[1:]:
            record(Path(each))
