"""The running bot: Bolt in socket mode around ``bot.Bot``, from the first look at the tokens to the last word."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.errors import SlackClientError
from slack_sdk.http_retry.builtin_async_handlers import (
    AsyncConnectionErrorRetryHandler,
    AsyncRateLimitErrorRetryHandler,
)
from slack_sdk.web.async_client import AsyncWebClient

from pumice.errors import AuthError, ServerError
from pumice.remote import Remote
from pumice.serve.guard.logs import redacted, setup_logging
from pumice.serve.guard.parent import end_with_parent
from pumice.serve.slack.bot import Bot, complain
from pumice.serve.slack.downloads import DownloadPolicy, Downloads
from pumice.serve.slack.events import message_of, reaction_of
from pumice.serve.slack.logs import libraries_logger
from pumice.serve.slack.memory import Memory
from pumice.serve.slack.refusals import reason
from pumice.serve.slack.reply import STOP_ACTION
from pumice.serve.slack.rules import Rules

_SLACK = "https://slack.com/api/"
_REFUSED_TOKENS = {
    "invalid_auth",
    "not_authed",
    "account_inactive",
    "token_revoked",
    "token_expired",
    "not_allowed_token_type",
    "missing_scope",
    "no_permission",
    "team_access_not_granted",
}
_NEEDED = ("app_mentions:read", "chat:write", "files:read", "im:history", "reactions:read", "reactions:write")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Connections:
    """Where the bot talks to. slack: another Web API than Slack's own, for tests; its host then counts as Slack."""

    bot_token: str = field(repr=False)
    app_token: str = field(repr=False)
    api: str
    api_key: str | None = field(default=None, repr=False)
    slack: str | None = None


@dataclass(frozen=True)
class Identity:
    """Who the bot is, as Slack says."""

    user: str
    bot: str
    team: str
    name: str
    scopes: frozenset[str]


async def run(connections: Connections, folder: Path, rules: Rules, on_ready: Callable[[str], None]) -> None:
    """Serves until the process is told to end (SIGTERM, Ctrl-C), or the server that started it is gone.

    Logs to stderr. Raises as ``serve``.
    """
    secrets = (connections.bot_token, connections.app_token, connections.api_key or "")
    setup_logging("slack", secrets=secrets)
    async with _ending() as ended:
        await serve(connections, folder, rules, on_ready, ended)


async def serve(
    connections: Connections,
    folder: Path,
    rules: Rules,
    on_ready: Callable[[str], None],
    ended: asyncio.Event,
) -> None:
    """Serves until ``ended``; then answers in progress are finished first.

    on_ready: told once, in words, when events come in. Raises AuthError if Slack refuses a token, ServerError if it
    cannot be reached, UsageError if the folder cannot be used.
    """
    logger = libraries_logger()
    async with AsyncExitStack() as stack:
        client = _client(connections, logger)
        client.session = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)))
        me = await _identity(client)
        files = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
        memory = await Memory.open(folder, keep_s=rules.keep_s)
        stack.push_async_callback(memory.close)
        server = Remote(connections.api, key=connections.api_key)
        stack.push_async_callback(server.close)
        downloads = Downloads(client, files, DownloadPolicy(trusted=_origin(connections.slack)))
        bot = Bot(client, server, memory, downloads, rules)
        app = _app(client, bot, me, logger)
        handler: Any = AsyncSocketModeHandler(app, connections.app_token, logger=logger, web_client=client)
        stack.push_async_callback(handler.close_async)
        await _connect(handler)
        for work in (bot.housekeeping(), bot.begin(), _first_look(server, me)):
            task = asyncio.create_task(work)
            task.add_done_callback(complain)
            stack.callback(task.cancel)
        on_ready(f"@{me.name} in {me.team}, answers from {connections.api}")
        await ended.wait()
        log.info("ending: no new questions, at most %g s for answers in progress", rules.drain_s)
        await handler.close_async()
        await bot.drain(rules.drain_s)


def _client(connections: Connections, logger: logging.Logger) -> AsyncWebClient:
    retries = [AsyncConnectionErrorRetryHandler(), AsyncRateLimitErrorRetryHandler(max_retry_count=3)]
    return AsyncWebClient(
        connections.bot_token, base_url=connections.slack or _SLACK, retry_handlers=retries, logger=logger
    )


def _origin(url: str | None) -> str | None:
    if url is None:
        return None
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


