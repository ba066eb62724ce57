"""``--server``: the same commands, answered by a real worker with the bundled model, and by servers of other makes."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow

from pumice.cli.main import main
from pumice.cli.remote_session import open_remote
from pumice.cli.settings import Settings
from pumice.engine.engine import Engine
from pumice.options import SamplingOptions
from pumice.prompts.conversation import Conversation
from pumice.serve.guard.errors import ApiError, Failure
from pumice.serve.guard.keys import Keys
from serve.apis import MODEL, Scripted, bundled, real_worker, scripted, until
from test_remote import chunk, refusal, server, stream

DICE = "How many dice are there, and what do they add up to?"
WHOLE = stream(chunk("A "), chunk("die."), chunk(None, "stop"), "[DONE]")
MODELS = refusal(200, {"object": "list", "data": [{"id": "theirs", "object": "model", "created": 1, "owned_by": "x"}]})


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with real_worker(tmp_path_factory.mktemp("keys"), slots=4) as running:
        yield f"http://127.0.0.1:{running.port}"


def here(_: Settings) -> Engine:
    return bundled()


def both(worker: str, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[str, str]:
    """What the command prints with the weights and with the server."""
    assert main(words, here) == 0
    local = capsys.readouterr().out
    assert main([*words, "--server", worker]) == 0
    return local, capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["ask", DICE],
        ["ask", "Where is the boat?", "-s", "Be brief."],
        ["ask", "Where is the boat?", "-s", ""],
        ["ask", DICE, "--temperature", "1.5", "--seed", "7", "--top-p", "0.9", "--top-k", "40", "--n", "2"],
        ["ask", DICE, "--stop", " show", "--max-tokens", "30"],
        ["ask", DICE, "--max-tokens", "3"],
    ],
    ids=lambda words: " ".join(words[2:]) or "plain",
)
def test_a_server_answers_as_the_weights_do(
    words: list[str], worker: str, capsys: pytest.CaptureFixture[str], project: Path
) -> None:
    local, remote = both(worker, capsys, *words, "-i", str(project / "examples" / "dice.png"))
    assert local == remote != "\n"


def test_json_says_the_same(worker: str, capsys: pytest.CaptureFixture[str], project: Path) -> None:
    words = ["describe", str(project / "examples" / "dice.png"), str(project / "examples" / "cups.png"), "--json"]
    local, remote = (json.loads(each) for each in both(worker, capsys, *words))
    for report in (local, remote):
        del report["id"], report["timings"], report["usage"]["cached_tokens"]
    assert local == remote | {"model": local["model"]} and remote["model"] == MODEL
    assert remote["usage"]["image_tokens"] == 128


def test_a_schema_is_kept_by_the_server(
    worker: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, project: Path
) -> None:
    file = tmp_path / "s.json"
    file.write_text('{"type": "array", "items": {"type": "integer"}, "maxItems": 3}', encoding="utf-8")
    words = ["ask", DICE, "--schema", str(file), "-i", str(project / "examples" / "dice.png")]
    local, remote = both(worker, capsys, *words)
    assert local == remote and isinstance(json.loads(remote), list)


@pytest.mark.parametrize("text", ["[]", "{", '"x"'])
def test_what_is_no_schema_is_not_sent(text: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    file.write_text(text, encoding="utf-8")
    assert main(["ask", "q", "--schema", str(file), "--server", "http://127.0.0.1:1"]) == 2
    assert f"{file}: expected a JSON schema" in capsys.readouterr().err


def test_batch(worker: str, tmp_path: Path, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = str(project / "examples" / "*.png")
    for name, more, opener in (("a", [], here), ("b", ["--server", worker, "-j", "2"], None)):
        assert main(["batch", files, DICE, "-o", str(tmp_path / name), *more], opener) == 0
    lines = [[json.loads(line) for line in (tmp_path / name).read_text(encoding="utf-8").splitlines()] for name in "ab"]
    assert [each["text"] for each in lines[0]] == [each["text"] for each in lines[1]] and len(lines[0]) > 2
    assert main(["batch", files, DICE, "-o", str(tmp_path / "b"), "--resume"], here) == 2, "others' answers"
    assert "server" in capsys.readouterr().err


def test_chat_remembers_and_knows_what_is_seen(worker: str, project: Path) -> None:
    """A process of its own, as ``chat`` reads its questions from stdin; it never loads the engine."""
    code = (
        "import sys; from pumice.cli.main import main\n"
        f"code = main(['chat', '--server', {worker!r}, '-i', 'examples/dice.png'])\n"
        "sys.exit(code or ('torch' in sys.modules and 99))"
    )
    asked = f"{DICE}\nAnd where is the boat?\n/stats\n".encode()
    done = subprocess.run([sys.executable, "-c", code], input=asked, capture_output=True, cwd=project, check=False)
    assert done.returncode == 0, done.stderr
    told = done.stderr.decode()
    first, second = done.stdout.decode().splitlines()
    assert "add up to 10" in first and "boat" in second
    assert "(448x448 png); seen whole, padded to 128x128, 64 tokens" in told
    assert " 0 cached" not in told.split("stats:")[1], "the dialogue goes on where it was"


def test_lines_of_json(worker: str, project: Path) -> None:
    asked = json.dumps({"id": 1, "prompt": DICE, "images": ["examples/dice.png"]}) + '\n{"id": 2, "prompt": " "}\n'
    done = subprocess.run(
        [sys.executable, "-m", "pumice", "chat", "--jsonl", "--server", worker],
        input=asked.encode(), capture_output=True, cwd=project, check=False,
    )  # fmt: skip
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[0] == {"type": "ready", "protocol": 1, "model": MODEL}
    ends = {each["id"]: each for each in events if each["type"] in ("end", "error")}
    assert "10" in ends[1]["text"] and ends[1]["usage"]["image_tokens"] == 64
    assert ends[2]["error"]["message"] == "the question is empty"


# Servers of other makes


def sent(asked: list[dict[str, Any]]) -> list[bytes]:
    """The pictures of the last request, as files."""
    parts = asked[-1]["messages"][-1]["content"]
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    assert all(url.startswith(("data:image/png;base64,", "data:image/jpeg;base64,")) for url in urls)
    return [base64.b64decode(url.partition(",")[2]) for url in urls]


def test_a_plain_server(capsys: pytest.CaptureFixture[str], project: Path) -> None:
    picture = project / "examples" / "dice.png"
    with server(MODELS, WHOLE) as (url, asked):
        words = ["ask", "q", "--json", "--seed", "3", "--boxes", "b.png", "-i", str(picture)]
        assert main([*words, "--server", url.removesuffix("/v1")]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["text"], report["model"], report["seed"]) == ("A die.", "theirs", 3)
    assert report["usage"] == {"prompt_tokens": 0, "image_tokens": 0, "cached_tokens": 0, "completion_tokens": 2}
    assert report["timings"]["total_s"] >= report["timings"]["first_token_s"] > 0
    said = {name: asked[1][name] for name in ("model", "temperature", "top_p", "max_tokens", "seed")}
    assert said == {"model": "theirs", "temperature": 0, "top_p": 1, "max_tokens": 512, "seed": 3}
    assert not {"top_k", "stop", "response_format"} & set(asked[1])
    assert sent(asked) == [picture.read_bytes()]


@pytest.mark.parametrize(("kind", "turned"), [("JPEG", True), ("PNG", True), ("TIFF", False), ("JPEG", False)])
def test_others_see_what_is_seen_here(kind: str, turned: bool, tmp_path: Path) -> None:
    """Not every server turns photos as their camera noted, or reads TIFF."""
    drawn = Pillow.new("RGB", (40, 20), "white")
    drawn.paste("red", (0, 0, 20, 20))
    notes = Pillow.Exif()
    notes[0x0112] = 6 if turned else 1
    drawn.save(tmp_path / "p", kind, exif=notes)
    with server(MODELS, WHOLE) as (url, asked):
        assert main(["ask", "q", "-q", "-i", str(tmp_path / "p"), "--server", url]) == 0
    (data,) = sent(asked)
    shown = Pillow.open(io.BytesIO(data))
    assert shown.size == ((20, 40) if turned else (40, 20)) and shown.getexif().get(0x0112, 1) == 1
    assert shown.format == ("JPEG" if kind == "JPEG" else "PNG")
    red, green, _ = shown.convert("RGB").getpixel((10, 10))  # type: ignore[misc]
    assert red > 240 and green < 20
    assert (data == (tmp_path / "p").read_bytes()) is (kind == "JPEG" and not turned)


def test_a_picture_is_fetched_here_or_not_at_all(capsys: pytest.CaptureFixture[str], project: Path) -> None:
    data = (project / "examples" / "dice.png").read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *words: object) -> None:
            pass

    private = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=private.serve_forever, daemon=True).start()
    try:
        words = ["ask", "q", "-i", f"http://127.0.0.1:{private.server_port}/a.png"]
        with server(MODELS, WHOLE) as (url, asked):
            assert main([*words, "--server", url]) == 4 and asked == []
            assert "--allow-private-urls" in capsys.readouterr().err
            assert main([*words, "--server", url, "--allow-private-urls"]) == 0
            assert sent(asked) == [data]
    finally:
        private.shutdown()


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (Failure(429, "queue_full", "64 wait", "later", retry_after_s=0.01), 5),
        (Failure(504, "deadline_exceeded", "it took 600 s", "ask for less"), 5),
        (Failure(404, "model_not_found", "no such model", "models here: x"), 3),
        (Failure(400, "invalid_image", "half a picture", "send it again"), 4),
        (Failure(400, "context_length_exceeded", "too long", "shorter"), 2),
        (Failure(400, "model_does_not_support_images", "it is blind", "another one"), 2),
    ],
    ids=lambda value: value.code if isinstance(value, Failure) else "",
)
def test_refusals(failure: Failure, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with scripted(tmp_path, Scripted(refusal=ApiError(failure))) as running:
        url = f"http://127.0.0.1:{running.port}"
        assert main(["ask", "q", "--server", url]) == code
        first, hint, number = [line for line in capsys.readouterr().err.splitlines() if line[:7] != "pumice "]
        assert (first, hint) == (f"error: {failure.message}", f"hint: {failure.hint}")
        assert number.startswith("request: req_")
        assert main(["ask", "q", "--json", "--server", url]) == code
        error = json.loads(capsys.readouterr().err)["error"]
        assert error["code"] == code and error["request_id"].startswith("req_")


def test_half_an_answer_fails(capsys: pytest.CaptureFixture[str]) -> None:
    with server(MODELS, stream(chunk("A "))) as (url, _):
        assert main(["ask", "q", "--server", url]) == 5
    captured = capsys.readouterr()
    assert captured.out == "A " and "broke off" in captured.err and "request: r-1" in captured.err


@pytest.mark.parametrize(
    ("address", "words"),
    [("localhost:8000", "expected a URL"), ("ftp://x/v1", "expected a URL"), ("http://x:99999", "expected a URL")],
)
def test_addresses_that_are_none(address: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "q", "--server", address]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("port", ["70000", "65536", "-1"])
@pytest.mark.parametrize("command", ["serve", "api", "web", "worker", "controller"])
def test_ports_that_are_none(command: str, port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--port", port]) == 2
    error = capsys.readouterr().err
    assert "--port" in error and ("at most 65535" in error or "at least 0" in error or "0<=x<=65535" in error)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["serve", "-m", "/nope"], 3, "no model at '/nope'"),
        (["serve", "-m", "./nope"], 3, "no model at './nope'"),
        (["serve", "--no-web", "--slack"], 7, "SLACK_BOT_TOKEN is not set"),
        (["web", "--api", "foo"], 2, "--api: expected a URL like http://127.0.0.1:8000/v1, found 'foo'"),
    ],
)
def test_what_cannot_serve_says_so_before_anything_starts(
    words: list[str], code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SLACK_BOT_TOKEN", raising=False)
    assert main([*words, "--port", "0"]) == code
    assert capsys.readouterr().err.startswith(f"error: {said}")


def test_a_server_without_models_and_one_without_a_list(capsys: pytest.CaptureFixture[str]) -> None:
    with server(refusal(200, {"object": "list", "data": []})) as (url, _):
        assert main(["ask", "q", "--server", url]) == 5
        assert "no model to ask now" in capsys.readouterr().err
    with server(refusal(404, {"error": {"message": "not here"}}), WHOLE) as (url, asked):
        assert main(["ask", "q", "--server", url, "-m", "some"]) == 0 and asked[-1]["model"] == "some"
        assert capsys.readouterr().out == "A die.\n"


def test_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    key = Keys(tmp_path).create("me")
    with scripted(tmp_path, Scripted()) as running:
        monkeypatch.setenv("PUMICE_SERVER", f"http://127.0.0.1:{running.port}/v1")
        assert main(["ask", "q"]) == 7
        monkeypatch.setenv("PUMICE_API_KEY", key)
        assert main(["ask", "q"]) == 0
        assert capsys.readouterr().out == "Two dice.\n"
    assert main(["config", "show"]) == 0
    shown = capsys.readouterr().out
    assert key not in shown and "PUMICE_SERVER" in shown


@pytest.mark.parametrize(
    "flags",
    [["--4bit"], ["--device", "cpu"], ["--dtype", "float32"], ["--template", "vicuna_v1"], ["--kv-8bit"],
     ["--text-in-images", "hide"], ["--look", "look.png"], ["--base", "x"]],
    ids=" ".join,
)  # fmt: skip
def test_wishes_about_weights_are_refused(flags: list[str], capsys: pytest.CaptureFixture[str], project: Path) -> None:
    words = ["ask", "q", "-i", str(project / "examples" / "dice.png"), "--server", "http://127.0.0.1:1"]
    assert main([*words, *flags]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {flags[0]} ") and "hint: leave it out" in error


def test_settings_of_this_machine_do_not_bother_a_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "c.toml"
    file.write_text('model = "x/y"\n4bit = true\nbase = "z"\n', encoding="utf-8")
    with server(MODELS, WHOLE) as (url, asked):
        assert main(["ask", "q", "--config", str(file), "--server", url]) == 0
        assert asked[-1]["model"] == "theirs"
    with server(MODELS, WHOLE) as (url, asked):
        file.write_text(f'model = "x/y"\nserver = "{url}"\n', encoding="utf-8")
        assert main(["ask", "q", "--config", str(file)]) == 0 and asked[-1]["model"] == "x/y"
        count = len(asked)
        file.write_text(f'server = "{url}"\n', encoding="utf-8")
        capsys.readouterr()
        assert main(["ask", DICE, "--config", str(file), "--server", ""], here) == 0 and len(asked) == count
        assert main(["ask", DICE, "--config", str(file), "--4bit"], here) == 2
        assert "--server ''" in capsys.readouterr().err


def test_offline_asks_this_machine_only(worker: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "q", "--offline", "--server", "http://pumice.example/v1"]) == 2
    assert "--offline forbids the network" in capsys.readouterr().err
    assert main(["ask", "q", "--offline", "--server", worker]) == 0


def test_a_cancelled_answer_ends_at_the_server_too(tmp_path: Path) -> None:
    backend = Scripted(script=("Two ", *[0.05] * 400, "dice."))
    with scripted(tmp_path, backend) as running:
        engine = open_remote(Settings(server=f"http://127.0.0.1:{running.port}"))
        streaming = engine.stream(Conversation.ask("q"), SamplingOptions())
        pieces = []
        for piece in streaming:
            pieces.append(piece)
            streaming.cancel()
        assert pieces == ["Two "] and streaming.answer.finish_reason == "cancelled"
        until(lambda: backend.ended == ["dropped"])


def test_no_more_at_a_time_than_was_wished(tmp_path: Path) -> None:
    backend = Scripted(script=("Two ", 0.3, "dice."))
    with scripted(tmp_path, backend) as running:
        engine = open_remote(Settings(server=f"http://127.0.0.1:{running.port}"))
        engine.most = 2
        streams = [engine.stream(Conversation.ask("q"), SamplingOptions()) for _ in range(5)]
        until(lambda: len(backend.asked) == 2)
        assert len(backend.ended) == 0
        assert ["".join(each) for each in streams] == ["Two dice."] * 5
