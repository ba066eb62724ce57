"""Pictures, memory, safety and looks of the page, in a real browser."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from datetime import date
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread

import httpx2
import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from pumice.images.policy import FetchPolicy
from serve.fake_api import FakeApi, Script, model, pictures_in, wait_until
from serve.web_pages import Visit, browser, served, settings_for

EXAMPLES = Path(__file__).parents[2] / "examples"
HOSTILE = """<img src="http://attacker.example/a.png" onerror="document.title='owned'">
<script>document.title='owned'</script>
![x](http://attacker.example/b.png) and ![y][ref] and [click](javascript:document.title='owned')
<svg onload="document.title='owned'"><image href="http://attacker.example/c.png"/></svg>
<iframe src="http://attacker.example/d"></iframe> [fine](https://example.com/)

[ref]: http://attacker.example/e.png

```html
<b>code</b>
```
"""


@pytest.fixture(scope="module")
def api() -> Iterator[FakeApi]:
    with FakeApi(models=[model("pumice-tiny")]) as api:
        yield api


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def url(api: FakeApi, folder: Path) -> Iterator[str]:
    fetch = FetchPolicy(allow_private=True)
    with served(settings_for(api, folder, log_folder=folder / "log", fetch=fetch)) as url:
        yield url


@pytest.fixture(scope="module")
def desktop(chromium: Browser, url: str) -> Visit:
    return Visit(chromium, url)


@pytest.fixture
def visit(desktop: Visit, api: FakeApi) -> Iterator[Visit]:
    """A new conversation on the one page that most tests share."""
    api.reset()
    desktop.new_conversation()
    yield desktop
    assert desktop.outside == []
    assert desktop.complaints == []


def dropped(visit: Visit, kind: str, data: bytes, name: str) -> None:
    """A file that is dropped on the box, or pasted into it."""
    visit.page.evaluate(
        """([kind, data, name]) => {
            const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], name, {type: 'image/png'}));
            const options = {bubbles: true, cancelable: true};
            const target = document.querySelector('#box textarea');
            for (const first of kind === 'drop' ? ['dragenter', 'dragover'] : [])
                target.dispatchEvent(new DragEvent(first, {...options, dataTransfer: transfer}));
            target.dispatchEvent(kind === 'paste'
                ? new ClipboardEvent('paste', {...options, clipboardData: transfer})
                : new DragEvent('drop', {...options, dataTransfer: transfer}));
        }""",
        [kind, base64.b64encode(data).decode(), name],
    )


def png(colour: str) -> bytes:
    written = BytesIO()
    Image.new("RGB", (40, 30), colour).save(written, "PNG")
    return written.getvalue()


def test_pictures_by_drop_paste_chooser_and_url_in_order(visit: Visit, api: FakeApi) -> None:
    red, blue = png("red"), png("blue")
    dropped(visit, "drop", red, "red.png")
    expect(visit.thumbnails).to_have_count(1)
    dropped(visit, "paste", blue, "blue.png")
    expect(visit.thumbnails).to_have_count(2)
    visit.choose(EXAMPLES / "hats.png")
    handler = partial(SimpleHTTPRequestHandler, directory=str(EXAMPLES))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as pictures:
        Thread(target=pictures.serve_forever, daemon=True).start()
        visit.page.get_by_role("button", name="Picture from a URL").click()
        visit.page.get_by_label("The picture's URL").fill(f"http://127.0.0.1:{pictures.server_port}/cups.png")
        visit.page.get_by_role("button", name="Add to the question").click()
        expect(visit.thumbnails).to_have_count(4)
        pictures.shutdown()
    visit.page.get_by_role("button", name="Picture from a URL").click()
    visit.ask("Which?")
    expect(visit.answers).to_have_count(1)
    sent = [base64.b64decode(each.partition(",")[2]) for each in pictures_in(api.requests[0]["messages"])]
    assert sent == [red, blue, (EXAMPLES / "hats.png").read_bytes(), (EXAMPLES / "cups.png").read_bytes()]
    visit.page.get_by_role("button", name="What the model sees").click()
    expect(visit.page.locator("#seen")).to_contain_text("picture 1: 40 × 30 pixels → one tile of 336 × 336, 576 tokens")
    expect(visit.page.locator("#seen img")).to_have_count(4)
    visit.page.get_by_role("button", name="What the model sees").click()


def test_a_url_that_is_refused_shows_why(visit: Visit) -> None:
    visit.page.get_by_role("button", name="Picture from a URL").click()
    visit.page.get_by_label("The picture's URL").fill("nonsense")
    visit.page.get_by_role("button", name="Add to the question").click()
    expect(visit.toasts.last).to_contain_text("only http and https URLs are allowed")
    expect(visit.thumbnails).to_have_count(0)
    visit.page.get_by_role("button", name="Picture from a URL").click()


def test_what_is_no_picture_is_refused_with_a_reason(visit: Visit, api: FakeApi, tmp_path: Path) -> None:
    wrong = {
        "heic.png": (b"\x00\x00\x00\x18ftypheic" + bytes(64), "HEIC"),
        "drawing.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG is a drawing"),
        "text.png": (b"just some words", "starts with text"),
    }
    for name, (data, reason) in wrong.items():
        path = tmp_path / name
        path.write_bytes(data)
        visit.page.locator("#box input[type=file]").set_input_files(str(path))
        visit.page.get_by_role("button", name="Remove file").or_(visit.page.locator("#box .delete-button")).wait_for()
        visit.ask("What is this?")
        expect(visit.toasts.last).to_contain_text(reason)
        expect(visit.toasts.last).to_contain_text(name)
        visit.page.locator("#box .delete-button").click()
    visit.ask("Still there?")
    expect(visit.answers).to_have_count(1)
    assert [each["content"] for each in api.requests[0]["messages"]] == ["Still there?"]


def test_a_file_of_21_mb_is_refused(visit: Visit, tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(png("red") + bytes(21 << 20))
    visit.page.locator("#box input[type=file]").set_input_files(str(path))
    expect(visit.toasts.last).to_contain_text(re.compile("size", re.IGNORECASE))
    expect(visit.thumbnails).to_have_count(0)


def test_hostile_answers_and_questions_do_nothing(visit: Visit, api: FakeApi) -> None:
    api.will(Script(pieces=(HOSTILE,)))
    visit.ask(HOSTILE)
    expect(visit.answers).to_have_count(1)
    visit.page.wait_for_timeout(500)
    assert visit.page.title() == "Pumice"
    for message in (visit.answers, visit.questions):
        expect(message).to_contain_text("attacker.example/a.png")
        expect(message.locator("img, script, iframe, svg:not(button svg)")).to_have_count(0)
        expect(message.locator("code b")).to_have_count(0)
        links = message.locator("a").evaluate_all("links => links.map((link) => [link.href, link.rel])")
        assert ["https://example.com/", "noopener noreferrer"] in links
        assert all(href.startswith(("http://", "https://")) and "noopener" in rel for href, rel in links)


def test_a_conversation_survives_a_reload_and_can_be_taken_away(visit: Visit, api: FakeApi) -> None:
    visit.choose(EXAMPLES / "dice.png")
    visit.ask("How many dice?")
    expect(visit.page.locator("#box [data-testid=submit-button]")).to_be_visible()
    expect(visit.answers).to_have_text(["A short answer."])
    visit.page.wait_for_timeout(500)
    visit.page.reload()
    expect(visit.answers).to_have_text(["A short answer."])
    expect(visit.page.locator("#chat [data-testid=user] img")).to_have_count(1)
    visit.ask("And now?")
    expect(visit.answers).to_have_count(2)
    assert len(pictures_in(api.requests[1]["messages"])) == 1
    visit.page.get_by_role("button", name="Toggle Sidebar").click()
    for kind in ("Markdown", "JSON"):
        button = visit.page.get_by_role("link", name=kind).or_(visit.page.get_by_role("button", name=kind))
        expect(button).to_be_enabled()
        with visit.page.expect_download() as download:
            button.click()
        text = Path(download.value.path()).read_text(encoding="utf-8")
        assert "How many dice?" in text
    assert json.loads(text)["exchanges"][0]["answer"] == "A short answer."
    visit.page.get_by_role("button", name="Delete this conversation").click()
    expect(visit.answers).to_have_count(0)
    expect(visit.page.get_by_label("How many dice?")).to_have_count(0)
    visit.page.get_by_role("button", name="Toggle Sidebar").click()


def test_a_vote_is_written_once_and_a_full_disk_stops_nothing(visit: Visit, folder: Path) -> None:
    log = folder / "log" / f"{date.today()}-conv.json"
    visit.ask("Good?")
    expect(visit.answers).to_have_count(1)
    for _ in range(2):
        visit.page.locator("#chat").get_by_role("button", name=re.compile("^Liked?$")).last.click()
        visit.page.wait_for_timeout(300)
    wait_until(lambda: "upvote" in log.read_text(encoding="utf-8"))
    visit.page.locator("#chat").get_by_role("button", name="Feedback").last.hover()
    visit.page.locator("#chat").get_by_role("button", name="Flag").last.click()
    wait_until(lambda: "flag" in log.read_text(encoding="utf-8"))
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert [each["type"] for each in lines[-3:]] == ["chat", "upvote", "flag"]
    assert lines[-1]["state"]["messages"] == [["USER", "Good?"], ["ASSISTANT", "A short answer."]]
    assert "127.0.0.1" not in log.read_text(encoding="utf-8")
    log.rename(log.with_suffix(".old"))
    log.mkdir()  # nothing can be written there, as on a full disk
    visit.ask("And without a log?")
    expect(visit.answers).to_have_count(2)
    log.rmdir()


def test_two_visitors_see_nothing_of_each_other(visit: Visit, api: FakeApi, chromium: Browser, url: str) -> None:
    visit.choose(EXAMPLES / "hats.png")
    visit.ask("My secret")
    expect(visit.answers).to_have_count(1)
    other = Visit(chromium, url, viewport={"width": 375, "height": 812}, color_scheme="dark", has_touch=True)
    expect(other.questions).to_have_count(0)
    expect(other.page.locator("#chat [data-testid=user] img, #seen img")).to_have_count(0)
    width = other.page.evaluate("document.documentElement.scrollWidth")
    assert width <= 375, "the page is wider than a telephone"
    background = other.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(map(int, re.findall(r"\d+", background)[:3])) < 64, "dark is not dark"
    other.box.focus()
    other.page.keyboard.type("Line one")
    other.page.keyboard.press("Shift+Enter")
    other.page.keyboard.type("line two")
    other.page.keyboard.press("Enter")
    expect(other.answers).to_have_count(1)
    expect(other.questions).to_have_text(re.compile(r"Line one\s*line two"))
    assert api.requests[-1]["messages"][-1]["content"] == "Line one\nline two"
    expect(visit.questions.last).to_have_text("My secret")
    assert other.outside == []
    assert other.complaints == []
    other.close()


def test_earlier_conversations_can_be_opened_and_this_one_cleared(visit: Visit, api: FakeApi) -> None:
    visit.ask("The first subject")
    expect(visit.answers).to_have_text(["A short answer."])
    expect(visit.page.locator("#box [data-testid=submit-button]")).to_be_visible()
    visit.box.fill("gone once the server has answered")
    visit.page.locator("#chat").get_by_role("button", name="Clear").click()
    expect(visit.questions).to_have_count(0)
    expect(visit.box).to_have_value("")
    visit.ask("The second subject")
    expect(visit.questions).to_have_text(["The second subject"])
    expect(visit.page.locator("#box [data-testid=submit-button]")).to_be_visible()
    assert len(api.requests[-1]["messages"]) == 1
    visit.page.get_by_role("button", name="Toggle Sidebar").click()
    visit.page.get_by_label("The first subject").click()
    expect(visit.questions).to_have_text(["The first subject"])
    visit.page.get_by_label("The second subject").click()
    expect(visit.questions).to_have_text(["The second subject"])
    visit.page.get_by_role("button", name="Toggle Sidebar").click()


def test_with_the_keyboard_alone(visit: Visit, api: FakeApi) -> None:
    keyboard = visit.page.keyboard
    # Nothing but a button: the page itself and what can be scrolled are focused, too, and hold all words.
    focused = "(at => at.matches('button') ? at.ariaLabel || at.textContent : '')(document.activeElement)"

    def walk_to(name: str, most: int = 40) -> None:
        for _ in range(most):
            keyboard.press("Tab")
            if name in visit.page.evaluate(focused):
                return
        raise AssertionError(f"{name} cannot be reached")

    visit.page.evaluate("document.activeElement.blur()")
    walk_to("How many dice")
    keyboard.press("Enter")
    expect(visit.answers).to_have_count(1)
    expect(visit.page.locator("#box [data-testid=submit-button]")).to_be_visible()
    walk_to("Retry")
    keyboard.press("Enter")
    wait_until(lambda: len(api.requests) == 2)
    expect(visit.page.locator("#box [data-testid=submit-button]")).to_be_visible()
    walk_to("What the model sees")
    keyboard.press("Enter")
    expect(visit.page.locator("#seen img")).to_be_visible()
    keyboard.press("Enter")
    walk_to("Toggle Sidebar")
    keyboard.press("Enter")
    walk_to("New conversation")
    keyboard.press("Enter")
    expect(visit.questions).to_have_count(0)
    walk_to("Toggle Sidebar")
    keyboard.press("Enter")


def test_an_example_is_asked_at_once(visit: Visit, api: FakeApi) -> None:
    visit.page.get_by_role("button", name=re.compile("How many dice are there")).click()
    expect(visit.answers).to_have_count(1)
    assert len(pictures_in(api.requests[0]["messages"])) == 1


def test_the_page_waits_for_its_api(api: FakeApi, visit: Visit) -> None:
    models = list(api.models)
    api.models.clear()
    expect(visit.page.locator("#banner")).to_contain_text("has no model ready yet")
    refused = httpx2.get(f"{visit.url}/ready", trust_env=False)
    assert refused.status_code == 503 and "no model ready" in refused.json()["error"]["message"]
    assert "127.0.0.1" not in refused.text and api.url not in refused.text
    assert httpx2.get(f"{visit.url}/health", trust_env=False).json() == {"status": "ok"}
    visit.ask("Anybody there?")
    expect(visit.toasts.last).to_contain_text("no model ready")
    expect(visit.box).to_have_value("Anybody there?")
    api.models.extend(models)
    expect(visit.page.locator("#banner")).to_be_hidden()
    assert httpx2.get(f"{visit.url}/ready", trust_env=False).json() == {"status": "ready"}
    visit.box.press("Enter")
    expect(visit.answers).to_have_count(1)
