"""Pictures out of Slack: what is taken, what is refused with which words, and where the token goes."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from PIL import Image

from pumice.images.fetch import FetchPolicy, fetch
from pumice.serve.slack import downloads as under_test
from pumice.serve.slack.downloads import DownloadPolicy
from serve.fake_slack import BOT, CHANNEL, FakeSlack
from serve.slack_api import pictures_of
from serve.slack_world import picture, world

pytestmark = pytest.mark.asyncio

LOGIN = b"<!DOCTYPE html><html><head><title>Slack login</title></head></html>"


def _status(status: int) -> Any:
    return lambda request: web.Response(status=status, text="no")


def _redirect(target: str) -> Any:
    return lambda request: web.Response(status=302, headers={"Location": target})


@pytest.mark.parametrize(
    ("content", "more", "words"),
    [
        (LOGIN, {}, ("login page", "add the scope files:read to the app and install it")),
        (_status(403), {}, ("does not let me open a.png", "files:read")),
        (_status(404), {}, ("no longer in Slack",)),
        (_status(410), {}, ("no longer in Slack",)),
        (_status(500), {}, ("did not hand out a.png \\(500\\)", "try again")),
        (picture()[:40], {}, ("truncated",)),
        (b"%PDF-1.7", {}, ("PDF",)),
        (b"", {}, ("empty",)),
        (picture(), {"mimetype": "application/pdf"}, ("not a picture",)),
        (picture(), {"mode": "tombstone"}, ("no longer in Slack",)),
        (picture(), {"mode": "external", "is_external": True}, ("outside Slack",)),
        (picture(), {"size": 1 << 40}, ("larger than 20 MiB",)),
        (picture(), {"filetype": "heic", "mimetype": "image/heic"}, ("HEIC", "JPEG")),
        (picture(), {"url_private_download": "https://evil.test/a.png"}, ("not stored at Slack",)),
        (picture(), {"url_private_download": "file:///etc/passwd"}, ("not stored at Slack",)),
    ],
)
async def test_what_cannot_be_taken_is_explained(
    tmp_path: Path, content: Any, more: dict[str, Any], words: tuple[str, ...]
) -> None:
    async with world(tmp_path) as at:
        file = at.slack.share("a.png", content, **more)
        ts = await at.slack.message(f"<@{BOT}> what is it? {content!r}"[:60], CHANNEL, files=[file])
        await at.slack.until(lambda: at.slack.made("reactions.remove"))
        (told,) = at.slack.messages.values()
        assert (told.kind, told.user) == ("ephemeral", "U1")
        for each in words:
            assert each.replace("\\", "").lower() in told.text.lower()
        assert not at.api.requests
        # In the thread, another picture can follow without calling the bot again; the refused one is gone.
        await at.slack.message("this one", CHANNEL, thread_ts=ts, files=[at.slack.share("b.png", picture())])
        assert "1 pictures in 1 messages" in (await at.slack.answer(ts)).text


async def test_a_file_that_never_ends_and_one_that_is_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DownloadPolicy, "__init__", _smaller(DownloadPolicy.__init__))

    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b"\x89PNG\r\n\x1a\n" * 1000)

    async def slow(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b"x")
            await asyncio.sleep(0.1)

    async with world(tmp_path) as at:
        await at.slack.message("endless", files=[at.slack.share("a.png", endless)])
        await at.slack.until(lambda: [each for each in at.slack.said() if "larger than 1 MiB" in each.text])
        await at.slack.message("slow", files=[at.slack.share("a.png", slow)])
        await at.slack.until(lambda: [each for each in at.slack.said() if "not arrive in time" in each.text])


def _smaller(make: Any) -> Any:
    def smaller(self: DownloadPolicy, **values: Any) -> None:
        make(self, max_bytes=1 << 20, deadline_s=0.6, **values)

    return smaller


async def test_heic_comes_as_what_slack_has_made_of_it(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        small, large = picture("red", "JPEG"), picture("blue", "JPEG")
        at.slack.files |= {"small.jpg": lambda request: small, "large.jpg": lambda request: large}
        thumbs = {"thumb_360": f"{at.slack.origin}/files/small.jpg", "thumb_1024": f"{at.slack.origin}/files/large.jpg"}
        heic = {"filetype": "heic", "mimetype": "image/heic"}
        heavy = at.slack.share("b.png", b"never read", size=1 << 30, **thumbs)
        wrong = at.slack.share("c.jpg", b"\x00\x00\x00\x18ftypheic", **thumbs)  # HEIC under a false name
        await at.slack.message("what?", files=[at.slack.share("a.heic", b"", **heic, **thumbs), heavy, wrong])
        await at.slack.until(lambda: at.api.requests)
        assert [each.partition(";")[0] for each in pictures_of(at.api.requests[0]["messages"][0])] == [
            "data:image/jpeg"
        ] * 3
        assert sorted(name for name, _ in at.slack.downloads) == ["c.jpg", "large.jpg", "large.jpg", "large.jpg"]


async def test_files_of_other_workspaces_are_looked_up(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        known = at.slack.share("a.png", picture())
        at.slack.file_infos["Fx"] = known
        stub = {"id": "Fx", "mode": "file_access", "file_access": "check_file_info"}
        ts = await at.slack.message("what?", files=[stub])
        assert "1 pictures" in (await at.slack.answer(ts)).text
        at.slack.refuse("files.info", "missing_scope")
        await at.slack.message("what?", files=[stub])
        await at.slack.until(lambda: [each for each in at.slack.said() if "install it to the workspace" in each.text])


async def test_one_bad_picture_among_good_ones(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        files = [
            at.slack.share("a.png", picture()),
            at.slack.share("b.png", LOGIN),
            at.slack.share("c.png", picture("blue")),
        ]
        ts = await at.slack.message(f"<@{BOT}> what?", CHANNEL, files=files)
        assert "2 pictures" in (await at.slack.answer(ts)).text
        assert [each.kind for each in at.slack.messages.values()] == ["ephemeral", "stopped"]


async def test_a_heavy_picture_is_made_smaller(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.frombytes("RGB", (2100, 1000), os.urandom(2100 * 1000 * 3)).save(file, "PNG", compress_level=0)
    async with world(tmp_path) as at:
        await at.slack.message("what?", files=[at.slack.share("a.png", file.getvalue())])
        await at.slack.until(lambda: at.api.requests)
        (uri,) = pictures_of(at.api.requests[0]["messages"][0])
        assert uri.startswith("data:image/jpeg")
        assert len(uri) < 3 << 20


@pytest_asyncio.fixture
async def elsewhere() -> AsyncIterator[FakeSlack]:
    """Another host, to which Slack's addresses lead."""
    running = await FakeSlack().start()
    yield running
    await running.stop()


