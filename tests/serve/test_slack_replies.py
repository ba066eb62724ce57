"""How the Slack bot writes: streams and edits, long answers, stops, limits, and what an answer may not do."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from serve.fake_slack import BOT, CHANNEL, FakeSlack
from serve.slack_api import Script, words_of
from serve.slack_world import bot, picture, world

pytestmark = pytest.mark.asyncio


def saying(*pieces: str, pause: float = 0.0) -> Script:
    async def script(messages: list[dict[str, Any]]) -> AsyncIterator[str]:
        for piece in pieces:
            yield piece
            await asyncio.sleep(pause)

    return script


def endless(piece: str = "word ") -> Script:
    async def script(messages: list[dict[str, Any]]) -> AsyncIterator[str]:
        while True:
            yield piece
            await asyncio.sleep(0.02)

    return script


async def test_a_stream_grows(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        at.api.script = saying(*[f"word{number} " for number in range(30)], pause=0.02)
        ts = await at.slack.message(f"<@{BOT}> talk", CHANNEL)
        answer = await at.slack.answer(ts)
        assert answer.text.split() == [f"word{number}" for number in range(30)]
        (start,) = at.slack.made("chat.startStream")
        assert (start.args["recipient_user_id"], start.args["recipient_team_id"]) == ("U1", "T1")
        assert 3 <= len(at.slack.made("chat.appendStream")) <= 20
        assert not at.slack.made("chat.update")
        statuses = [each.args["status"] for each in at.slack.made("assistant.threads.setStatus")]
        assert statuses == ["is looking at it…", ""]


async def test_without_streams_the_message_is_edited_slowly(tmp_path: Path) -> None:
    async with world(tmp_path, edit_s=1.2) as at:
        at.slack.refuse("chat.startStream", "unknown_method")
        at.slack.refuse("assistant.threads.setStatus", "missing_scope", ...)
        at.api.script = saying(*["**bold** "] * 60, pause=0.05)
        first = await at.slack.message("talk")
        answer = await at.slack.answer(first)
        assert answer.text.split() == ["*bold*"] * 60
        assert not answer.blocks, "the button has gone"
        (post,) = at.slack.made("chat.postMessage")
        assert post.args["unfurl_links"] is post.args["unfurl_media"] is False
        assert post.args["blocks"][1]["elements"][0]["action_id"] == "pumice_stop"
        times = [post.at, *[each.at for each in at.slack.made("chat.update")]]
        gaps = [after - before for before, after in itertools.pairwise(times)]
        assert len(gaps) >= 2
        assert min(gaps) >= 1.15
        # Neither is tried again.
        at.api.script = saying("short")
        await at.slack.answer(await at.slack.message("again"))
        assert len(at.slack.made("chat.startStream")) == len(at.slack.made("assistant.threads.setStatus")) == 1


async def test_a_stream_that_expires_becomes_an_edited_message(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        at.slack.refuse("chat.appendStream", None, "message_not_in_streaming_state", ...)
        at.slack.refuse("chat.stopStream", "message_not_in_streaming_state", ...)
        at.api.script = saying(*[f"word{number} " for number in range(30)], pause=0.02)
        ts = await at.slack.message("talk")
        answer = await at.slack.answer(ts)
        assert answer.text.split() == [f"word{number}" for number in range(30)]
        assert len(at.slack.messages) == 1
        # Another answer is streamed again, and this time it is only the end that fails.
        at.slack.refuse("chat.appendStream")
        long = "\n\n".join(f"{number} " + "x" * 500 for number in range(12))
        at.api.script = saying(*(long[start : start + 1000] for start in range(0, len(long), 1000)), pause=0.1)
        ts = await at.slack.message("talk more")
        await at.slack.answer(ts, 3)
        assert "\n\n".join(each.text for each in at.slack.said(ts)) == long
        assert max(len(each.text) for each in at.slack.said(ts)) <= 3900


async def test_too_many_requests(tmp_path: Path) -> None:
    """Slack's 429 is obeyed, and what comes in the meantime is sent together."""
    async with world(tmp_path) as at:
        at.slack.refuse("chat.startStream", "unknown_method")
        at.slack.refuse("chat.update", 1)
        at.api.script = saying(*["word "] * 40, pause=0.02)
        ts = await at.slack.message("talk")
        answer = await at.slack.answer(ts)
        assert answer.text.split() == ["word"] * 40
        updates = at.slack.made("chat.update")
        assert updates[1].at - updates[0].at >= 1.0
        assert updates[1].args == updates[0].args
        assert len(updates) == 3


