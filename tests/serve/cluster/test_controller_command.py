"""``pumice controller`` as a process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from pumice.cli.main import main
from serve.clusters import TOKEN, environment, free_port, process
from serve.original_client import post


def failing(folder: Path, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "pumice", "controller", *words],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=environment(folder),
        check=False,
        timeout=60,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="there is no signal that asks a process to end")
def test_it_ends_when_asked_to(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    log = ("--log-folder", str(tmp_path / "log"), "--log-json")
    with process(tmp_path, "-m", "pumice", "controller", "--port", str(port), *log) as started:
        assert httpx2.get(f"{url}/ready", trust_env=False).json() == {"status": "ready", "workers": 0}
        assert post(f"{url}/list_models", token=TOKEN) == (200, {"models": []})
        started.send_signal(signal.SIGTERM)
        assert started.wait(15) == 0
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{url}/health", trust_env=False)
    lines = (tmp_path / "log" / "controller.log").read_text(encoding="utf-8").splitlines()
    assert any("/list_models" in json.loads(line)["message"] for line in lines)


def test_a_port_in_use(tmp_path: Path) -> None:
    port = free_port()
    with process(tmp_path, "-m", "pumice", "controller", "--port", str(port)):
        code, said = failing(tmp_path, "--port", str(port))
    assert code == 1
    assert f"port {port} on 127.0.0.1 is in use" in said
    assert "--port" in said.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--worker-allow", "10.0.0.0/33"], "is not a network"),
        (["--dispatch", "best"], "shortest_queue"),
        (["--port", "many"], "--port"),
    ],
)
def test_what_makes_no_sense(tmp_path: Path, words: list[str], part: str) -> None:
    code, said = failing(tmp_path, *words)
    assert code == 2
    assert part in said
    assert "Traceback" not in said


@pytest.mark.parametrize("url", ["localhost:21001", "http://", "http://[::1", "ftp://localhost", "http://a:99999"])
@pytest.mark.parametrize("command", ["worker --controller", "worker --upstream", "api --controller"])
def test_addresses_that_are_none(command: str, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Said before a model is loaded, and not in the log, again and again."""
    assert main([*command.split(), url]) == 2
    assert f"{command.split()[1]}: expected a URL like http://" in capsys.readouterr().err
