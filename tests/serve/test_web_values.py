"""The page's parts without a browser: conversations, safety, log, pictures, history, what is seen, the gate."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from datetime import date
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pumice.errors import BlockedUrlError, ImageError
from pumice.images.config import Preprocessing
from pumice.images.policy import FetchPolicy
from pumice.serve.api.app import create_app
from pumice.serve.api.ledger import Ledger
from pumice.serve.guard.run import Drain, guarded
from pumice.serve.web.app import mount_web
from pumice.serve.web.conversation import Conversation, Exchange, as_json, from_json
from pumice.serve.web.export import as_json_text, as_markdown
from pumice.serve.web.gate import Gate
from pumice.serve.web.history import History, history_as_json, history_from_json
from pumice.serve.web.log import ConversationLog
from pumice.serve.web.pictures import PictureStore
from pumice.serve.web.safe import JOINER, neutralised, restored, toast
from pumice.serve.web.seen import preparation, views
from pumice.serve.web.settings import WebSettings
from serve.apis import Scripted
from serve.fake_api import IMAGES
from serve.served import doorkeeping

DICE = Path(__file__).parents[2] / "examples" / "dice.png"


def done(question: str, answer: str, **more: Any) -> Exchange:
    return Exchange(question, answer=answer, ending="complete", **more)


@pytest.fixture
def store(tmp_path: Path) -> PictureStore:
    return PictureStore(tmp_path / "pictures").open()


def test_only_what_was_answered_is_told_again() -> None:
    talk = Conversation((done("one", "1"), Exchange("two", ending="failed", note="why"), done("three", "3")))
    talk = talk.asking("four", ("a.png",))
    told = talk.messages(lambda name: b"\x89PNG" + name.encode())
    assert [each["role"] for each in told] == ["user", "assistant", "user", "assistant", "user"]
    assert told[4]["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")
    assert told[4]["content"][1] == {"type": "text", "text": "four"}


def test_asking_again_keeps_pictures_and_drops_what_followed() -> None:
    talk = Conversation((done("one", "1", pictures=("a.png",), vote="flag"), done("two", "2")))
    again = talk.asking_again(0, "uno")
    assert again.exchanges == (Exchange("uno", ("a.png",)),)
    assert again.waiting is not None
    assert talk.waiting is None


def test_history_comes_back_as_it_was_and_an_open_answer_ends() -> None:
    talk = Conversation((done("one", "1", vote="upvote"), Exchange("two")))
    history = History().with_saved(talk)
    found = history_from_json(json.loads(json.dumps(history_as_json(history))))
    assert found.current == talk.id
    assert found.conversations[0].exchanges[0] == talk.exchanges[0]
    assert found.conversations[0].exchanges[1].ending == "stopped"
    assert history.with_saved(talk).titles == [("one", talk.id)]
    assert history.without(talk.id) == History()
    assert History().with_saved(Conversation()).conversations == ()


def test_history_has_a_limit() -> None:
    history = History()
    for number in range(60):
        history = history.with_saved(Conversation((done(f"question {number}", "x" * 40_000),)))
    assert 10 < len(history.conversations) <= 50
    assert history.conversations[0].title == "question 59"


FIELDS = ["id", "exchanges", "question", "answer", "pictures", "ending", "vote", "version", "conversations"]
LEAVES = st.none() | st.booleans() | st.integers() | st.text()


@given(st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(FIELDS), inner)))
def test_whatever_a_browser_sends_is_read_or_left_out(found: Any) -> None:
    history_from_json({"version": 1, "conversations": [found], "current": found})
    talk = from_json({"id": "a1", "exchanges": [found]})
    assert talk is None or from_json(as_json(talk)) == talk


HARMFUL = [
    "<img src=x>",
    "<script>",
    "</div>",
    "<!-- c -->",
    "![a](http://b)",
    "![a][b]",
    "[b]: http://c",
    "[x](javascript:y)",
]


@pytest.mark.parametrize("text", HARMFUL)
def test_what_would_load_or_run_is_cut_apart(text: str) -> None:
    for around in ("{}", "- {}\n- b", "> {}", "a\n{}\nb", "| a |\n|---|\n| {} |"):
        safe = neutralised(around.format(text))
        assert text not in safe
        assert restored(safe) == around.format(text)


@pytest.mark.parametrize(
    "text", ["`<img src=x>`", "```\n<b>![a](b)\n```", "    <i>\n", "~~~html\n<p>\n~~~", "``a ` <b>``"]
)
def test_code_stays_as_it_is(text: str) -> None:
    assert neutralised(text) == text


def test_links_to_the_web_and_sums_stay() -> None:
    text = "[a](https://b.example) [m](mailto:a@b.example) 1 < 2, a<3, a[0], x!"
    assert neutralised(text) == text
    assert neutralised("```mermaid\ngraph\n```") == f"```{JOINER}mermaid\ngraph\n```"


@given(st.text(alphabet="<>![]():`~ \n\tab-/jhtp#&;'\"\\"))
def test_nothing_harmful_outside_of_code(text: str) -> None:
    safe = neutralised(text)
    assert restored(safe) == text
    if "`" not in text and "~" not in text and "    " not in text and "\t" not in text:
        assert "![" not in safe
        assert "]:" not in safe
        assert not any(f"<{each}" in safe for each in "ab/!jhtp")


def test_a_toast_is_text() -> None:
    assert toast("<b>no</b>", "try & try", "req-1") == "&lt;b&gt;no&lt;/b&gt;<br>try &amp; try<br>request req-1"


def test_the_log_is_the_originals(store: PictureStore, tmp_path: Path) -> None:
    name = store.keep(DICE.read_bytes())
    log = ConversationLog(tmp_path / "log", store.pixels)
    talk = Conversation((done("How many?", "Three.", pictures=(name,), model="tiny"),))
    log.chat(talk, start=1.0, visitor="192.0.2.7", facts={"ending": "complete"})
    for _ in range(2):  # a click may come twice
        log.vote(talk, 0, "downvote", visitor="192.0.2.7")
    today = date.today().isoformat()
    chat, vote = (json.loads(line) for line in (tmp_path / "log" / f"{today}-conv.json").read_text().splitlines())
    assert (chat["type"], vote["type"], chat["model"], chat["start"]) == ("chat", "downvote", "tiny", 1.0)
    assert chat["state"]["messages"] == [["USER", ["How many?", Path(name).stem]], ["ASSISTANT", "Three."]]
    assert chat["images"] == [Path(name).stem]
    assert chat["ip"] == vote["ip"] != "192.0.2.7"
    with Image.open(tmp_path / "log" / "serve_images" / today / f"{Path(name).stem}.jpg") as saved:
        assert (saved.format, saved.size) == ("JPEG", (448, 448))


def test_a_full_disk_is_told_once(tmp_path: Path, store: PictureStore, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "log").write_text("a file where a folder should be")
    log = ConversationLog(tmp_path / "log", store.pixels)
    talk = Conversation((done("a", "b"),))
    with caplog.at_level(logging.WARNING, "pumice.web"):
        for _ in range(3):
            log.vote(talk, 0, "flag", visitor="x")
        assert len(caplog.records) == 1
        (tmp_path / "log").unlink()
        log.vote(talk, 0, "flag", visitor="x")
    assert "again" in caplog.records[1].getMessage()


def test_pictures_are_kept_by_content(store: PictureStore, tmp_path: Path) -> None:
    name = store.keep(DICE.read_bytes())
    assert store.keep(DICE.read_bytes()) == name
    assert store.read(name) == DICE.read_bytes()
    Image.new("RGB", (8, 6), "red").save(tmp_path / "a.gif")
    gif = store.keep_file(tmp_path / "a.gif")
    assert gif.endswith(".png")
    assert store.pixels(gif).getpixel((0, 0)) == (255, 0, 0)
    for bad in ("../a.gif", "/etc/passwd", "0" * 64 + ".svg", ""):
        assert store.path(bad) is None
    with pytest.raises(ImageError, match="not a picture"):
        store.keep(b"words")
    with pytest.raises(BlockedUrlError):
        store.keep_url("http://127.0.0.1/a.png", FetchPolicy())
    with pytest.raises(BlockedUrlError, match="switched off"):
        store.keep_url("https://example.com/a.png", None)
    if os.name == "posix":
        assert store.folder.stat().st_mode & 0o777 == 0o700
    os.utime(store.folder / gif, (0, time.time() - 100))
    assert store.sweep(50) == 1
    with pytest.raises(ImageError, match="no longer kept"):
        store.read(gif)


def test_export_holds_everything_and_loads_nothing(store: PictureStore) -> None:
    name = store.keep(DICE.read_bytes())
    talk = Conversation((done("Look", "![x](http://evil.example/)", pictures=(name,), note="Stopped."),))
    text = as_markdown(talk, store.read)
    assert "data:image/png;base64," in text
    assert "![x]" not in text
    assert "*Stopped.*" in text
    assert json.loads(as_json_text(talk, store.read))["files"].keys() == {name}


def test_what_the_model_sees_is_what_the_processor_makes() -> None:
    how = preparation({"images": IMAGES})
    assert how == Preprocessing(336, 14, "pad")
    (view,) = views([Image.new("RGB", (100, 50), "red")], how, alone=True)
    assert view.tile.size == (336, 336)
    assert view.tile.getpixel((168, 168)) == (255, 0, 0)
    assert view.tile.getpixel((168, 5)) == (122, 116, 104)
    for wrong in (
        {},
        {"images": None},
        {"images": {**IMAGES, "tile_size": 10**6}},
        {"images": {**IMAGES, "mode": "x"}},
    ):
        assert preparation(wrong) is None
    assert preparation({"images": {**IMAGES, "mode": "anyres", "pinpoints": [[336 * 99, 336]]}}) is None


def asked(gate: Gate, method: str, path: str, body: bytes = b"") -> tuple[int, dict[bytes, bytes]]:
    """Status and headers of one request."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": [], "query_string": b"", "root_path": ""}
    asyncio.run(gate(scope, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"])


def test_the_gate_opens_what_the_page_needs_and_no_more(tmp_path: Path) -> None:
    async def inner(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    gate = Gate(inner, [tmp_path])
    status, headers = asked(gate, "GET", "/")
    assert status == 200
    assert b"img-src 'self' data: blob:" in headers[b"content-security-policy"]
    closed = [
        "runs",
        "info/",
        "proxy=http://a",
        "dev/reload",
        "vibe-edit",
        "openapi.json",
        "stream/a",
        "call/x",
        "token",
    ]
    for path in closed:
        for method in ("GET", "POST", "PUT"):
            assert asked(gate, method, f"/gradio_api/{path}")[0] == 404, path
    ours = {"data": [{"files": [{"path": str(tmp_path / "a.png"), "meta": {"_type": "gradio.FileData"}}]}]}
    assert asked(gate, "POST", "/gradio_api/queue/join", json.dumps(ours).encode())[0] == 200
    for path in ("http://169.254.169.254/", "/etc/passwd", f"{tmp_path}/../x", 7, None, "a\0b"):
        ours["data"][0]["files"][0]["path"] = path  # type: ignore[assignment]
        assert asked(gate, "POST", "/gradio_api/queue/join", json.dumps(ours).encode())[0] in (400, 403), path
    assert asked(gate, "POST", "/gradio_api/run/predict", b"{")[0] == 400
    assert asked(gate, "POST", "/gradio_api/run/predict", b"[" * 100_000)[0] == 400
    assert asked(gate, "POST", "/gradio_api/run/predict", b" " * (9 << 20))[0] == 413


def test_beside_the_page_the_api_still_knows_its_methods(tmp_path: Path) -> None:
    app = create_app(Scripted(), Ledger(), Drain())
    mount_web(app, WebSettings(api=None, folder=tmp_path / "web"))

    async def run() -> dict[tuple[str, str], int]:
        transport = httpx2.ASGITransport(guarded(app, doorkeeping(tmp_path, scope="web")), client=("127.0.0.1", 1))
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return {
                (method, path): (await client.request(method, path)).status_code
                for method, path in (
                    *(("GET", "/v1/chat/completions"), ("POST", "/v1/models"), ("DELETE", "/health")),
                    *(("HEAD", "/health"), ("HEAD", "/ready"), ("GET", "/nowhere"), ("GET", "/monitoring")),
                    *(("GET", "/manifest.json"), ("DELETE", "/gradio_api/queue/join")),
                )
            }

    assert list(asyncio.run(run()).values()) == [405, 405, 405, 200, 200, 404, 404, 200, 404]
