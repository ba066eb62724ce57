"""Talking on the page, in a real browser, to a scripted API."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from serve.fake_api import FakeApi, Script, model, pictures_in, wait_until
from serve.web_pages import Visit, browser, served, settings_for

EXAMPLES = Path(__file__).parents[2] / "examples"
SLOW = Script(pieces=tuple(f"word{number} " for number in range(200)), delay=0.05)


@pytest.fixture(scope="module")
def api() -> Iterator[FakeApi]:
    with FakeApi(models=[model("pumice-tiny"), model("blind", input_modalities=["text"], max_model_len=300)]) as api:
        yield api


@pytest.fixture(scope="module")
def visit(api: FakeApi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visit]:
    folder = tmp_path_factory.mktemp("chat")
    with served(settings_for(api, folder)) as url, browser() as chromium:
        yield Visit(chromium, url)


@pytest.fixture(autouse=True)
def fresh(visit: Visit, api: FakeApi) -> Iterator[None]:
    """A new conversation for each test, and a console without complaints at its end."""
    api.reset()
    visit.new_conversation()
    yield
    assert visit.complaints == []
    assert visit.outside == []


def test_an_answer_is_streamed_and_formatted(visit: Visit, api: FakeApi) -> None:
    api.will(Script(pieces=("Two **dice**", ", and", " a", " boat", "."), delay=0.2))
    visit.ask("What is there?")
    seen = set()
    while "boat." not in (text := visit.answers.last.text_content() if visit.answers.count() else "") or not text:
        seen.add(text)
        visit.page.wait_for_timeout(60)
    assert len(seen - {""}) >= 3
    expect(visit.answers.last.locator("strong")).to_have_text("dice")
    assert api.requests[0]["messages"] == [{"role": "user", "content": "What is there?"}]
    assert api.requests[0] | {"temperature": 0.2, "top_p": 0.7, "max_tokens": 512} == api.requests[0]


def test_stop_keeps_what_was_written_and_frees_the_server(visit: Visit, api: FakeApi) -> None:
    api.will(SLOW)
    visit.ask("Tell me everything.")
    expect(visit.answers.last).to_contain_text("word5")
    visit.page.get_by_role("button", name="Stop").click()
    pressed = time.monotonic()
    wait_until(lambda: api.open == 0)
    assert api.closed_by_client[0] - pressed < 1
    expect(visit.page.locator("#chat small.note")).to_have_text("Stopped.")
    assert "word150" not in (visit.answers.nth(0).text_content() or "")
    visit.ask("Go on.")
    expect(visit.answers.last).to_contain_text("A short answer.")
    told = api.requests[1]["messages"]
    assert [each["role"] for each in told] == ["user", "assistant", "user"]
    assert told[1]["content"].startswith("word0 word1 ")


def test_regenerate_edit_and_undo(visit: Visit, api: FakeApi) -> None:
    api.will(Script(("First.",)), Script(("Second.",)), Script(("Third.",)))
    visit.choose(EXAMPLES / "dice.png")
    visit.ask("How many?")
    expect(visit.answers).to_have_text(["First."])
    visit.page.get_by_role("button", name="Retry").last.click()
    expect(visit.answers).to_have_text(["Second."])
    visit.page.get_by_role("button", name="Edit").click()
    visit.page.locator("#chat textarea").fill("How <b>few</b>?")
    visit.page.get_by_role("button", name="Submit").first.click()
    expect(visit.answers).to_have_text(["Third."])
    asked = [each["messages"] for each in api.requests]
    assert [len(messages) for messages in asked] == [1, 1, 1]
    assert [len(pictures_in(messages)) for messages in asked] == [1, 1, 1]
    assert [messages[0]["content"][1]["text"] for messages in asked] == ["How many?", "How many?", "How <b>few</b>?"]
    visit.page.get_by_role("button", name="Undo").last.click()
    expect(visit.answers).to_have_count(0)
    expect(visit.box).to_have_value("How <b>few</b>?")
    expect(visit.thumbnails).to_have_count(1)


def test_parameters_and_the_end_at_their_limit(visit: Visit, api: FakeApi) -> None:
    api.will(Script(("One",), finish="length"))
    visit.page.get_by_role("button", name="Parameters").click()
    for label, value in (("Temperature", "0.5"), ("Top P", "0"), ("Max output tokens", "1")):
        visit.page.get_by_label(re.compile(f"number input for {label}")).fill(value)
        visit.page.get_by_label(re.compile(f"number input for {label}")).press("Tab")
    visit.ask("Count.")
    expect(visit.page.locator("#chat small.note")).to_have_text(re.compile("Cut off at 1 tokens"))
    found = api.requests[0]
    assert (found["temperature"], found["max_tokens"]) == (0.5, 1)
    assert 0 < found["top_p"] < 0.001
    for label, value in (("Temperature", "0.2"), ("Top P", "0.7"), ("Max output tokens", "512")):
        visit.page.get_by_label(re.compile(f"number input for {label}")).fill(value)
        visit.page.get_by_label(re.compile(f"number input for {label}")).press("Tab")
    visit.page.get_by_role("button", name="Parameters").click()


def test_another_model_in_mid_conversation(visit: Visit, api: FakeApi) -> None:
    visit.ask("Who are you?")
    expect(visit.answers).to_have_count(1)
    visit.choose_model("blind")
    visit.ask("And you?")
    expect(visit.answers).to_have_count(2)
    assert [each["model"] for each in api.requests] == ["pumice-tiny", "blind"]
    assert len(api.requests[1]["messages"]) == 3
    visit.page.get_by_role("button", name="Parameters").click()
    expect(visit.page.get_by_label(re.compile("number input for Max output tokens"))).to_have_value("300")
    visit.page.get_by_role("button", name="Parameters").click()
    visit.choose(EXAMPLES / "cups.png")
    visit.ask("What is this?")
    expect(visit.toasts.last).to_contain_text("blind does not see pictures")
    expect(visit.box).to_have_value("What is this?")
    assert len(api.requests) == 2
    visit.choose_model("pumice-tiny")


DIED = {"message": "the worker died", "code": "worker_failed"}
FULL = {"message": "the queue is full", "code": "queue_full", "hint": "wait"}
LONG = {"message": "too <b>long</b>", "code": "context_length_exceeded"}


@pytest.mark.parametrize(
    ("script", "shown", "in_the_chat"),
    [
        (Script(("Half", " an"), error=DIED), "the worker died", "Half an"),
        (Script(("Half", " an"), cut=True), "broke off", "Half an"),
        (Script(refusal=(429, FULL, {"x-should-retry": "false"})), "the queue is full", ""),
        (Script(refusal=(400, LONG, {})), "too <b>long</b>", ""),
    ],
    ids=["error event", "cut", "queue full", "refused"],
)
def test_a_failure_says_why_and_the_next_question_works(
    visit: Visit, api: FakeApi, script: Script, shown: str, in_the_chat: str
) -> None:
    api.will(script)
    visit.ask("Well?")
    expect(visit.toasts.last).to_contain_text(shown)
    if not script.cut:
        expect(visit.toasts.last).to_contain_text("req-1")
    expect(visit.page.locator("#chat small.trouble")).to_contain_text(re.compile(re.escape(shown), re.IGNORECASE))
    if in_the_chat:
        expect(visit.answers.first).to_contain_text(in_the_chat)
    visit.ask("And now?")
    expect(visit.answers.last).to_contain_text("A short answer.")
    assert len(api.requests[-1]["messages"]) == (3 if in_the_chat else 1)


def test_nothing_to_send_and_sending_twice(visit: Visit, api: FakeApi) -> None:
    visit.ask("   ")
    visit.page.wait_for_timeout(500)
    for part in ("#chat", "#box"):
        expect(visit.page.locator(part).get_by_text("Error", exact=True)).to_be_hidden()
    api.will(SLOW)
    visit.ask("Once")
    expect(visit.answers.last).to_contain_text("word2")
    visit.ask("Twice")
    visit.page.wait_for_timeout(300)
    assert len(api.requests) == 1
    expect(visit.box).to_have_value(re.compile("Twice"))
    visit.page.get_by_role("button", name="Stop").click()
    expect(visit.page.locator("#chat small.note")).to_have_text("Stopped.")


def test_leaving_the_page_frees_the_server(visit: Visit, api: FakeApi) -> None:
    api.will(SLOW)
    page = visit.page
    visit.page = visit.open(visit.url)
    visit.ask("Tell me everything.")
    expect(visit.answers.last).to_contain_text("word2")
    visit.page.close()
    left = time.monotonic()
    visit.page = page
    wait_until(lambda: api.open == 0)
    assert api.closed_by_client[0] - left < 2
