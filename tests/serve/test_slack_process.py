"""``pumice slack`` as a process: killed in the middle of a thread, told to end, and with tokens that are missing."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from pumice.cli.main import main
from serve.fake_slack import APP_TOKEN, BOT, BOT_TOKEN, CHANNEL, FakeSlack
from serve.slack_api import FakeApi, pictures_of
from serve.slack_world import picture
from serve.test_slack_replies import endless, saying

pytestmark = pytest.mark.asyncio

ROOT = Path(__file__).parent.parent.parent
TOKENS = {"SLACK_BOT_TOKEN": BOT_TOKEN, "SLACK_APP_TOKEN": APP_TOKEN}


def _environment(slack: FakeSlack) -> dict[str, str]:
    paths = [str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, **TOKENS, "PYTHONPATH": os.pathsep.join(paths), "PUMICE_SLACK_URL": slack.url}


async def _start(slack: FakeSlack, api: FakeApi, folder: Path) -> asyncio.subprocess.Process:
    before = slack.connections
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pumice", "slack", "--api", api.url, "--data", str(folder), "--drain", "5"),
        env=_environment(slack),
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        await slack.until(lambda: slack.connections > before, 60)
    except AssertionError:
        if process.returncode is None:
            process.kill()
        raise AssertionError((await process.communicate())[1].decode()) from None
    return process


async def test_killed_in_the_middle_of_a_thread(tmp_path: Path) -> None:
    slack, api = await FakeSlack().start(), await FakeApi().start()
    try:
        process = await _start(slack, api, tmp_path)
        ts = await slack.message(f"<@{BOT}> what?", CHANNEL, files=[slack.share("a.png", picture())])
        await slack.answer(ts)
        api.script = endless()
        await slack.message("and now?", CHANNEL, thread_ts=ts)
        await slack.until(lambda: slack.made("chat.appendStream"))
        process.kill()
        first_log = (await process.communicate())[1].decode()

        slack.calls.clear()
        process = await _start(slack, api, tmp_path)
        await slack.until(lambda: [each for each in slack.said(ts) if each.text.startswith("_I was restarted")])
        api.script = saying("one ", "two ", "three", pause=0.3)
        await slack.message("and now?", CHANNEL, thread_ts=ts)
        await slack.until(lambda: slack.made("chat.startStream"))
        process.send_signal(signal.SIGTERM)
        log = first_log + (await process.communicate())[1].decode()
        assert process.returncode == 0
        assert slack.said(ts)[-1].text == "one two three"
        messages = api.requests[-1]["messages"]
        assert [each["role"] for each in messages] == ["user", "assistant", "user"]
        assert len(pictures_of(messages[0])) == 1

        assert "pumice slack: @vision in Acme" in log
        assert f"question {ts} in {CHANNEL} answered in" in log
        for secret in ("secretsecret", "verysecret", "and now?", "base64"):
            assert secret not in log
        assert "Traceback" not in log
    finally:
        await slack.stop()
        await api.stop()


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        ({}, "SLACK_BOT_TOKEN is not set"),
        ({"SLACK_BOT_TOKEN": "xoxb-1"}, "SLACK_APP_TOKEN is not set"),
        ({"SLACK_BOT_TOKEN": "xapp-1", "SLACK_APP_TOKEN": "xoxb-1"}, "wrong way round"),
        ({"SLACK_BOT_TOKEN": "secret", "SLACK_APP_TOKEN": "xapp-1"}, "starts with xoxb-"),
    ],
)
async def test_tokens_that_are_missing(
    tokens: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in TOKENS:
        monkeypatch.delenv(name, raising=False)
    for name, value in tokens.items():
        monkeypatch.setenv(name, value)
    assert main(["slack"]) == 7
    told = capsys.readouterr().err
    assert words in told
    assert "hint:" in told
    assert "secret" not in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--channels", "#general"], "expected a channel's id like C0123ABCD, found '#general'"),
        (["--api", "localhost:8000"], "--api: expected a URL"),
        (["--per-user", "0"], "--per-user"),
    ],
)
async def test_options_that_make_no_sense(
    arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in TOKENS.items():
        monkeypatch.setenv(name, value)
    assert main(["slack", *arguments]) == 2
    assert words in capsys.readouterr().err


async def test_tokens_go_to_slack_or_stay_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in TOKENS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PUMICE_SLACK_URL", "http://slack.example/api/")
    assert main(["slack"]) == 2
    assert "for tests on this machine" in capsys.readouterr().err


async def test_refused_by_slack(tmp_path: Path) -> None:
    slack, api = await FakeSlack().start(), await FakeApi().start()
    slack.refuse("apps.connections.open", "invalid_auth", ...)
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pumice", "slack", "--api", api.url, "--data", str(tmp_path)),
            env=_environment(slack),
            stderr=asyncio.subprocess.PIPE,
        )
        told = (await process.communicate())[1].decode()
        assert process.returncode == 7, told
        assert told.splitlines()[-2:] == [
            "error: Slack refuses the app token (SLACK_APP_TOKEN): invalid_auth",
            "hint: make an app-level token with the scope connections:write under Basic Information;"
            + " it starts with xapp-",
        ]
        assert "secretsecret" not in told
        assert "Traceback" not in told
    finally:
        await slack.stop()
        await api.stop()
