"""``pumice web`` as a real process: it starts without its API, keeps strangers out, and ends while pages are open."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fakes import python_path


@contextmanager
def started(tmp_path: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and its address, once it says that it listens."""
    environment = {
        **os.environ,
        "PYTHONPATH": python_path(Path(__file__).parents[2]),
        "PUMICE_DATA_DIR": str(tmp_path),
        "HOME": str(tmp_path),
    }
    command = [sys.executable, "-m", "pumice", "web", "--port", "0", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stderr is not None
            line = ""
            while "http://" not in line:
                line = process.stderr.readline()
                assert line, "it ended before it listened"
            found = re.search(r"pumice web: (http://\S+)", line)
            assert found is not None, line
            yield process, found.group(1)
        finally:
            process.kill()


def status_of(url: str, **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.skipif(os.name == "nt", reason="no SIGTERM to handle")
def test_it_waits_for_its_api_and_lets_open_pages_go(tmp_path: Path) -> None:
    with started(tmp_path, "--api", "http://127.0.0.1:9/v1", "--drain", "20") as (process, url):
        assert status_of(f"{url}/") == 200
        assert status_of(f"{url}/", host="evil.example") == 400
        assert status_of(f"{url}/gradio_api/openapi.json") == 404
        assert status_of(f"{url}/gradio_api/file=/etc/passwd") in (403, 404)
        page = urllib.request.urlopen(f"{url}/gradio_api/heartbeat/abc", timeout=20)
        assert b"ALIVE" in page.readline()
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
        assert time.monotonic() - begun < 10
        page.close()


def test_what_it_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    from pumice.cli.main import main

    assert main(["web", "--share"]) == 2
    assert "nothing is published" in capsys.readouterr().err
    assert main(["web", "--api", "http://a/v1", "--controller", "http://b"]) == 2
    assert "exclude each other" in capsys.readouterr().err