async def _identity(client: AsyncWebClient) -> Identity:
    """Raises AuthError if the token is refused, ServerError if Slack cannot be asked."""
    with _as_ours(
        "the bot token (SLACK_BOT_TOKEN)", "copy it from the app's page OAuth & Permissions; it starts with xoxb-"
    ):
        found = await client.auth_test()
    scopes = frozenset(str(found.headers.get("x-oauth-scopes", "")).replace(" ", "").split(",")) - {""}
    return Identity(
        user=str(found["user_id"]),
        bot=str(found.get("bot_id", "")),
        team=str(found.get("team", "")),
        name=str(found.get("user", "")),
        scopes=scopes,
    )


async def _connect(handler: Any) -> None:
    """Opens the socket; the library would try for ever with a token that is refused, so it is tried here first."""
    hint = "make an app-level token with the scope connections:write under Basic Information; it starts with xapp-"
    client = handler.client
    with _as_ours("the app token (SLACK_APP_TOKEN)", hint):
        client.wss_uri = await client.issue_new_wss_url()
    await handler.connect_async()


@contextmanager
def _as_ours(what: str, hint: str) -> Iterator[None]:
    """Errors of Slack's library as ours. what: the token in question."""
    try:
        yield
    except SlackClientError as error:
        if reason(error) in _REFUSED_TOKENS:
            raise AuthError(f"Slack refuses {what}: {reason(error)}", hint=hint) from None
        raise ServerError(f"Slack refuses to connect: {reason(error)}", hint="try again in a minute") from None
    except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
        words = redacted(str(error) or type(error).__name__)
        raise ServerError(f"Slack cannot be reached: {words}", hint="check the network") from None


async def _first_look(server: Remote, me: Identity) -> None:
    """Says in the log what will not work, before a user finds out."""
    missing = [each for each in _NEEDED if each not in me.scopes] if me.scopes else []
    if missing:
        log.warning("the app lacks scopes: %s; add them and install it to the workspace again", ", ".join(missing))
    if not await server.ready():
        log.warning("there is no model at %s yet; questions get an error until there is", server.url)


def _app(client: AsyncWebClient, bot: Bot, me: Identity, logger: logging.Logger) -> AsyncApp:
    async def authorize() -> AuthorizeResult:
        return AuthorizeResult(
            enterprise_id=None, team_id=None, bot_id=me.bot, bot_user_id=me.user, bot_token=client.token
        )

    # Authorised by what was learned at the start; so settings for other apps in the environment play no part.
    # The name becomes that of a logger, which Bolt makes as quiet as its own.
    app = AsyncApp(client=_tokenless(client), authorize=authorize, logger=logger, name=f"{logger.name}.vision")

    async def message(body: dict[str, Any]) -> None:
        asked = message_of(body, me.user)
        if asked is not None:
            kind = str(body["event"]["type"])
            bot.spawn(bot.heard(asked, str(body.get("event_id") or ""), kind))

    async def reacted(body: dict[str, Any]) -> None:
        reaction = reaction_of(body)
        if reaction is not None:
            bot.spawn(bot.reacted(reaction))

    async def pressed(ack: Callable[[], Awaitable[Any]], body: dict[str, Any]) -> None:
        await ack()
        place = body.get("container") or {}
        user = str((body.get("user") or {}).get("id"))
        bot.spawn(bot.pressed(str(place.get("channel_id")), str(place.get("message_ts")), user))

    async def commanded(ack: Callable[[str], Awaitable[Any]], command: dict[str, Any]) -> None:
        team, channel, user = (str(command.get(name)) for name in ("team_id", "channel_id", "user_id"))
        await ack(await bot.commanded(team, channel, user, str(command.get("text") or "")))

    app.event("app_mention")(message)
    app.event("message")(message)
    app.event("reaction_added")(reacted)
    app.action(STOP_ACTION)(pressed)
    app.command("/vision")(commanded)
    return app


def _tokenless(client: AsyncWebClient) -> AsyncWebClient:
    """What Bolt makes its own clients from; the token comes with each authorisation."""
    return AsyncWebClient(None, base_url=client.base_url, logger=client.logger)


@asynccontextmanager
async def _ending() -> AsyncIterator[asyncio.Event]:
    """An event that is set by SIGTERM, Ctrl-C and the end of a supervisor; a second Ctrl-C interrupts as usual."""
    ended, loop = asyncio.Event(), asyncio.get_running_loop()

    def end(number: int, frame: FrameType | None = None) -> None:
        if ended.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        loop.call_soon_threadsafe(ended.set)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    end_with_parent(lambda: loop.call_soon_threadsafe(ended.set))
    try:
        yield ended
    finally:
        for number, handler in before.items():
            with suppress(TypeError):  # a handler that Python has not set cannot be set again
                signal.signal(number, handler)
