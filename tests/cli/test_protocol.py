"""``pumice chat --jsonl`` as a process, driven by a client that knows nothing but docs/protocol.md."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
DICE = str(ROOT / "examples" / "dice.png")
PATHS = [str(ROOT / "src"), str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
SCRIPTED = [sys.executable, str(HERE / "scripted.py")]
REAL = [sys.executable, "-m", "pumice"]


class Client:
    """Writes lines and collects events in the background."""

    def __init__(self, command: list[str], *options: str, script: str = "") -> None:
        self.process = subprocess.Popen(
            [*command, "chat", "--jsonl", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(PATHS), "SCRIPT": script},
        )
        self.events: list[dict[str, Any]] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.events.append(json.loads(line))
                self._news.notify_all()

    def write(self, *lines: bytes | dict[str, Any]) -> None:
        assert self.process.stdin is not None
        for line in lines:
            self.process.stdin.write((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n")
        self.process.stdin.flush()

    def wait_for(self, kind: str, **fields: Any) -> dict[str, Any]:
        wanted = {"type": kind} | fields
        with self._news:
            assert self._news.wait_for(lambda: any(wanted.items() <= each.items() for each in self.events), 60)
            return next(each for each in self.events if wanted.items() <= each.items())

    def finish(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        code = self.process.wait(120)
        self._reader.join(10)
        return code

    def of(self, identity: object) -> list[dict[str, Any]]:
        return [each for each in self.events if each.get("id") == identity]


@pytest.fixture
def scripted(request: pytest.FixtureRequest) -> Iterator[Client]:
    client = Client(SCRIPTED, script=getattr(request, "param", ""))
    yield client
    client.process.kill()
    client.process.wait()


def test_a_question_and_its_events(scripted: Client) -> None:
    scripted.write({"id": "a", "prompt": "How many?", "images": [DICE]})
    assert scripted.finish() == 0
    assert scripted.events[0] == {"type": "ready", "protocol": 1, "model": "scripted"}
    start, *deltas, end = scripted.of("a")
    assert start == {"type": "start", "id": "a"}
    assert [each["text"] for each in deltas] == ["Two ", "dice."]
    assert (end["text"], end["finish_reason"], end["usage"]["completion_tokens"]) == ("Two dice.", "stop", 2)


def test_whole_conversations_and_no_stream(scripted: Client) -> None:
    said = [{"role": "user", "text": "one", "images": [DICE]}, {"role": "assistant", "text": "1"}]
    scripted.write({"id": 7, "messages": [*said, {"role": "user", "text": "two"}], "stream": False, "seed": 3})
    assert scripted.finish() == 0
    start, end = scripted.of(7)
    assert (start["type"], end["type"], end["seed"]) == ("start", "end", 3)


ID = "a string or a whole number"


@pytest.mark.parametrize(
    ("line", "told", "code", "identity"),
    [
        (b"{", "expected a line of JSON", 2, None),
        (b"\xff\xfe", "expected a line of JSON", 2, None),
        (b"[1]", "expected an object, found a list", 2, None),
        (b"null", "expected an object, found null", 2, None),
        (b"[" * 100000, "expected a line of JSON", 2, None),
        ({"id": "x"}, "expected either prompt or messages", 2, "x"),
        ({"prompt": "q"}, "id is missing", 2, None),
        ({"id": True, "prompt": "q"}, f"id: expected {ID}, found true", 2, None),
        ({"id": ["x"], "prompt": "q"}, f"id: expected {ID}, found a list", 2, None),
        ({"id": "", "prompt": "q"}, 'id: expected a text that is not empty, found ""', 2, ""),
        ({"id": "x" * 201, "prompt": "q"}, "id: expected a shorter text, found", 2, "x" * 201),
        ({"cancel": None}, f"cancel: expected {ID}, found null", 2, None),
        ({"cancel": "x", "seed": 1}, "unknown field 'seed'", 2, None),
        ({"id": "x", "prompt": 5}, "prompt: expected a string, found 5", 2, "x"),
        ({"id": "x", "prompt": "q", "seed": 1.5}, "seed: expected a whole number, found 1.5", 2, "x"),
        ({"id": "x", "prompt": "q", "top_p": "1"}, 'top_p: expected a number, found "1"', 2, "x"),
        ({"id": "x", "prompt": "q", "stream": 1}, "stream: expected true or false, found 1", 2, "x"),
        ({"id": "x", "prompt": "q", "images": "a"}, 'images: expected a list, found "a"', 2, "x"),
        ({"id": "x", "prompt": "q", "images": [1]}, "images.0: expected a string, found 1", 2, "x"),
        ({"id": "x", "prompt": "q", "schema": []}, "schema: expected an object, found a list", 2, "x"),
        ({"id": "x", "messages": ["hm"]}, 'messages.0: expected an object, found "hm"', 2, "x"),
        ({"id": "x", "messages": [{"role": "me", "text": ""}]}, 'expected "user" or "assistant", found "me"', 2, "x"),
        ({"id": "x", "messages": [{"role": "user"}]}, "messages.0.text is missing", 2, "x"),
        ({"id": "x", "prompt": "q", "schema": {}}, "the answer is not the JSON", 1, "x"),
        ({"id": "x", "prompt": " "}, "the question is empty", 2, "x"),
        ({"id": "x", "prompt": "q", "colour": 1}, "unknown field 'colour'", 2, "x"),
        ({"id": "x", "prompt": "q", "temperature": -1}, "temperature must be", 2, "x"),
        ({"id": "x", "prompt": "q", "images": ["none.png"]}, "cannot read image 'none.png'", 4, "x"),
        ({"id": "x", "prompt": "q", "images": ["http://127.0.0.1/a.png"]}, "127.0.0.1", 4, "x"),
        ({"id": "x", "prompt": "q", "images": ["-"]}, "stdin carries requests", 2, "x"),
        ({"id": "x", "messages": [{"role": "assistant", "text": "hm"}]}, "the last message must be", 2, "x"),
        ({"id": "x", "messages": [{"role": "user", "text": "a"}] * 2}, "turn 2 must be the assistant's", 2, "x"),
    ],
)
def test_what_is_no_request(
    scripted: Client, line: bytes | dict[str, Any], told: str, code: int, identity: str | None
) -> None:
    scripted.write(b"", line, {"id": "after", "prompt": "still there?"})
    assert scripted.finish() == 0
    (error,) = [each for each in scripted.events if each["type"] == "error"]
    assert told in error["error"]["message"]
    assert (error["error"]["code"], error["id"]) == (code, identity)
    assert scripted.of("after")[-1]["type"] == "end"


def test_every_line_is_counted_and_fields_that_are_nearly_right(scripted: Client) -> None:
    message = {"role": "user", "text": "q", "image": ["a.png"]}
    scripted.write(b"", b"  ", {"id": 1, "promt": "q"}, b"\r", {"id": 2, "messages": [message]}, b"", b"{")
    assert scripted.finish() == 0
    errors = [each for each in scripted.events if each["type"] == "error"]
    assert [(each["line"], each["id"]) for each in errors] == [(3, 1), (5, 2), (7, None)]
    first, second = (each["error"] for each in errors[:2])
    assert (first["message"], first["hint"]) == ("unknown field 'promt'", "did you mean prompt?")
    assert (second["message"], second["hint"]) == ("messages.0: unknown field 'image'", "did you mean images?")


@pytest.mark.parametrize("scripted", ["slow"], indirect=True)
def test_cancel(scripted: Client) -> None:
    """One that is being answered, one that waits behind it, one that is not there; and an id in use is refused."""
    for name in "abcde":
        scripted.write({"id": name, "prompt": "count"})
    scripted.wait_for("delta", id="d")
    scripted.write({"id": "a", "prompt": "again"}, {"cancel": "nobody"})
    refused = scripted.wait_for("error")
    assert refused["id"] is None and "'a' is being answered already" in refused["error"]["message"]
    scripted.write(*({"cancel": name} for name in "edcba"))
    assert scripted.finish() == 0
    ends = {each["id"]: each["finish_reason"] for each in scripted.events if each["type"] == "end"}
    assert ends == dict.fromkeys("abcde", "cancelled")


@pytest.mark.parametrize("scripted", ["slow"], indirect=True)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_it(scripted: Client, number: signal.Signals, code: int) -> None:
    scripted.write({"id": "a", "prompt": "count"})
    scripted.wait_for("delta")
    scripted.process.send_signal(number)
    assert scripted.process.wait(30) == code
    assert scripted.process.stderr is not None and scripted.process.stderr.read() == b""


def test_a_reader_that_leaves_ends_it() -> None:
    process = subprocess.Popen(
        [*SCRIPTED, "chat", "--jsonl"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(PATHS), "SCRIPT": "slow"},
    )
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdin.write(b'{"id": 1, "prompt": "count"}\n')
    process.stdin.flush()
    process.stdout.close()
    assert process.wait(30) == 141
    assert process.stderr.read() == b""


def test_two_hundred_requests_of_the_real_model(tmp_path: Path) -> None:
    """Malformed lines among them, pictures that cannot be read, cancels: every id is answered once."""
    rng = random.Random(0)
    Pillow.new("RGB", (40, 30), "red").save(tmp_path / "red.png")
    (tmp_path / "broken.png").write_bytes((tmp_path / "red.png").read_bytes()[:40])
    client = Client(REAL, "--offline", "--max-tokens", "4", "--at-once", "8")
    asked, malformed = [], 0
    for number in range(200):
        image = rng.choice(["red.png", "red.png", "broken.png", None])
        request = {"id": f"r{number}", "prompt": f"What is this? {number}", "stream": rng.random() < 0.5}
        client.write(request | ({"images": [str(tmp_path / image)]} if image else {}))
        asked.append((request["id"], image))
        if rng.random() < 0.2:
            client.write(rng.choice([b"nonsense", b'{"id": "half', b"null", b'{"id": {}, "prompt": "q"}']))
            malformed += 1
        if rng.random() < 0.1:
            client.write({"cancel": f"r{rng.randrange(number + 1)}"})
    assert client.finish() == 0
    final = Counter(each["id"] for each in client.events if each["type"] in ("end", "error"))
    assert final == Counter({identity: 1 for identity, _ in asked}) + Counter({None: malformed})
    broken = {identity for identity, image in asked if image == "broken.png"}
    assert {each["id"] for each in client.events if each["type"] == "error"} - {None} == broken
    for identity, image in asked:
        *before, last = client.of(identity)
        if image != "broken.png":
            deltas = [each["text"] for each in before if each["type"] == "delta"]
            assert last["type"] == "end" and "".join(deltas) in ("", last["text"])


def test_the_example_in_the_documentation() -> None:
    """It is the file, and it works."""
    text = (ROOT / "docs" / "protocol.md").read_text("utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    example = ROOT / "examples" / "jsonl_client.py"
    assert block in example.read_text("utf-8")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        [sys.executable, str(example), DICE, "How many dice are there?", "What do they add up to?"],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": path, "PYTHONPATH": os.pathsep.join(PATHS)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines())[0].startswith("How many dice are there? ")
    assert len(done.stdout.splitlines()) == 2
