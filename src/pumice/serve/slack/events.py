"""From Slack's payloads to questions: who asked what, where; and which messages are nobody's question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pumice.serve.slack.mrkdwn import mentions, typed

# Of messages that have a subtype, only these are something a person has said. Pictures come as file_share.
_SPOKEN = {None, "file_share", "thread_broadcast"}
_SLACKBOT = "USLACKBOT"


@dataclass(frozen=True)
class Place:
    """A thread, which is a conversation. team: where the app is installed; thread: the ``ts`` of its first message."""

    team: str
    channel: str
    thread: str


@dataclass(frozen=True)
class Asked:
    """One message of a person. files: as Slack describes them; others: users it calls besides the bot."""

    place: Place
    user: str
    user_team: str
    ts: str
    text: str
    files: tuple[Mapping[str, Any], ...] = ()
    direct: bool = False
    called: bool = False
    others: bool = False

    @property
    def starts_thread(self) -> bool:
        """Whether it stands in the channel itself."""
        return self.place.thread == self.ts


@dataclass(frozen=True)
class Reaction:
    """A user's emoji on a message."""

    user: str
    emoji: str
    channel: str
    ts: str


def message_of(body: Mapping[str, Any], bot_user: str) -> Asked | None:
    """The message in an ``app_mention`` or ``message`` event; None for what bots, Slack or the bot itself wrote."""
    event: Mapping[str, Any] = body.get("event") or {}
    user, channel, ts = event.get("user"), event.get("channel"), event.get("ts")
    if event.get("subtype") not in _SPOKEN or event.get("bot_id") or event.get("bot_profile") or event.get("hidden"):
        return None
    if not (user and channel and ts) or user in (bot_user, _SLACKBOT):
        return None
    text = str(event.get("text") or "")
    team = str(body.get("team_id") or event.get("team") or "")
    called = mentions(text)
    return Asked(
        place=Place(team, str(channel), str(event.get("thread_ts") or ts)),
        user=str(user),
        user_team=str(event.get("user_team") or event.get("team") or team),
        ts=str(ts),
        text=typed(text, bot_user),
        files=tuple(each for each in event.get("files") or () if isinstance(each, Mapping)),
        direct=event.get("channel_type") == "im",
        called=event.get("type") == "app_mention" or bot_user in called,
        others=bool(called - {bot_user}),
    )


def earlier_files(messages: list[Mapping[str, Any]], before: str) -> tuple[Mapping[str, Any], ...]:
    """What people have shared in a thread before the message ``before``, oldest first."""
    return tuple(
        file
        for message in messages
        if not message.get("bot_id") and message.get("ts") != before
        for file in message.get("files") or ()
        if isinstance(file, Mapping)
    )


def reaction_of(body: Mapping[str, Any]) -> Reaction | None:
    """The reaction in a ``reaction_added`` event, if it stands on a message."""
    event: Mapping[str, Any] = body.get("event") or {}
    item: Mapping[str, Any] = event.get("item") or {}
    if item.get("type") != "message":
        return None
    values = (event.get("user"), event.get("reaction"), item.get("channel"), item.get("ts"))
    return Reaction(*map(str, values)) if all(values) else None
