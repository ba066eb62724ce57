"""A Slack of our own on loopback: the Web API, the socket and the files, over real sockets, with what may go wrong.

Everything that is called is written down in ``calls``. It refuses what Slack refuses: edits of more than 4000
characters, streams outside threads, calls without the token.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

BOT_TOKEN = "xoxb-1111-secretsecret"
APP_TOKEN = "xapp-1-A1-2222-secretsecret"
BOT, TEAM, DM, CHANNEL = "UBOT", "T1", "D1", "C1"

Answer = dict[str, Any] | web.StreamResponse


@dataclass(frozen=True)
class Call:
    """One call of the Web API. at: seconds of the loop's clock."""

    method: str
    args: dict[str, Any]
    at: float


@dataclass
class Message:
    """What stands in a channel. kind: posted, streamed (open or stopped), ephemeral."""

    ts: str
    channel: str
    thread: str | None
    text: str
    kind: str = "posted"
    blocks: list[dict[str, Any]] = field(default_factory=list)
    user: str | None = None


class FakeSlack:
    """``start`` it, point a bot at ``url``, and say things with ``message`` and the like."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.messages: dict[str, Message] = {}
        self.files: dict[str, Callable[[web.Request], Any]] = {}
        self.downloads: list[tuple[str, str | None]] = []
        self.file_infos: dict[str, dict[str, Any]] = {}
        self.replies: dict[str, list[dict[str, Any]]] = {}
        self.refusals: dict[str, list[Any]] = {}
        self.acks: dict[str, dict[str, Any]] = {}
        self.scopes = "app_mentions:read,chat:write,files:read,im:history,reactions:read,reactions:write"
        self.sockets: list[web.WebSocketResponse] = []
        self.connections = 0
        self.port = 0
        self._numbers = itertools.count(1)
        self._runner: web.AppRunner | None = None
        self._news = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/"

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> FakeSlack:
        app = web.Application()
        app.router.add_route("*", "/api/{method}", self._api)
        app.router.add_get("/link", self._link)
        app.router.add_get("/files/{name}", self._file)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        self.port = site._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        for socket in self.sockets:
            await socket.close()
        assert self._runner is not None
        await self._runner.cleanup()

    def refuse(self, method: str, *answers: Any) -> None:
        """The next calls of ``method`` fail with these errors; a number is a 429 with so many seconds to wait.

        ``...`` at the end: so do all that follow.
        """
        self.refusals[method] = list(answers)

    def new_ts(self) -> str:
        return f"1700000000.{next(self._numbers):06d}"

    # What people do.

    async def message(self, text: str, channel: str = DM, user: str = "U1", **more: Any) -> str:
        """Somebody writes; its ts. files, thread_ts, ts, subtype, bot_id, event_type, event_id as keywords."""
        ts = more.pop("ts", None) or self.new_ts()
        kind = more.pop("event_type", "message")
        event = {"type": kind, "user": user, "text": text, "channel": channel, "ts": ts, "team": TEAM}
        if more.get("files"):
            event["subtype"] = "file_share"
        if kind == "message":
            event["channel_type"] = "im" if channel.startswith("D") else "channel"
        event_id = more.pop("event_id", None) or f"Ev{next(self._numbers)}"
        await self.event({**event, **more}, event_id)
        return ts

    async def event(self, event: dict[str, Any], event_id: str) -> None:
        payload = {"token": "x", "team_id": TEAM, "api_app_id": "A1", "type": "event_callback", "event_id": event_id}
        await self.envelope("events_api", {**payload, "event": event, "event_time": 1})

    async def envelope(self, kind: str, payload: dict[str, Any]) -> str:
        name = f"env{next(self._numbers)}"
        envelope = {"type": kind, "envelope_id": name, "payload": payload, "accepts_response_payload": True}
        await self.socket().send_str(json.dumps(envelope))
        return name

    def socket(self) -> web.WebSocketResponse:
        return next(each for each in reversed(self.sockets) if not each.closed)

    # What tests wait for.

    async def until(self, holds: Callable[[], Any], seconds: float = 10.0) -> Any:
        """Waits until ``holds`` gives something true, and returns it."""
        end = asyncio.get_running_loop().time() + seconds
        while not (found := holds()):
            left = end - asyncio.get_running_loop().time()
            assert left > 0, f"never happened; last calls: {self.calls[-8:]}"
            self._news.clear()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._news.wait(), min(left, 0.05))
        return found

    def said(self, thread: str | None = None, kinds: tuple[str, ...] = ("posted", "stopped")) -> list[Message]:
        """Complete messages of the bot, in one thread or anywhere."""
        return [each for each in self.messages.values() if each.kind in kinds and thread in (None, each.thread)]

    async def answer(self, thread: str, number: int = 1) -> Message:
        """The bot's last message in a thread, once there are ``number`` and the eyes are closed again."""

        def settled() -> bool:
            eyes = [each.method for each in self.calls if each.method.startswith("reactions.")]
            balanced = eyes.count("reactions.add") == eyes.count("reactions.remove")
            return balanced and len(self.said(thread)) >= number

        await self.until(settled)
        return self.said(thread)[-1]

    def whispered(self) -> list[Message]:
        """What the bot has said for one pair of eyes."""
        return [each for each in self.messages.values() if each.kind == "ephemeral"]

    def made(self, method: str) -> list[Call]:
        return [each for each in self.calls if each.method == method]

    # The server's side.

    async def _api(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        token = (request.headers.get("Authorization") or "").removeprefix("Bearer ")
        if request.content_type == "application/json":
            args = await request.json()
        else:
            args = {**request.query, **await request.post()}
        self.calls.append(Call(method, args, asyncio.get_running_loop().time()))
        try:
            answer = self._answer(method, args, token or str(args.get("token")))
        finally:
            self._news.set()
        if isinstance(answer, web.StreamResponse):
            return answer
        return web.json_response({"ok": "error" not in answer, **answer}, headers={"x-oauth-scopes": self.scopes})

    def _answer(self, method: str, args: dict[str, Any], token: str) -> Answer:
        if token != (APP_TOKEN if method == "apps.connections.open" else BOT_TOKEN):
            return {"error": "invalid_auth"}
        planned = self.refusals.get(method)
        if planned:
            error = planned[0]
            if planned[1:] != [...]:
                planned.pop(0)
            if isinstance(error, int):
                return web.json_response(
                    {"ok": False, "error": "ratelimited"}, status=429, headers={"Retry-After": str(error)}
                )
            if error is not None:
                return {"error": error}
        handler = getattr(self, "_" + method.replace(".", "_"), None)
        return {} if handler is None else handler(args)

    def _auth_test(self, args: dict[str, Any]) -> Answer:
        return {"user_id": BOT, "bot_id": "BBOT", "team": "Acme", "team_id": TEAM, "user": "vision"}

    def _apps_connections_open(self, args: dict[str, Any]) -> Answer:
        return {"url": f"ws://127.0.0.1:{self.port}/link?ticket=verysecret"}

    def _chat_postMessage(self, args: dict[str, Any]) -> Answer:
        return self._add(args, "posted")

    def _chat_postEphemeral(self, args: dict[str, Any]) -> Answer:
        return self._add(args, "ephemeral")

    def _chat_startStream(self, args: dict[str, Any]) -> Answer:
        if not args.get("thread_ts"):
            return {"error": "invalid_thread_ts"}
        if not (args.get("recipient_user_id") and args.get("recipient_team_id")):
            return {"error": "missing_recipient_user_id"}
        return self._add({**args, "text": args.get("markdown_text", "")}, "streaming")

    def _chat_appendStream(self, args: dict[str, Any]) -> Answer:
        message = self.messages[args["ts"]]
        if message.kind != "streaming":
            return {"error": "message_not_in_streaming_state"}
        if len(args.get("markdown_text") or "") > 12000:
            return {"error": "msg_too_long"}
        message.text += args.get("markdown_text") or ""
        return {"ts": message.ts}

    def _chat_stopStream(self, args: dict[str, Any]) -> Answer:
        answer = self._chat_appendStream(args)
        if isinstance(answer, dict) and "error" not in answer:
            self.messages[args["ts"]].kind = "stopped"
        return answer

    def _chat_update(self, args: dict[str, Any]) -> Answer:
        if len(args.get("text") or "") > 4000:
            return {"error": "msg_too_long"}
        message = self.messages[args["ts"]]
        message.text, message.blocks, message.kind = args.get("text") or "", _blocks(args), "posted"
        return {"ts": message.ts}

    def _files_info(self, args: dict[str, Any]) -> Answer:
        found = self.file_infos.get(args["file"])
        return {"file": found} if found else {"error": "file_not_found"}

    def _conversations_replies(self, args: dict[str, Any]) -> Answer:
        return {"messages": self.replies.get(args["ts"], [])}

    def _add(self, args: dict[str, Any], kind: str) -> Answer:
        if len(args.get("text") or "") > (40000 if kind == "posted" else 12000):
            return {"error": "msg_too_long"}
        ts = self.new_ts()
        self.messages[ts] = Message(
            ts, args["channel"], args.get("thread_ts"), args.get("text") or "", kind, _blocks(args), args.get("user")
        )
        return {"ts": ts, "channel": args["channel"]}

    async def _link(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        self.connections += 1
        await socket.send_str(json.dumps({"type": "hello", "num_connections": 1}))
        self._news.set()
        async for message in socket:
            if message.type == WSMsgType.TEXT:
                found = json.loads(message.data)
                self.acks[found["envelope_id"]] = found
                self._news.set()
        return socket

    async def _file(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        self.downloads.append((name, request.headers.get("Authorization")))
        answer = self.files[name](request)
        if isinstance(answer, bytes):
            return web.Response(body=answer)
        found: web.StreamResponse = await answer if asyncio.iscoroutine(answer) else answer
        return found

    def share(self, name: str, content: Any, **more: Any) -> dict[str, Any]:
        """A file as events describe it. content: its bytes, or a function of the request."""
        self.files[name] = content if callable(content) else lambda request: content
        kind = name.rpartition(".")[2]
        described = {"id": f"F{name}", "name": name, "mimetype": f"image/{kind}", "filetype": kind, "mode": "hosted"}
        return {**described, "url_private_download": f"{self.origin}/files/{name}", **more}


def _blocks(args: dict[str, Any]) -> list[dict[str, Any]]:
    blocks = args.get("blocks") or []
    found: list[dict[str, Any]] = json.loads(blocks) if isinstance(blocks, str) else blocks
    return found