@pytest.mark.parametrize("streams", [True, False])
async def test_a_long_answer_comes_in_parts(tmp_path: Path, streams: bool) -> None:
    paragraphs = [f"paragraph {number} " + "and so on & on " * 40 for number in range(50)]
    long = "\n\n".join(each.strip() for each in paragraphs)
    assert len(long) > 30_000
    async with world(tmp_path) as at:
        if not streams:
            at.slack.refuse("chat.startStream", "missing_scope")
        at.api.script = saying(*(long[start : start + 777] for start in range(0, len(long), 777)), pause=0.01)
        ts = await at.slack.message("talk")
        await at.slack.until(lambda: at.slack.made("reactions.remove"), 30)
        parts = [each.text.replace("&amp;", "&").strip() for each in at.slack.said(ts)]
        assert "\n\n".join(parts) == long
        assert all(each.startswith("paragraph") for each in parts), "cut at paragraphs"
        assert len(parts) in ((4, 5) if streams else (13,)), "as many as needed, and hardly more"
        # The thread goes on with the whole answer in mind.
        await at.slack.message("again", thread_ts=ts)
        await at.slack.until(lambda: len(at.api.requests) == 2)
        assert words_of(at.api.requests[1]["messages"][1]) == long


async def _stop_by_emoji(slack: FakeSlack, ts: str, answer: str) -> None:
    item = {"type": "message", "channel": CHANNEL, "ts": answer}
    for user in ("U2", "U1"):
        await slack.event({"type": "reaction_added", "user": user, "reaction": "octagonal_sign", "item": item}, user)


async def _stop_by_word(slack: FakeSlack, ts: str, answer: str) -> None:
    await slack.message("Stop!", CHANNEL, thread_ts=ts)


async def _stop_by_button(slack: FakeSlack, ts: str, answer: str) -> None:
    for user in ("U2", "U1"):
        await slack.envelope(
            "interactive",
            {
                "type": "block_actions",
                "user": {"id": user},
                "team": {"id": "T1"},
                "container": {"type": "message", "channel_id": CHANNEL, "message_ts": answer, "thread_ts": ts},
                "actions": [{"type": "button", "action_id": "pumice_stop", "block_id": "b", "value": ts}],
            },
        )


@pytest.mark.parametrize("stop", [_stop_by_emoji, _stop_by_word, _stop_by_button])
async def test_stopping(tmp_path: Path, stop: Callable[..., Any]) -> None:
    async with world(tmp_path) as at:
        if stop is _stop_by_button:
            at.slack.refuse("chat.startStream", "missing_scope")
        at.api.script = endless()
        ts = await at.slack.message(f"<@{BOT}> talk", CHANNEL)
        await at.slack.message("a question that waits", CHANNEL, thread_ts=ts)
        started = await at.slack.until(lambda: [each for each in at.slack.messages.values() if each.thread == ts])
        await at.slack.until(lambda: "word word" in started[0].text)
        at.api.script = saying("next")
        await stop(at.slack, ts, started[0].ts)
        await at.slack.until(lambda: at.api.cancelled == 1)
        assert (await at.slack.answer(ts, 2)).text == "next"
        stopped = at.slack.messages[started[0].ts]
        assert stopped.text.startswith("word word")
        assert stopped.text.endswith("\n\n_stopped_")
        assert not stopped.blocks
        assert words_of(at.api.requests[1]["messages"][1]).startswith("word"), "what was said is remembered"
        told = [each.text for each in at.slack.whispered()]
        assert told == (["Only the person who asked can stop an answer."] if stop is _stop_by_button else [])


