"""The Slack bot answers: directly, when called, in threads; with pictures before, with and after the question."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from serve.fake_slack import BOT, CHANNEL, DM
from serve.slack_api import pictures_of, words_of
from serve.slack_world import bot, picture, world

pytestmark = pytest.mark.asyncio


async def test_a_picture_in_a_direct_message(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        data = picture()
        ts = await at.slack.message("What is this?", files=[at.slack.share("a.png", data)])
        answer = await at.slack.answer(ts)
        assert answer.text == "You asked: What is this?. I see 1 pictures in 1 messages."
        assert (answer.channel, answer.thread, answer.kind) == (DM, ts, "stopped")
        (request,) = at.api.requests
        assert (request["model"], request["stream"]) == ("tiny", True)
        assert pictures_of(request["messages"][0]) == ["data:image/png;base64," + base64.b64encode(data).decode()]
        eyes = [(each.method, each.args["timestamp"]) for each in at.slack.calls if each.method.startswith("reactions")]
        assert eyes == [("reactions.add", ts), ("reactions.remove", ts)]
        assert at.slack.downloads == [("a.png", "Bearer xoxb-1111-secretsecret")]
        assert len(at.slack.acks) == 1


async def test_a_call_with_a_picture_comes_twice_and_is_answered_once(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        text = f"<@{BOT}> what &lt;is&gt; this, <@U9|anna>? See <https://a.b/c|here> in <#C5|general>"
        # The call may come first and without the files.
        ts = await at.slack.message(text, CHANNEL, event_type="app_mention")
        await at.slack.message(text, CHANNEL, ts=ts, files=[at.slack.share("a.png", picture())])
        await at.slack.answer(ts)
        await asyncio.sleep(0.3)
        assert len(at.api.requests) == len(at.slack.said()) == 1
        (asked,) = at.api.requests[0]["messages"]
        assert words_of(asked) == "what <is> this, @anna? See https://a.b/c in #general"
        assert len(pictures_of(asked)) == 1


async def test_a_call_without_a_twin_is_answered(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        ts = await at.slack.message(f"<@{BOT}> hello", CHANNEL, event_type="app_mention")
        assert (await at.slack.answer(ts)).text.startswith("You asked: hello.")


async def test_a_thread_is_a_conversation(tmp_path: Path) -> None:
    """Follow-ups need no call; earlier pictures and answers stay; two pictures come in order."""
    async with world(tmp_path) as at:
        red, blue = picture("red"), picture("blue", "JPEG")
        files = [at.slack.share("a.png", red), at.slack.share("b.jpg", blue, mimetype="image/jpeg")]
        ts = await at.slack.message(f"<@{BOT}> which is red?", CHANNEL, files=files)
        await at.slack.answer(ts)
        await at.slack.message("and the other?", CHANNEL, user="U2", thread_ts=ts)
        assert (await at.slack.answer(ts, 2)).text.endswith("I see 2 pictures in 3 messages.")
        first, said, second = at.api.requests[1]["messages"]
        assert [base64.b64decode(each.partition(",")[2]) for each in pictures_of(first)] == [red, blue]
        assert [each.partition(";")[0] for each in pictures_of(first)] == ["data:image/png", "data:image/jpeg"]
        assert (said["role"], words_of(second)) == ("assistant", "and the other?")
        # People may talk to each other there, and elsewhere.
        await at.slack.message("<@U3> what do you think?", CHANNEL, thread_ts=ts)
        await at.slack.message("nobody asked the bot", CHANNEL)
        await at.slack.message("nor here", CHANNEL, thread_ts="1600000000.000001")
        await at.slack.message("a question", DM)
        await at.slack.until(lambda: len(at.api.requests) == 3)
        assert words_of(at.api.requests[2]["messages"][0]) == "a question"


async def test_picture_first_and_question_later(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        ts = await at.slack.message("", files=[at.slack.share("a.png", picture())])
        assert (await at.slack.answer(ts)).text == "What would you like to know about it?"
        await at.slack.message("In the thread?", thread_ts=ts)
        assert (await at.slack.answer(ts, 2)).text.endswith("I see 1 pictures in 1 messages.")
        # A question below the picture, outside its thread, is about it too: once, and only for the same person.
        other = await at.slack.message("Mine?", user="U2")
        assert "0 pictures" in (await at.slack.answer(other)).text
        beside = await at.slack.message("Beside it?")
        assert "1 pictures" in (await at.slack.answer(beside)).text
        again = await at.slack.message("Again?")
        assert "0 pictures" in (await at.slack.answer(again)).text


async def test_pictures_of_a_thread_into_which_it_is_called(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        start = at.slack.new_ts()
        at.slack.replies[start] = [
            {"user": "U1", "text": "look", "ts": start, "files": [at.slack.share("a.png", picture())]},
            {"bot_id": "B9", "text": "ad", "ts": at.slack.new_ts(), "files": [at.slack.share("ad.png", picture())]},
        ]
        await at.slack.message(f"<@{BOT}> what is it?", CHANNEL, thread_ts=start)
        assert "1 pictures" in (await at.slack.answer(start)).text
        at.slack.refuse("conversations.replies", "missing_scope")
        other = at.slack.new_ts()
        await at.slack.message(f"<@{BOT}> and this?", CHANNEL, thread_ts=other)
        assert "0 pictures" in (await at.slack.answer(other)).text


async def test_bots_and_slack_itself_are_not_answered(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        for noise in (
            {"bot_id": "B9"},
            {"subtype": "bot_message", "bot_id": "B9"},
            {"user": BOT},
            {"subtype": "message_changed", "message": {"text": "x"}},
            {"subtype": "channel_join"},
            {"user": "USLACKBOT"},
            {"hidden": True},
        ):
            await at.slack.message("hello", **noise)
        await at.slack.envelope("events_api", {"type": "event_callback", "event": {"type": "message"}, "event_id": "E"})
        ts = await at.slack.message("a person")
        await at.slack.answer(ts)
        assert [words_of(each["messages"][-1]) for each in at.api.requests] == ["a person"]


async def test_repeated_events(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        ts = await at.slack.message("once", event_id="Ev1")
        await at.slack.message("once", ts=ts, event_id="Ev1")
        await at.slack.message("once", ts=ts, event_id="Ev2")
        await at.slack.answer(ts)
        at.ended.set()
        await at.task
        # The same after a restart: Slack repeats what was not acknowledged in time.
        async with bot(tmp_path, at.slack, at.api):
            await at.slack.message("once", ts=ts, event_id="Ev3")
            await at.slack.answer(await at.slack.message("twice"))
        assert [words_of(each["messages"][-1]) for each in at.api.requests] == ["once", "twice"]


async def test_the_socket_breaks_and_comes_back(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        await at.slack.socket().send_json({"type": "disconnect", "reason": "refresh_requested"})
        await at.slack.until(lambda: at.slack.connections == 2)
        ts = await at.slack.message("still there?")
        assert (await at.slack.answer(ts)).text.startswith("You asked: still there?")
        await at.slack.socket().close()
        await at.slack.until(lambda: at.slack.connections == 3)
        ts = await at.slack.message("and now?")
        assert (await at.slack.answer(ts)).text.startswith("You asked: and now?")


async def test_threads_in_parallel_and_order_within_one(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def wait(messages: list[dict[str, Any]]) -> AsyncIterator[str]:
        await gate.wait()
        yield words_of(messages[-1])

    async with world(tmp_path) as at:
        at.api.script = wait
        threads = [await at.slack.message(f"question {number}", user=f"U{number}") for number in range(20)]
        await at.slack.message("follow-up", thread_ts=threads[0])
        await at.slack.until(lambda: at.api.running == 20)
        gate.set()
        for number, ts in enumerate(threads[1:], start=1):
            assert (await at.slack.answer(ts)).text == f"question {number}"
        assert (await at.slack.answer(threads[0], 2)).text == "follow-up"
        assert [each.text for each in at.slack.said(threads[0])] == ["question 0", "follow-up"]
        assert at.api.most_running == 20


async def test_long_threads_keep_the_latest_pictures(tmp_path: Path) -> None:
    async with world(tmp_path, most_pictures=2) as at:
        files = [at.slack.share(f"{colour}.png", picture(colour)) for colour in ("red", "green", "blue")]
        ts = await at.slack.message("one", files=files[:1])
        await at.slack.answer(ts)
        await at.slack.message("more", files=files[1:], thread_ts=ts)
        answer = await at.slack.answer(ts, 2)
        assert answer.text.endswith("_Of the pictures in this thread I looked at the last ones only_")
        assert [len(pictures_of(each)) for each in at.api.requests[1]["messages"]] == [0, 0, 2]


async def test_help_and_reset(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        ts = await at.slack.message(f"<@{BOT}> remember 5", CHANNEL)
        await at.slack.answer(ts)
        await at.slack.message("help", CHANNEL, thread_ts=ts)
        await at.slack.until(lambda: "I answer questions about pictures" in at.slack.said(ts)[-1].text)
        await at.slack.message("Reset.", CHANNEL, thread_ts=ts)
        await at.slack.until(lambda: at.slack.said(ts)[-1].text == "This conversation is forgotten.")
        await at.slack.message(f"<@{BOT}> and now?", CHANNEL, thread_ts=ts)
        await at.slack.answer(ts, 4)
        assert len(at.api.requests[-1]["messages"]) == 1

        async def command(text: str, user: str = "U1") -> str:
            values = {"command": "/vision", "text": text, "user_id": user, "channel_id": CHANNEL, "team_id": "T1"}
            name = await at.slack.envelope("slash_commands", values)
            ack = await at.slack.until(lambda: at.slack.acks.get(name))
            return str(ack["payload"]["text"])

        assert "*reset*" in await command("help") and "*reset*" in await command("")
        assert await command("reset", "U2") == "There was nothing to forget."
        assert await command(" reset ") == "This conversation is forgotten."
        assert await command("reset") == "There was nothing to forget."


async def test_a_restart_in_the_middle_of_a_thread(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        ts = await at.slack.message(f"<@{BOT}> what?", CHANNEL, files=[at.slack.share("a.png", picture())])
        await at.slack.answer(ts)
        at.ended.set()
        await at.task
        async with bot(tmp_path, at.slack, at.api):
            await at.slack.message("and now?", CHANNEL, thread_ts=ts)
            assert (await at.slack.answer(ts, 2)).text.endswith("I see 1 pictures in 3 messages.")
