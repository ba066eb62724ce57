"""What the page says of models: how they see pictures, and why there is none to ask."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image as PilImage

import tiny
from pumice.cli.main import main
from pumice.engine.engine import Engine
from pumice.images.config import Preprocessing
from pumice.images.writing import without_writing
from pumice.prompts.conversation import Conversation as Question
from pumice.prompts.conversation import Image
from pumice.remote import Remote, RemoteModel
from pumice.serve.cluster.controller import Cluster
from pumice.serve.front import Front, Own
from pumice.serve.guard.run import Drain
from pumice.serve.web.actions import Actions
from pumice.serve.web.answering import Pages
from pumice.serve.web.catalogue import Catalogue
from pumice.serve.web.conversation import Conversation
from pumice.serve.web.desk import Desk
from pumice.serve.web.log import ConversationLog
from pumice.serve.web.pictures import PictureStore
from pumice.serve.web.seen import hides_writing, preparation, views
from pumice.serve.web.settings import WebSettings
from pumice.serve.web.upstream import Upstream
from pumice.serve.worker.service import EngineService, Limits
from serve.apis import TOKEN
from serve.served import doorkeeping, running

EXAMPLES = Path(__file__).parents[2] / "examples"
MOSAIC: dict[str, Any] = {"mode": "anyres", "merge": "spatial_unpad"}


def told(how: Preprocessing, writing: Any = "read") -> dict[str, Any]:
    """A worker's entry in the list of models, as it goes over the wire."""
    processor = replace(tiny.processor(), preprocessing=how)
    service = EngineService(Engine(tiny.model(), processor, writing=writing), "tiny", Limits())
    found: dict[str, Any] = json.loads(service.card.model_dump_json())
    return found


@pytest.mark.parametrize(
    "how",
    [
        tiny.processor().geometry,
        tiny.processor(mode="square").geometry,
        tiny.processor(mode="pad", keeps_cls=True).geometry,
        tiny.processor(**MOSAIC).geometry,
        tiny.processor(mode="anyres", merge="spatial").geometry,
        replace(tiny.processor(**MOSAIC).geometry, most_tiles=1),
    ],
    ids=["pad", "square", "class token", "mosaic with newlines", "mosaic", "limited mosaic"],
)
def test_what_is_shown_and_counted_is_what_the_model_gets(how: Preprocessing) -> None:
    read = preparation(told(how))
    assert read == how
    for sizes in (((90, 40),), ((40, 90),), ((31, 30), (100, 20))):
        pictures = [tiny.picture(seed, size) for seed, size in enumerate(sizes)]
        shown = views(pictures, read, alone=len(sizes) == 1)
        processor = replace(tiny.processor(), preprocessing=how)
        gets = processor.see_all(Question.ask("?", tuple(Image(each) for each in pictures)))
        assert len(shown) == sum(len(each.tiles) for each in gets)
        captions = [each.caption for each in shown if each.first]
        for caption, size, got in zip(captions, sizes, gets, strict=True):
            assert f"{size[0]} × {size[1]} pixels" in caption
            assert caption.endswith(f", {got.grid.tokens} tokens")


def test_writing_that_is_hidden_from_the_model_is_hidden_on_the_page() -> None:
    how = tiny.processor().geometry
    assert not hides_writing(told(how)) and hides_writing(told(how, "hide"))
    assert not hides_writing({"images": "nonsense"})
    picture = PilImage.open(EXAMPLES / "dice.png").convert("RGB")
    (hidden,) = views([picture], how, alone=True, hide_writing=True)
    (as_it_is,) = views([without_writing(picture)], how, alone=True)
    assert hidden.tile.tobytes() == as_it_is.tile.tobytes()


@dataclass
class Listing:
    """A server that offers these models."""

    found: Sequence[RemoteModel] = ()
    why: str | None = None
    url: str = "http://there/v1"

    async def models(self) -> list[RemoteModel]:
        return list(self.found)

    async def unready(self) -> str | None:
        return self.why


