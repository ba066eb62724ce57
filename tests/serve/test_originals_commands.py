"""The commands of the original's README as they were typed, and a client that knows nothing but its protocol."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import expect

from serve.clusters import free_port, listed, process, until
from serve.original_client import Client, text_of
from serve.web_pages import Visit, browser

PROMPT = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions. "
    "USER: <image>\nHow many dice are there, and what do they add up to? ASSISTANT:"
)


@contextmanager
def page(folder: Path, controller: str) -> Iterator[str]:
    """The third command; the page's address."""
    port = free_port()
    words = ("--controller", controller, "--model-list-mode", "reload", "--port", str(port))
    with process(folder, "-m", "pumice.serve.gradio_web_server", *words):
        yield f"http://localhost:{port}"


def answers(url: str) -> bool:
    try:
        return httpx2.get(url, trust_env=False).status_code == 200
    except httpx2.TransportError:
        return False


@pytest.mark.slow
def test_controller_worker_and_page_answer_about_a_picture(tmp_path: Path, project: Path) -> None:
    front, back = free_port(), free_port()
    controller, address = f"http://localhost:{front}", f"http://localhost:{back}"
    picture = (project / "examples" / "dice.png").read_bytes()
    typed = ("--host", "0.0.0.0", "--controller", controller, "--port", str(back), "--worker", address)
    with (
        process(tmp_path, "-m", "pumice.serve.controller", "--host", "0.0.0.0", "--port", str(front)),
        process(tmp_path, "-m", "pumice.serve.model_worker", *typed, "--model-path", "pumice-tiny"),
        page(tmp_path, controller) as url,
    ):
        until(lambda: listed(controller) == [address], 30)
        client = Client(controller)
        assert client.models() == ["pumice-tiny"]
        assert client.worker("pumice-tiny") == address
        answer = text_of(list(client.ask("pumice-tiny", PROMPT, [picture])), PROMPT)
        assert "10" in answer
        proxied = list(client.stream(controller, "pumice-tiny", PROMPT, [picture]))
        assert text_of(proxied, PROMPT) == answer
        assert len(proxied) > 5, "the answer came in one piece"
        long = PROMPT + " word" * 6000
        *_, last = client.ask("pumice-tiny", long, [picture])
        said = (last["error_code"], last["text"][len(long) :])
        assert said == (0, "Exceeds max token length. Please start a new conversation, thanks.")
        (refused,) = client.ask("pumice-tiny", PROMPT)
        assert refused["error_code"] == 1
        assert "places for 1 pictures" in refused["error"]["message"]
        until(lambda: answers(url), 60)
        with browser() as chromium:
            visit = Visit(chromium, url)
            visit.choose(project / "examples" / "dice.png")
            visit.ask("How many dice are there, and what do they add up to?")
            expect(visit.answers).to_have_text([answer])
            assert visit.complaints == []
            visit.close()
