"""The command with the bundled model: offline, from a picture to an answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
DICE = "examples/dice.png"


def _pumice(*arguments: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    return _python("-m", "pumice", *arguments, stdin=stdin)


def _python(*arguments: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [sys.executable, *arguments], input=stdin or b"", capture_output=True, cwd=ROOT, env=environment, check=False
    )


def test_ask_about_dice() -> None:
    done = _pumice("ask", "--offline", "-i", DICE, "How many dice are there, and what do they add up to?")
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode() == "There are 3 dice. They show 3, 5 and 2, which add up to 10.\n"
    assert done.stderr == b""


def test_json_and_text_agree() -> None:
    line = ["ask", "--offline", "-i", DICE, "How many dice are there?"]
    text, report = _pumice(*line), json.loads(_pumice(*line, "--json").stdout)
    assert report["text"].strip() == text.stdout.decode().strip()
    assert report["finish_reason"] == "stop"
    assert report["usage"]["image_tokens"] > 0
    assert report["images"][0]["source"] == DICE


def test_a_picture_from_stdin_gives_the_same_answer() -> None:
    line = ["ask", "--offline", "How many dice are there?"]
    from_file = _pumice(*line, "-i", DICE)
    from_stdin = _pumice(*line, "-i", "-", stdin=(ROOT / DICE).read_bytes())
    assert from_file.stdout == from_stdin.stdout != b""


def test_stats_and_max_tokens() -> None:
    done = _pumice("ask", "--offline", "-q", "--stats", "--max-tokens", "1", "-i", DICE, "Describe the picture.")
    assert done.returncode == 0
    assert done.stderr.startswith(b"stats: 1 tokens") and b"finish: length" in done.stderr


def test_chat_remembers() -> None:
    done = _pumice("chat", "--offline", "-q", "-i", DICE, stdin=b"How many dice are there?\nWhat do they add up to?\n")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.decode().strip().splitlines()) >= 2


def test_the_originals_command_line() -> None:
    flags = ["--image-file", DICE, "--conv-mode", "vicuna_v1", "--temperature", "0", "--max-new-tokens", "64"]
    done = _python("-m", "pumice.serve.cli", *flags, "--device", "cpu", stdin=b"How many dice are there?\n")
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode()
    assert text.startswith("USER: ASSISTANT: ") and text.endswith("USER: exit...\n")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["-m", "no-such-folder/or-hub-name", "--offline"], 3),
        (["-m", "./missing", "--offline"], 3),
        (["--template", "no-such-template"], 2),
        (["-i", "missing.png"], 4),
        (["--device", "cuda"], None),
    ],
)
def test_errors_of_the_real_engine(arguments: list[str], code: int | None) -> None:
    """One line of cause, never a traceback; where there is no such device, that is said, too."""
    done = _pumice("ask", "q", *arguments)
    assert b"Traceback" not in done.stderr
    if code is None:
        assert done.returncode in (0, 2)
    else:
        assert done.returncode == code, done.stderr
        assert done.stderr.startswith(b"error: ")


def test_python_needs_four_lines() -> None:
    program = (
        "from pumice import Conversation, Engine, Image\n"
        "engine = Engine.load(None)\n"
        f"print(engine.ask(Conversation.ask('How many dice are there?', (Image('{DICE}'),))).text)\n"
    )
    done = _python("-c", program)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_an_answer_needs_no_compiler() -> None:
    """Its import would take longer than the model: it came along with shapes that were worked out in Python."""
    code = (
        "import sys; from pumice.cli.main import main\n"
        f"assert main(['ask', '--offline', '-q', '-i', {DICE!r}, 'How many dice are there?']) == 0\n"
        "print(sorted({'torch._dynamo', 'sympy', 'torch._inductor'} & set(sys.modules)))"
    )
    done = _python("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().splitlines()[-1] == "[]"


def test_ten_megabytes_of_text_are_refused_by_their_beginning() -> None:
    text = ("The quick brown fox jumps over the lazy dog. " * 230_000)[:10_000_000]
    done = _pumice("ask", "--offline", "Sum up:", stdin=text.encode())
    assert done.returncode == 2
    assert done.stderr.decode() == (
        "error: a text of 10000008 characters is too long: its first 131072 have more tokens than the 4095 that the "
        "model takes\nhint: ask with fewer pictures or turns, or a shorter text\n"
    )


def test_what_is_typed_is_never_markup() -> None:
    """A picture's placeholder and an end token in a question are words: one picture is seen, and the answer goes on."""
    done = _pumice("ask", "--offline", "--json", "-i", DICE, "Say <image> and </s>: how many dice are there?")
    report = json.loads(done.stdout)
    assert report["usage"]["image_tokens"] == 64
    assert report["text"] and report["finish_reason"] == "stop"
