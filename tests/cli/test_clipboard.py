"""``clip:``: what was copied last, through a stand-in for the desktop's program, started as a real one is."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest
from PIL import Image as Pillow
from PIL import ImageGrab

from fakes import ScriptedEngine
from pumice.cli.clipboard import copied_picture
from pumice.cli.main import main
from pumice.errors import ImageError

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other desktops have no such program")


@pytest.fixture
def desktop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where programs of the desktop can be put; without any at first."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    return tmp_path


def install(desktop: Path, script: str) -> None:
    program = desktop / "xclip"
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)


@LINUX
def test_a_copied_picture_is_asked_about(desktop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Pillow.new("RGB", (7, 5), "red").save(desktop / "copied.png")
    install(desktop, f"exec /bin/cat '{desktop / 'copied.png'}'")
    engine = ScriptedEngine()
    assert main(["ask", "--json", "-i", "clip:", "What?"], engine) == 0
    (facts,) = json.loads(capsys.readouterr().out)["images"]
    assert (facts["source"], facts["width"], facts["height"], facts["format"]) == ("clipboard", 7, 5, "png")
    (image,) = engine.asked[0].images()
    assert isinstance(image.source, Pillow.Image) and image.source.getpixel((3, 3)) == (255, 0, 0)


@LINUX
@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo 'Error: target image/png not available' >&2; exit 1", "there is no picture on the clipboard"),
        ("echo 'cannot open display' >&2; exit 1", "the clipboard cannot be read"),
        ("echo words", "the clipboard cannot be read"),
        (None, "neither wl-paste nor xclip is installed"),
    ],
)
def test_no_picture(desktop: Path, capsys: pytest.CaptureFixture[str], script: str | None, told: str) -> None:
    if script is not None:
        install(desktop, script)
    assert main(["ask", "-i", "clip:", "What?"], ScriptedEngine()) == 4
    assert told in capsys.readouterr().err


def test_files_that_were_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As macOS and Windows hand them out."""
    Pillow.new("RGB", (3, 2)).save(tmp_path / "a.png")
    monkeypatch.setattr(ImageGrab, "grabclipboard", lambda: [str(tmp_path / "a.png")])
    assert Pillow.open(io.BytesIO(copied_picture())).size == (3, 2)
    monkeypatch.setattr(ImageGrab, "grabclipboard", lambda: ["a", "b"])
    with pytest.raises(ImageError, match="holds 2 files"):
        copied_picture()
    monkeypatch.setattr(ImageGrab, "grabclipboard", lambda: [os.path.join(str(tmp_path), "none.png")])
    with pytest.raises(ImageError, match="cannot read the copied file"):
        copied_picture()
