"""The rules of the Slack bot that need no Slack: marks, pages, limits, memory, the manifest."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pumice.cli.main import main
from pumice.errors import PumiceError
from pumice.serve.slack.events import Place
from pumice.serve.slack.memory import conversation
from pumice.serve.slack.mrkdwn import boundary, closed_page, escaped, harmless, mrkdwn, reopening, settled, typed
from pumice.serve.slack.rules import Limiter
from pumice.serve.slack.store import Store, Turn
from pumice.serve.slack.words import explained

AT = Place("T1", "C1", "1.1")
_NASTY = st.text(st.sampled_from("<>@!#&:/ab`*_~[]()|\n \u202e\x00chnel"), max_size=60) | st.lists(
    st.sampled_from(
        ["<!channel>", "<@U1>", "@here", "https://a.b", "<http://a|b>", "`", "```", "**", "[a](http://b)", "\n"]
    )
).map("".join)


@pytest.mark.parametrize(
    ("markdown", "shown"),
    [
        ("**bold** and *italic* and ~~gone~~", "*bold* and _italic_ and ~gone~"),
        ("__bold__ 2 * 3 * 4", "*bold* 2 * 3 * 4"),
        ("# Head **line**\ntext", "*Head line*\ntext"),
        ("* one\n- two\n  + three", "• one\n• two\n  • three"),
        ("[a & b](https://x.y/?a=1&b=2)", "<https://x.y/?a=1&amp;b=2|a &amp; b>"),
        ("![alt](https://x.y/z.png)", "<https://x.y/z.png|alt>"),
        ("[a](javascript:alert(1)) [b](/c)", "[a](javascript:alert(1)) [b](/c)"),
        ("`**a** <b>` **c**", "`**a** &lt;b&gt;` *c*"),
        ("```python\na = b < c and **d\n```\n**x**", "```\na = b &lt; c and **d\n```\n*x*"),
        ("<!channel> <@U1> &lt;", "&lt;!channel&gt; &lt;@U1&gt; &amp;lt;"),
        ("a\x00\x01b\u202ec", "abc"),
    ],
)
def test_marks(markdown: str, shown: str) -> None:
    assert mrkdwn(markdown) == shown


@given(_NASTY)
def test_no_marks_of_slacks_come_through(text: str) -> None:
    shown = mrkdwn(text)
    assert all(found.startswith(("<http://", "<https://")) for found in re.findall("<.*", shown))
    assert re.fullmatch(r"[^<>]*", escaped(text))
    stream = harmless(text)
    assert not re.search(r"<[!@#]|@(channel|here|everyone)|://|<https?:", stream)


@given(_NASTY, st.integers(0, 60))
def test_what_was_streamed_stays_true(text: str, at: int) -> None:
    """However the text goes on, what was sent before is its beginning."""
    upto = settled(text[:at])
    assert harmless(text).startswith(harmless(text[:upto]))


def test_streams_do_not_wait_for_ever() -> None:
    assert settled("words and words") == 15
    assert settled("a < b") == 5
    assert settled("see <") == 4
    assert settled("日本語" * 30) == 90
    assert settled("a:b" * 30 + " <htt") == 91
    assert settled("see https:/") == 9


@given(st.text("ab .\n`", min_size=30, max_size=400), st.integers(20, 60))
def test_pages_keep_everything(text: str, limit: int) -> None:
    pages, rest = [], text
    while len(rest) > limit:
        end = boundary(rest, limit // 4, limit)
        assert 0 < end <= limit
        pages.append(rest[:end])
        rest = rest[end:]
    assert "".join(pages) + rest == text


def test_pages_end_where_it_reads_well() -> None:
    assert boundary("one. two\n\nthree four", 2, 15) == 10
    assert boundary("one. two three four", 2, 15) == 5
    assert boundary("one two three four", 2, 15) == 14
    assert boundary("x" * 20, 2, 15) == 15
    assert closed_page("```\ncode") == "```\ncode\n```"
    assert reopening("```\ncode") == "```\n"
    assert (closed_page("```a```  "), reopening("```a```")) == ("```a```", "")


def test_what_a_user_typed() -> None:
    assert typed("<@UBOT>  what &amp; why?\n  <mailto:a@b.c|a@b.c>", "UBOT") == "what & why?\n  a@b.c"
    assert typed("<@UBOT|vision> <!here> <!subteam^S1|@team>", "UBOT") == "@vision @here @@team"


def test_limits_slide() -> None:
    limiter = Limiter(window_s=60)
    mine, ours = ("me", 2), ("us", 3)
    assert [limiter.wait([mine, ours], at) for at in (0, 10, 20)] == [0, 0, 40]
    assert limiter.wait([("you", 2), ours], 30) == 0
    assert limiter.wait([("you", 2), ours], 31) == 29, "the channel is full"
    assert limiter.wait([mine, ours], 60) == 0
    assert limiter.first_refusal("me", 60)
    assert not limiter.first_refusal("me", 61)
    limiter.wait([], 121)
    assert limiter.first_refusal("me", 121)


def test_errors_in_words() -> None:
    error = PumiceError("no <!channel> today", hint="ask again")
    error.request_id = "r`1"
    assert explained(error) == ":warning: No &lt;!channel&gt; today.\nAsk again.\nRequest `r1`"
    assert explained(PumiceError("ends well!")) == ":warning: Ends well!"


def test_turns_become_messages() -> None:
    pictures = {name: name.encode() for name in "abc"}
    turns = [
        Turn("user", "", ("a",)),
        Turn("user", "first", ("b",)),
        Turn("assistant", "yes"),
        Turn("user", "?", ("c", "gone")),
    ]
    messages, left_out = conversation(turns, pictures.get, most_turns=9, most_pictures=4)
    assert [each["role"] for each in messages] == ["user", "assistant", "user"]
    assert [len(each["content"]) for each in messages] == [3, 3, 2]
    assert messages[0]["content"][2]["text"] == "first"
    assert not left_out
    messages, left_out = conversation(turns, pictures.get, most_turns=2, most_pictures=1)
    assert ([each["role"] for each in messages], left_out) == (["user"], True)


def test_memory_is_bounded(tmp_path: Path) -> None:
    store = Store(tmp_path / "a" / "b", keep_s=100, picture_room=25)
    names = [store.put_picture(bytes([number]) * 10) for number in range(3)]
    assert store.put_picture(bytes([2]) * 10) == names[2]
    assert [store.picture(name) is not None for name in names].count(True) == 2
    assert store.picture(names[2]) == bytes([2]) * 10
    assert store.picture("0" * 64) is None
    files = list((tmp_path / "a" / "b" / "pictures").iterdir())
    assert sum(each.stat().st_size for each in files) == 20
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    store.close()


def test_memory_fades(tmp_path: Path) -> None:
    store = Store(tmp_path, keep_s=100)
    kept, lost = store.put_picture(b"kept"), store.put_picture(b"lost")
    os.utime(tmp_path / "pictures" / kept, (0, 0))
    os.utime(tmp_path / "pictures" / lost, (0, 0))
    other = Place("T1", "C1", "2.2")
    store.add(AT, "U1", [Turn("user", "old", (lost,))], now=0)
    store.add(other, "U1", [Turn("user", "new", (kept,))], now=90)
    assert store.claim("event 1", 0)
    store.sweep(now=150)
    assert (store.knows(AT), store.turns(AT), store.turns(other)) == (False, [], [Turn("user", "new", (kept,))])
    assert (store.picture(lost), store.picture(kept)) == (None, b"kept")
    assert not store.claim("event 1", 150)
    store.sweep(now=90_000)
    assert store.claim("event 1", 90_000)
    store.close()


def test_memory_outlives_the_process(tmp_path: Path) -> None:
    store = Store(tmp_path, keep_s=100)
    name = store.put_picture(b"picture")
    store.add(AT, "U1", [Turn("user", "what?", (name,)), Turn("assistant", "that")], now=0)
    store.let_wait(AT, "U1", (name,), now=0)
    store.begin_reply(AT, "9.9")
    again = Store(tmp_path, keep_s=100)  # the first one is not closed: as after a crash
    assert again.turns(AT) == [Turn("user", "what?", (name,)), Turn("assistant", "that")]
    assert again.picture(name) == b"picture"
    assert again.unfinished() == [(AT, "9.9")]
    assert again.take_waiting(AT, "U2", since=-1) == ()
    assert again.take_waiting(AT, "U1", since=-1) == (name,)
    assert again.take_waiting(AT, "U1", since=-1) == ()
    for each in (store, again):
        each.close()


def test_the_manifest_asks_for_what_the_bot_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["slack", "--manifest"]) == 0
    manifest = yaml.safe_load(capsys.readouterr().out)
    from pumice.serve.slack import app

    scopes = set(manifest["oauth_config"]["scopes"]["bot"])
    assert set(app._NEEDED) <= scopes
    settings = manifest["settings"]
    assert settings["socket_mode_enabled"] and settings["interactivity"]["is_enabled"]
    needs = {
        "app_mention": "app_mentions:read",
        "message.channels": "channels:history",
        "message.groups": "groups:history",
        "message.im": "im:history",
        "message.mpim": "mpim:history",
        "reaction_added": "reactions:read",
    }
    assert set(settings["event_subscriptions"]["bot_events"]) == set(needs)
    assert set(needs.values()) <= scopes
    assert [each["command"] for each in manifest["features"]["slash_commands"]] == ["/vision"]
    assert manifest["features"]["app_home"]["messages_tab_read_only_enabled"] is False
