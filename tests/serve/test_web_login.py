"""The page behind a key, in a real browser: nothing without it, everything with it, and an end when it is revoked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from pumice.serve.guard.keys import Keys
from serve.fake_api import FakeApi, model
from serve.served import doorkeeping
from serve.web_pages import Visit, browser, served, settings_for


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def keys(key_folder: Path) -> Keys:
    keys = Keys(key_folder)
    keys.create("somebody-else")
    return keys


@pytest.fixture(scope="module")
def url(keys: Keys, key_folder: Path) -> Iterator[str]:
    with FakeApi(models=[model("pumice-tiny")]) as api:
        how = doorkeeping(key_folder, scope="web", login=True)
        with served(settings_for(api, key_folder), how) as url:
            yield url


def test_a_key_opens_the_page_until_it_is_revoked(url: str, keys: Keys, chromium: Browser) -> None:
    key = keys.create("visitor")
    context = chromium.new_context()
    page = context.new_page()
    asked: list[tuple[str, int]] = []
    page.on("response", lambda answer: asked.append((answer.url.removeprefix(url), answer.status)))
    page.goto(url)
    expect(page.get_by_role("heading", name="Pumice")).to_be_visible()
    expect(page.get_by_text("Ask about a picture")).to_have_count(0)
    assert asked == [("/", 303), ("/login", 200)]
    for path in ("/config", "/gradio_api/info", "/theme.css", "/gradio_api/file=/etc/passwd"):
        assert context.request.get(f"{url}{path}").status == 401, path

    page.get_by_label("API key").fill("pumice-wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_text("This key is wrong, or was revoked.")).to_be_visible()
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Log in").click()
    page.get_by_test_id("textbox").wait_for()
    page.locator("#box textarea").fill("Who is there?")
    page.keyboard.press("Enter")
    answers = page.locator("#chat [data-testid=bot]")
    expect(answers).to_have_text(["A short answer."])
    expect(page.get_by_test_id("submit-button")).to_be_visible()

    keys.revoke("visitor")
    page.reload()
    expect(page.get_by_label("API key")).to_be_visible()
    context.close()


def test_with_the_key_in_a_header_there_is_no_form(url: str, keys: Keys, chromium: Browser) -> None:
    headers = {"Authorization": f"Bearer {keys.create('proxy')}"}
    visit = Visit(chromium, url, extra_http_headers=headers)
    visit.ask("Who is there?")
    expect(visit.answers).to_have_text(["A short answer."])
    assert visit.complaints == []
    visit.close()


def test_what_a_key_may_ask_in_a_minute(key_folder: Path, keys: Keys, chromium: Browser) -> None:
    """Questions count, also those asked again; an open page, which polls all the time, does not."""
    headers = {"Authorization": f"Bearer {keys.create('eager')}"}
    how = doorkeeping(key_folder, scope="web", login=True, per_minute=0.2)
    with FakeApi(models=[model("pumice-tiny")]) as api, served(settings_for(api, key_folder), how) as url:
        visit = Visit(chromium, url, extra_http_headers=headers)
        visit.ask("First?")
        expect(visit.answers).to_have_text(["A short answer."])
        expect(visit.page.get_by_test_id("submit-button")).to_be_visible()
        visit.new_conversation()
        visit.ask("Second?")
        expect(visit.answers).to_have_text(["A short answer."])
        expect(visit.page.get_by_test_id("submit-button")).to_be_visible()
        visit.ask("Third?")
        expect(visit.toasts).to_contain_text("0.2 questions a minute")
        expect(visit.box).to_have_value("Third?")
        expect(visit.toasts).to_have_count(0)
        visit.page.get_by_role("button", name="Retry").last.click()
        expect(visit.toasts).to_contain_text("0.2 questions a minute")
        visit.new_conversation()
        assert len(api.requests) == 2 and visit.complaints == []
        visit.close()
