"""Messages of the original's stream, put together from parts of any size, and those that never end."""

from __future__ import annotations

import json
from pathlib import Path

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.errors import ServerError
from pumice.serve.cluster import stream
from pumice.serve.cluster.status import Status
from pumice.serve.cluster.stream import END, Joiner, message
from pumice.serve.original.client import OriginalClient
from serve.clusters import TOKEN, controller_app, running
from sockets import answering

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"


@given(st.lists(st.text(), max_size=5), st.data())
def test_however_it_is_cut(texts: list[str], data: st.DataObject) -> None:
    whole = b"".join(map(message, texts))
    joiner, left, found = Joiner(), whole, b""
    while left:
        size = data.draw(st.integers(1, len(left)))
        part, left = left[:size], left[size:]
        complete = joiner.whole(part)
        assert not complete or complete.endswith(END)
        found += complete
    joiner.finish()
    assert found == whole


def test_what_breaks_off() -> None:
    joiner = Joiner()
    assert joiner.whole(b'{"a": 1}\0{"b"') == b'{"a": 1}\0'
    with pytest.raises(ServerError, match="middle of a message"):
        joiner.finish()


def test_a_controller_keeps_no_message_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "LONGEST", 100_000)
    controller, app = controller_app()
    with answering(HEAD + message("Two ") + b"x" * 200_000) as (port, _), running(app, tmp_path) as url:
        controller.registry.register(
            "w", f"http://127.0.0.1:{port}", Status(("m",)), controller.now(), peer="", beats=False
        )
        asked = httpx2.post(f"{url}/worker_generate_stream", json={"model": "m"}, trust_env=False, timeout=30)
    first, last = map(json.loads, asked.content.split(END)[:-1])
    assert first["text"] == "Two " and last["error_code"] == 3
    assert "without end" in last["error"]["message"]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"x" * 200_000, "without end"),
        (message("Two ")[:-3], "middle of a message"),
        (b"nonsense\0", "not JSON"),
    ],
)
def test_what_the_originals_client_refuses(monkeypatch: pytest.MonkeyPatch, said: bytes, words: str) -> None:
    monkeypatch.setattr(stream, "LONGEST", 100_000)
    payload: dict[str, object] = {"model": "m", "prompt": ""}
    with answering(HEAD + said) as (port, _), pytest.raises(ServerError, match=words):
        list(OriginalClient(TOKEN).stream(f"http://127.0.0.1:{port}", payload))


@pytest.mark.parametrize("status", [200, 500])
def test_an_answer_without_bounds(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    monkeypatch.setattr("pumice.serve.original.client.LONGEST", 100_000)
    head = HEAD.replace(b"200", str(status).encode())
    with answering(head + b"x" * 200_000) as (port, _), pytest.raises(ServerError, match="too long"):
        OriginalClient(TOKEN).address(f"http://127.0.0.1:{port}", "m")
