"""``pumice ask`` in this process, the engine scripted."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from PIL import Image as Pillow

from fakes import ScriptedEngine
from pumice.cli.main import main
from pumice.prompts.conversation import Image


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "one.png"
    Pillow.new("RGB", (6, 4), "red").save(path)
    return path


def test_the_answer_is_all_of_stdout(picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = ScriptedEngine(answers=[["[bold]Two[/x] ", "dice \x1b[31m!"]], warnings=("careful",))
    assert main(["ask", "How many?", "-i", str(picture)], engine) == 0
    captured = capsys.readouterr()
    assert captured.out == "[bold]Two[/x] dice \x1b[31m!\n"  # raw: stdout is not a terminal
    assert captured.err == "warning: careful\n"


def test_quiet_leaves_only_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "q", "-q"], ScriptedEngine(warnings=("careful",))) == 0
    assert capsys.readouterr().err == ""


def test_an_answer_that_ends_its_line_gets_no_second_newline(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "q"], ScriptedEngine(answers=[["Yes.\n"]])) == 0
    assert capsys.readouterr().out == "Yes.\n"


def test_pictures_come_in_order_and_decoded(picture: Path, tmp_path: Path) -> None:
    other = tmp_path / "two.jpg"
    Pillow.new("RGB", (3, 9), "blue").save(other)
    engine = ScriptedEngine()
    assert main(["ask", "-i", str(picture), "What changed?", "-i", str(other)], engine) == 0
    sizes = []
    for part in engine.asked[0].images():
        assert isinstance(part, Image) and isinstance(part.source, Pillow.Image)
        sizes.append(part.source.size)
    assert sizes == [(6, 4), (3, 9)]
    assert engine.asked[0].turns[0].text == "What changed?"


def test_json_is_one_object(picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = ScriptedEngine(answers=[["Zwei ", "Würfel"]], warnings=("careful",))
    assert main(["ask", "q", "--json", "--seed", "5", "-q", "-i", str(picture)], engine) == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 1
    report = json.loads(captured.out)
    keys = ["id", "model", "text", "finish_reason", "usage", "images", "timings", "seed", "warnings"]
    assert list(report) == keys
    assert (report["model"], report["text"], report["finish_reason"]) == ("scripted", "Zwei Würfel", "stop")
    assert (report["seed"], report["warnings"]) == (5, ["careful"])
    assert report["usage"]["image_tokens"] == 25
    digest = hashlib.sha256(picture.read_bytes()).hexdigest()
    facts = {"source": str(picture), "sha256": digest, "width": 6, "height": 4, "format": "png"}
    assert report["images"] == [facts]
    assert captured.err == ""


def test_a_data_uri_is_a_picture(picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uri = "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()
    assert main(["ask", "q", "--json", "-i", uri], ScriptedEngine()) == 0
    facts = json.loads(capsys.readouterr().out)["images"][0]
    assert facts["sha256"] == hashlib.sha256(picture.read_bytes()).hexdigest()
    assert facts["source"] == "data:image/png;base64,..."


def test_stats_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "q", "--stats", "-q"], ScriptedEngine()) == 0
    captured = capsys.readouterr()
    assert captured.out == "Two dice.\n"
    assert captured.err.startswith("stats: 2 tokens in 0.25 s, 5.0 tokens/s; first token after 0.05 s")


def test_a_question_may_look_like_a_flag() -> None:
    engine = ScriptedEngine()
    assert main(["ask", "--", "--model-path"], engine) == 0
    assert engine.asked[0].turns[0].text == "--model-path"


def test_a_private_url_needs_the_flag(picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    body = picture.read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/one.png"
        assert main(["ask", "q", "-i", url], ScriptedEngine()) == 4
        assert "--allow-private-urls" in capsys.readouterr().err
        assert main(["ask", "q", "--json", "--allow-private-urls", "-i", url], ScriptedEngine()) == 0
        facts = json.loads(capsys.readouterr().out)["images"][0]
        assert (facts["source"], facts["width"], facts["format"]) == (url, 6, "png")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