async def test_nobody_is_called_by_an_answer(tmp_path: Path) -> None:
    evil = "<!channel> <!here|x> <@U123> <#C1> @everyone & <https://evil.test/?q=1|click> [a](https://evil.test/b) a<b"
    for streams in (True, False):
        async with world(tmp_path / str(streams)) as at:
            if not streams:
                at.slack.refuse("chat.startStream", "missing_scope")
            at.api.script = saying(*evil)
            text = (await at.slack.answer(await at.slack.message("talk"))).text
            for mark in ("<!", "<@", "<#", "@everyone") if streams else ("<!", "<@", "<#", "<https://evil.test/?"):
                assert mark not in text
            if streams:
                assert "https://" not in text
                assert text.replace("\N{WORD JOINER}", "") == evil
            else:
                assert "&lt;!channel&gt;" in text
                assert "&amp; &lt;https://evil.test/?q=1|click&gt;" in text
                assert "<https://evil.test/b|a> a&lt;b" in text


async def test_limits(tmp_path: Path) -> None:
    async with world(tmp_path, per_user=2, per_channel=3) as at:
        asked = [await at.slack.message(f"<@{BOT}> {number}", CHANNEL) for number in range(5)]
        await at.slack.until(at.slack.whispered)
        for ts in asked[:2]:
            await at.slack.answer(ts)
        await at.slack.answer(await at.slack.message(f"<@{BOT}> mine", CHANNEL, user="U2"))
        await at.slack.message(f"<@{BOT}> mine", CHANNEL, user="U3")
        await at.slack.until(lambda: len(at.slack.whispered()) == 2)
        assert len(at.api.requests) == 3
        told = at.slack.whispered()
        assert [each.user for each in told] == ["U1", "U3"], "each is told once"
        assert "Please ask again in" in told[0].text


async def test_channels_that_are_not_allowed(tmp_path: Path) -> None:
    async with world(tmp_path, channels=frozenset({"C2"})) as at:
        await at.slack.message(f"<@{BOT}> here?", CHANNEL)
        await at.slack.until(at.slack.whispered)
        await at.slack.answer(await at.slack.message(f"<@{BOT}> and here?", "C2"))
        await at.slack.answer(await at.slack.message("directly?"))
        assert [words_of(each["messages"][0]) for each in at.api.requests] == ["and here?", "directly?"]


async def test_an_end_finishes_what_has_begun(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        at.api.script = saying("one ", "two ", "three", pause=0.3)
        ts = await at.slack.message("count")
        await at.slack.until(lambda: at.slack.made("chat.startStream"))
        at.ended.set()
        await at.task
        assert [each.text for each in at.slack.said(ts)] == ["one two three"]
    async with world(tmp_path, drain_s=0.3) as at:
        at.api.script = endless()
        ts = await at.slack.message("count", event_id="other", ts="1700000009.000001")
        await at.slack.until(lambda: at.slack.made("chat.startStream"))
        at.ended.set()
        await at.task
        (answer,) = at.slack.said(ts)
        assert answer.text.endswith("_I am being restarted; ask again to hear the rest_")
        assert at.slack.made("reactions.remove")


async def test_an_answer_that_ran_out_of_words_says_so(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        at.api.script, at.api.finish = saying("and then"), "length"
        answer = await at.slack.answer(await at.slack.message("talk", files=[at.slack.share("a.png", picture())]))
        assert answer.text == "and then\n\n_I stopped at the most words I may use; ask me to go on_"


async def test_a_crash_is_not_passed_over(tmp_path: Path) -> None:
    """An answer that a crash has cut off is ended, and the thread told."""
    async with world(tmp_path) as at:
        at.api.script = endless()
        ts = await at.slack.message("talk")
        await at.slack.until(lambda: at.slack.made("chat.appendStream"))
        at.task.cancel()
        await asyncio.wait({at.task})
        at.slack.calls.clear()
        async with bot(tmp_path, at.slack, at.api):
            await at.slack.until(lambda: at.slack.made("chat.postMessage"))
            assert [each.text for each in at.slack.said(ts)][-1].startswith("_I was restarted")
            assert at.slack.made("chat.stopStream")
