"""``pumice slack``: the bot for a Slack workspace, a client of the API like any other."""

from __future__ import annotations

import os
import re
import sys
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from typer import Option

from pumice.cli.serving import DrainS
from pumice.cli.settings import Debug
from pumice.errors import AuthError, PumiceError, UsageError
from pumice.remote import base_url

if TYPE_CHECKING:
    from pumice.serve.slack.rules import Rules

# Another Web API in place of Slack's, on this machine: for tests.
_FAKE = "PUMICE_SLACK_URL"
_CHANNEL = re.compile(r"[CG][A-Z0-9]{2,}")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def slack(
    api: Annotated[str, Option("--api", metavar="URL", help="The server that answers.")] = "http://127.0.0.1:8000/v1",
    api_key: Annotated[
        str | None,
        Option("--api-key", metavar="KEY", help="Its key; better in PUMICE_API_KEY, which no list of processes shows."),
    ] = None,
    model: Annotated[
        str | None,
        Option("--model", "-m", metavar="NAME", help="The server's name for it. Default: its first that sees."),
    ] = None,
    channels: Annotated[
        list[str] | None,
        Option("--channels", metavar="ID", help="Answer in this channel only (C0123ABCD), and directly. Repeatable."),
    ] = None,
    data: Annotated[
        Path | None, Option("--data", metavar="FOLDER", help="Where conversations are kept. Default: the user's own.")
    ] = None,
    per_user: Annotated[int, Option("--per-user", min=1, help="Questions a minute of one user.")] = 10,
    per_channel: Annotated[int, Option("--per-channel", min=1, help="Questions a minute in one channel.")] = 30,
    keep_days: Annotated[
        float, Option("--keep-days", min=0.01, help="Forget a conversation so long after its last message.")
    ] = 7,
    drain: DrainS = 30,
    manifest: Annotated[bool, Option("--manifest", help="Print the app's manifest for Slack, and end.")] = False,
    debug: Debug = False,
) -> None:
    """Answer questions about pictures in a Slack workspace.

    Tokens come from SLACK_BOT_TOKEN (xoxb-...) and SLACK_APP_TOKEN (xapp-...). Needs no public address: the bot
    connects to Slack. docs/slack.md says how to set it up, and what is stored.

    \b
    pumice slack --manifest > manifest.yaml      # what to paste into Slack
    pumice slack --api http://127.0.0.1:8000/v1
    """
    if manifest:
        print(files("pumice.serve.slack").joinpath("manifest.yaml").read_text(encoding="utf-8"), end="")
        return
    tokens = require_tokens()
    rules = _rules(model, channels, (per_user, per_channel), keep_days, drain)
    where = base_url(api, "--api")
    try:
        import asyncio

        from pumice.serve.slack.app import Connections, run
    except ImportError as error:
        raise PumiceError(
            f"the Slack bot needs libraries that are not installed ({error.name})", hint="pip install 'pumice[slack]'"
        ) from None
    key = api_key or os.environ.get("PUMICE_API_KEY")
    connections = Connections(*tokens, api=where, api_key=key, slack=_fake_slack())
    asyncio.run(run(connections, data or _own_folder(), rules, _ready))


def _ready(words: str) -> None:
    print(f"pumice slack: {words}", file=sys.stderr, flush=True)


def require_tokens() -> tuple[str, str]:
    """The bot's and the app's. Raises AuthError if one is missing, or something else."""
    return _token("SLACK_BOT_TOKEN", "xoxb-"), _token("SLACK_APP_TOKEN", "xapp-")


def _token(variable: str, start: str) -> str:
    """Raises AuthError if the variable is empty or holds something else."""
    found = os.environ.get(variable, "").strip()
    if not found:
        raise AuthError(f"{variable} is not set, expected a token that starts with {start}", hint="see docs/slack.md")
    if not found.startswith(start):
        hint = "are the two tokens the wrong way round?" if found.startswith("x") else "see docs/slack.md"
        raise AuthError(f"{variable} does not hold a token that starts with {start}", hint=hint)
    return found


def _rules(
    model: str | None, channels: list[str] | None, often: tuple[int, int], keep_days: float, drain: float
) -> Rules:
    from pumice.serve.slack.rules import Rules

    ids = [each for text in channels or () for each in text.replace(",", " ").split()]
    for each in ids:
        if not _CHANNEL.fullmatch(each):
            hint = "the id stands at the end of the channel's details in Slack, or of its link"
            raise UsageError(f"--channels: expected a channel's id like C0123ABCD, found {each!r}", hint=hint)
    return Rules(
        model=model,
        channels=frozenset(ids) if channels is not None else None,
        per_user=often[0],
        per_channel=often[1],
        keep_s=keep_days * 86400,
        drain_s=drain,
    )


def _own_folder() -> Path:
    from pumice.serve.guard.secret_files import data_folder

    return data_folder() / "slack"


def _fake_slack() -> str | None:
    """Raises UsageError for an address elsewhere: tokens must not go there."""
    url = os.environ.get(_FAKE)
    if url and urlsplit(url).hostname not in _LOOPBACK:
        raise UsageError(f"{_FAKE} is for tests on this machine, found {url!r}", hint=f"unset {_FAKE}")
    return url or None