async def test_the_token_stays_with_slack(
    tmp_path: Path, elsewhere: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere.share("b.png", picture())
    async with world(tmp_path) as at:
        at.slack.share("c.png", picture())
        # Within Slack, with the token; elsewhere without it, and through the guard of all foreign addresses.
        inside = at.slack.share("a.png", _redirect("/files/c.png"))
        assert "1 pictures" in (await at.slack.answer(await at.slack.message("inside", files=[inside]))).text
        assert [token for _, token in at.slack.downloads] == ["Bearer xoxb-1111-secretsecret"] * 2
        outside = at.slack.share("a.png", _redirect(f"{elsewhere.origin}/files/b.png"))
        await at.slack.message("outside", files=[outside])
        await at.slack.until(lambda: [each for each in at.slack.said() if each.text.startswith(":warning:")])
        assert not elsewhere.downloads, "private addresses are refused"
        open_door = FetchPolicy(allow_private=True)
        monkeypatch.setattr(under_test, "fetch", lambda url, policy: fetch(url, open_door))
        assert "1 pictures" in (await at.slack.answer(await at.slack.message("outside", files=[outside]))).text
        assert elsewhere.downloads == [("b.png", None)]
        circle = at.slack.share("a.png", _redirect("/files/a.png"))
        await at.slack.message("circle", files=[circle])
        await at.slack.until(lambda: [each for each in at.slack.said() if "too many redirects" in each.text])


@pytest.mark.parametrize(
    ("url", "slack"),
    [
        ("https://files.slack.com/files-pri/T1-F1/a.png", True),
        ("https://slack.com/a", True),
        ("https://SLACK.com:443/a", True),
        ("https://a.b.slack.com/a", True),
        ("https://evilslack.com/a", False),
        ("https://slack.com.evil.org/a", False),
        ("https://files.slack.com@evil.org/a", False),
        ("https://evil.org/files.slack.com", False),
        ("https://evil.org\\@files.slack.com/a", False),
        ("http://files.slack.com/a", False),
        ("https://files.slack.com:8443/a", False),
        ("https://user:pass@files.slack.com/a", False),
        ("https://files.slack.com:x/a", False),
        ("https://[::1/a", False),
        ("//files.slack.com/a", False),
        ("file:///files.slack.com", False),
        ("", False),
    ],
)
async def test_who_is_slack(url: str, slack: bool) -> None:
    assert DownloadPolicy().is_slack(url) is slack
