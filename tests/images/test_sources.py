"""Where pictures may come from: paths, data URIs, and the web only if it is allowed."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest

from images.checks import assert_same, refusal
from images.pictures import encoded, noise
from pumice.errors import BlockedUrlError, ImageError
from pumice.images.load import Limits, load_image


class TestPaths:
    def test_a_missing_file_with_a_near_neighbour(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "cat.jpeg").touch()
        (tmp_path / "readme.md").touch()
        error = refusal("./cat.jpg")
        assert str(error) == "cannot read image './cat.jpg': file not found"
        assert error.hint == "did you mean './cat.jpeg'?"
        assert refusal("CAT.JPG").hint == "did you mean 'cat.jpeg'?"
        assert refusal("elephant.png").hint is None

    def test_a_missing_folder(self, tmp_path: Path) -> None:
        assert refusal(tmp_path / "pics" / "cat.jpg").hint == f"there is no folder '{tmp_path / 'pics'}'"

    def test_a_folder(self, tmp_path: Path) -> None:
        assert "it is a folder" in str(refusal(tmp_path))

    def test_no_permission(self, tmp_path: Path) -> None:
        path = tmp_path / "cat.png"
        path.write_bytes(encoded(noise(), "PNG"))
        path.chmod(0)
        if os.access(path, os.R_OK):  # the superuser may read everything: ask an ordinary user to try
            self._as_nobody(path)
        else:
            assert "permission denied" in str(refusal(path))

    @staticmethod
    def _as_nobody(path: Path) -> None:
        code = (
            "import os, sys; from pumice.images.load import load_image; from pumice.errors import ImageError\n"
            "os.setgid(65534); os.setuid(65534)\n"
            "try: load_image(sys.argv[1])\n"
            "except ImageError as error: print(error)\n"
        )
        result = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
        assert "permission denied" in result.stdout

    @pytest.mark.parametrize("path", ["a\x00b", "x" * 5000, "\ud800.png", "", "a\nb.png"])
    def test_impossible_paths(self, path: str) -> None:
        error = refusal(path)
        assert len(str(error)) < 400
        assert "\n" not in str(error)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
    def test_a_pipe_would_never_end(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        assert "not a regular file" in str(refusal(tmp_path / "pipe"))

    def test_a_file_too_large(self, tmp_path: Path) -> None:
        path = tmp_path / "large.png"
        with path.open("wb") as file:
            file.truncate((64 << 20) + 1)
        assert "64.0 MiB, expected at most 64 MiB" in str(refusal(path))
        with pytest.raises(ImageError, match="expected at most"):
            load_image(encoded(noise(), "BMP"), limits=Limits(max_bytes=100))

    def test_strangers_may_not_name_files(self, tmp_path: Path) -> None:
        path = tmp_path / "cat.png"
        path.write_bytes(encoded(noise(), "PNG"))
        for source in (path, str(path)):
            with pytest.raises(ImageError, match="expected an http"):
                load_image(source, allow_paths=False)
        assert load_image(path.read_bytes(), allow_paths=False)


class TestDataUris:
    TEXT = base64.b64encode(encoded(noise(), "PNG")).decode()

    @pytest.mark.parametrize(
        "head",
        [
            "data:image/png;base64,",
            "DATA:image/PNG;BASE64,",
            "data:;base64,",
            "data:image/jpeg;charset=utf-8;base64,",
            "data:image/png;base64 ,",
            "data:text/html;base64,",
        ],
    )
    def test_good_ones(self, head: str) -> None:
        assert_same(load_image(head + self.TEXT), noise())

    def test_white_space_is_tolerated(self) -> None:
        lines = "\r\n ".join(self.TEXT[start : start + 76] for start in range(0, len(self.TEXT), 76))
        assert_same(load_image(f"data:image/png;base64,\n{lines}\n"), noise())

    @pytest.mark.parametrize(
        "text",
        [
            TEXT[:-1] if TEXT.endswith("=") else TEXT + "A",
            "=" + TEXT,
            "-_-_",
            "ÄÄÄÄ",
            "AAAA====",
            "A",
            TEXT + "!",
            "AA=A",
        ],
    )
    def test_malformed_base64(self, text: str) -> None:
        assert "base64 text is malformed" in str(refusal(f"data:image/png;base64,{text}"))

    @pytest.mark.parametrize(
        "uri", ["data:", "data:image/png", "data:image/png,abc", "data:image/png;base64", "data:" + " " * 99999]
    )
    def test_not_base64_at_all(self, uri: str) -> None:
        assert "expected data:<type>;base64,<text>" in str(refusal(uri))

    def test_empty_and_too_large(self) -> None:
        assert "empty" in str(refusal("data:image/png;base64,"))
        for text in (self.TEXT, "A" * 2000):  # refused before decoding, and after
            with pytest.raises(ImageError, match="MiB, expected at most"):
                load_image(f"data:image/png;base64,{text}", limits=Limits(max_bytes=1000))


def test_the_web_can_be_switched_off() -> None:
    with pytest.raises(BlockedUrlError, match="switched off"):
        load_image("https://example.com/cat.png", fetch=None)
    for url in ("file:///etc/passwd", "FTP://example.com/cat.png"):
        with pytest.raises(BlockedUrlError, match="only http and https"):
            load_image(url)
