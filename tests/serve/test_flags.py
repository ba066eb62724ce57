"""The original's commands as they were typed, flags shortened as its parser allowed it."""

from __future__ import annotations

import math
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pumice.cli.serving import Capacity, served_name
from pumice.errors import UsageError
from pumice.serve.original.flags import (
    CONTROLLER,
    GRADIO_WEB_SERVER,
    MODEL_WORKER,
    REGISTER_WORKER,
    TEST_MESSAGE,
    Program,
    translated,
)
from serve.clusters import FakeService, environment, free_port, listed, process, until, worker
from serve.original_client import Client, text_of

TYPED = [
    (CONTROLLER, "--host 0.0.0.0 --port 10000", "controller --host 0.0.0.0 --port 10000"),
    (CONTROLLER, "", "controller"),
    (CONTROLLER, "--dispatch lottery", "controller --dispatch lottery"),
    (
        GRADIO_WEB_SERVER,
        "--controller http://localhost:10000 --model-list-mode reload",
        "web --controller http://localhost:10000",
    ),
    (GRADIO_WEB_SERVER, "--port 7861", "web --port 7861 --controller http://localhost:21001"),
    (
        MODEL_WORKER,
        "--host 0.0.0.0 --controller http://localhost:10000 --port 40000 --worker http://localhost:40000 "
        "--model-path liuhaotian/llava-v1.5-13b",
        "worker --host 0.0.0.0 --port 40000 --address http://localhost:40000 --controller http://localhost:10000 "
        "--model liuhaotian/llava-v1.5-13b",
    ),
    (
        MODEL_WORKER,
        "--controller http://localhost:10000 --model-path a --model-base b --load-4bit --device mps --multi-modal",
        "worker --controller http://localhost:10000 --model a --base b --device mps --4bit",
    ),
    (
        MODEL_WORKER,
        "--no-register --load-8 --limit-model-concurrency 3 --model-name x --stream-interval 2 --use-flash-attn",
        "worker --name x --slots 3 --no-register --8bit",
    ),
    (MODEL_WORKER, "", "worker --controller http://localhost:21001"),
    (
        REGISTER_WORKER,
        "--controller-address http://c --worker-name http://w --check-heart-beat",
        "llava-register-worker --controller http://c --name http://w --check-heart-beat",
    ),
    (TEST_MESSAGE, "--model-name m --message=-x", "llava-test-message --model m --message -x"),
]


@pytest.mark.parametrize(("program", "typed", "ours"), TYPED)
def test_commands_as_typed(program: Program, typed: str, ours: str) -> None:
    assert translated(program, shlex.split(typed)) == shlex.split(ours)


def test_flags_without_effect_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    translated(MODEL_WORKER, ["--multi-modal", "--stream-interval", "1", "--use-flash-attn"])
    said = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in said] == ["--multi-modal", "--stream-interval", "--use-flash-attn"]
    assert all(line.startswith("note: ") for line in said)


@pytest.mark.parametrize(
    ("program", "typed", "words"),
    [
        (GRADIO_WEB_SERVER, "--share", "--share is not supported"),
        (GRADIO_WEB_SERVER, "--moderate", "--moderate is not supported"),
        (MODEL_WORKER, "--load 1", "ambiguous"),
        (MODEL_WORKER, "--nonsense", "unrecognized"),
        (CONTROLLER, "--dispatch-method best", "invalid choice"),
    ],
)
def test_what_makes_no_sense(capsys: pytest.CaptureFixture[str], program: Program, typed: str, words: str) -> None:
    with pytest.raises(SystemExit) as stop:
        translated(program, typed.split())
    assert stop.value.code == 2
    assert words in capsys.readouterr().err


def test_the_modules_do_their_work(tmp_path: Path) -> None:
    """Controller, registration by hand, and a test message, each as a process of its own."""
    port = free_port()
    url = f"http://localhost:{port}"
    service = FakeService()

    def run(module: str, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", f"pumice.serve.{module}", *words]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            encoding="utf-8",
            env=environment(tmp_path),
            check=False,
            timeout=60,
        )

    with (
        process(tmp_path, "-m", "pumice.serve.controller", "--port", str(port), "--dispatch", "lottery"),
        worker(service, tmp_path) as address,
    ):
        done = run("register_worker", "--controller", url, "--worker", address)
        assert (done.returncode, done.stderr) == (0, "")
        until(lambda: listed(url) == [address])
        assert text_of(list(Client(url).ask("llava-fake", "hello")), "hello") == "A red cup."
        done = run("test_message", "--controller", url, "--model-name", "llava-fake", "--message", "What is it?")
        assert (done.returncode, done.stdout, done.stderr) == (0, "A red cup.\n", "")
        prompt, _, options = service.calls[-1]
        assert prompt.endswith("USER: What is it? ASSISTANT:")
        assert (options.temperature, options.max_tokens, options.stop) == (0.7, 32, ("</s>",))
        service.error = MemoryError()
        done = run("test_message", "--controller", url, "--model-name", "llava-fake")
        assert done.returncode == 5
        assert "not enough memory" in done.stderr
        done = run("test_message", "--controller", url, "--model-name", "none")
        assert (done.returncode, done.stdout) == (5, "")
        assert "llava-fake" in done.stderr
        done = run("register_worker", "--controller", url, "--worker-name", "http://10.0.0.1:5")
        assert done.returncode == 7
        assert "--worker-allow" in done.stderr


def test_helpers_without_anybody_there(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pumice.serve.test_message", "--worker", f"http://127.0.0.1:{free_port()}"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=environment(tmp_path),
        check=False,
        timeout=60,
    )
    assert done.returncode == 5
    assert "is it running?" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_is_served_by_the_last_part_of_its_folder(tmp_path: Path) -> None:
    """As the original named it; the rest of the path is nobody's business."""
    folder = tmp_path / "llava-mine" / "checkpoint-500"
    folder.mkdir(parents=True)
    assert served_name(str(folder)) == "llava-mine_checkpoint-500"
    assert served_name(f"{folder.parent}/") == "llava-mine"
    assert served_name("llava-hf/llava-1.5-7b-hf") == "llava-hf/llava-1.5-7b-hf"


@pytest.mark.parametrize(
    "wrong", [{"deadline": math.nan}, {"deadline": math.inf}, {"deadline": 0.0}, {"name": "a\nb"}, {"name": ""}]
)
def test_what_no_worker_can_be_told_is_refused_beforehand(wrong: dict[str, Any]) -> None:
    """By every command that starts one; its controller would refuse it later, or no answer would ever end."""
    with pytest.raises(UsageError, match="--" + next(iter(wrong))):
        Capacity(**wrong)