def looked(store: PictureStore, talk: Conversation, details: dict[str, Any]) -> tuple[int, str]:
    """How many views the page shows, and its words."""
    catalogue = Catalogue(Listing([RemoteModel("tiny", details=details)]))
    asyncio.run(catalogue.offer())
    log = ConversationLog(None, store.pixels)
    desk = Desk(Actions(WebSettings(), Upstream(None, None), catalogue, store, log, Pages()))
    gallery, words = asyncio.run(desk.look(talk, "tiny"))
    return len(gallery["value"]), words


def test_the_sentence_says_how(tmp_path: Path) -> None:
    store = PictureStore(tmp_path).open()
    dice, cups = (store.keep((EXAMPLES / name).read_bytes()) for name in ("dice.png", "cups.png"))
    limited = told(replace(tiny.processor(**MOSAIC).geometry, most_tiles=1))
    one, both = Conversation().asking("?", (dice,)), Conversation().asking("?", (dice, cups))
    count, words = looked(store, one, limited)
    assert count > 1 and "its parts" in words
    count, words = looked(store, both, limited)
    assert count == 2 and words.startswith("Each picture as a whole") and "picture 2: 448 × 448" in words
    unanswered = one.with_last(ending="failed").asking("?", (cups,))  # the first is not told again
    assert looked(store, unanswered, limited)[0] > 1
    assert looked(store, one.with_last(answer="3", ending="complete").asking("?", (cups,)), limited)[0] == 1
    assert "painted over" in looked(store, one, told(tiny.processor().geometry, "hide"))[1]
    assert "painted over" not in looked(store, one, told(tiny.processor().geometry))[1]
    assert looked(store, one, {})[1] == "The server does not say how this model wants its pictures."
    assert "Send a picture" in looked(store, Conversation(), limited)[1]


def test_why_there_is_no_model_to_ask() -> None:
    assert asyncio.run(Catalogue(Listing()).offer()).trouble == "The server at http://there/v1 has no model ready yet"
    offer = asyncio.run(Catalogue(Listing(why="the model is being loaded")).offer())
    assert offer.trouble == "The server at http://there/v1 has no model ready yet: the model is being loaded"


@pytest.mark.parametrize(
    ("cluster", "code", "words"),
    [
        (Own(Cluster(TOKEN), workers=1), "loading", "the model is being loaded"),
        (Own(Cluster(TOKEN)), "no_worker", "no worker is there yet"),
        ("http://127.0.0.1:9", "no_worker", "the controller does not answer"),
    ],
    ids=["its own workers", "workers of others", "a controller elsewhere"],
)
def test_a_server_without_a_worker_says_why(tmp_path: Path, cluster: Own | str, code: str, words: str) -> None:
    drain = Drain()
    front = Front(drain, TOKEN, cluster, None)
    with running(front.app, doorkeeping(tmp_path), drain=drain) as server:
        url = f"http://127.0.0.1:{server.port}"
        refused = httpx2.get(f"{url}/ready", trust_env=False)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, code)
        assert asyncio.run(Remote(f"{url}/v1").unready()) == words


def test_nothing_is_built_before_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PUMICE_DATA_DIR", str(tmp_path))
    monkeypatch.setitem(sys.modules, "pumice.serve.web.app", None)  # whoever imports it fails
    for command in (["web"], ["serve", "--workers", "0", "--web"]):
        assert main([*command, "--host", "0.0.0.0", "--port", "0"]) == 2
        assert "pumice keys create" in capsys.readouterr().err


def test_the_page_of_serve_fetches_from_where_its_api_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUMICE_DATA_DIR", str(tmp_path))
    made: list[WebSettings] = []
    monkeypatch.setattr("pumice.serve.guard.run.serve", lambda *_, **__: 0)
    monkeypatch.setattr("pumice.serve.web.app.mount_web", lambda app, settings, drain: made.append(settings))
    for words in (["--no-remote-images"], ["--media-domain", "pictures.example"], []):
        assert main(["serve", "--workers", "0", "--web", *words]) == 0
    refused, some, any_ = (each.fetch for each in made)
    assert refused is None and some is not None and any_ is not None
    assert (some.domains, any_.domains) == (("pictures.example",), None)
