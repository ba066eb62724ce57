"""Earlier conversations, which are kept in the visitor's browser and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pumice.serve.web.conversation import Conversation, as_json, from_json

_VERSION = 1
_MOST = 50
_MOST_CHARACTERS = 1_000_000  # browsers keep about five million for a site, encrypted


@dataclass(frozen=True)
class History:
    """Conversations, the latest first. current: the one that is open."""

    conversations: tuple[Conversation, ...] = ()
    current: str = ""

    def find(self, wanted: str) -> Conversation | None:
        return next((each for each in self.conversations if each.id == wanted), None)

    def with_saved(self, conversation: Conversation) -> History:
        """With this one on top and open, in its present state; one in which nothing was said is not kept."""
        others = tuple(each for each in self.conversations if each.id != conversation.id)
        kept = (conversation, *others) if conversation.exchanges else others
        return History(_within_bounds(kept), conversation.id)

    def opened(self, wanted: str) -> History:
        return History(self.conversations, wanted)

    def without(self, unwanted: str) -> History:
        kept = tuple(each for each in self.conversations if each.id != unwanted)
        return History(kept, "" if self.current == unwanted else self.current)

    @property
    def titles(self) -> list[tuple[str, str]]:
        """Title and id of each."""
        return [(each.title or "Picture", each.id) for each in self.conversations]


def _within_bounds(conversations: Sequence[Conversation]) -> tuple[Conversation, ...]:
    kept: list[Conversation] = []
    room = _MOST_CHARACTERS
    for each in conversations[:_MOST]:
        room -= len(json.dumps(as_json(each)))
        if room < 0 and kept:
            break
        kept.append(each)
    return tuple(kept)


def history_as_json(history: History) -> dict[str, Any]:
    """For the browser's memory."""
    return {
        "version": _VERSION,
        "current": history.current,
        "conversations": [as_json(each) for each in history.conversations],
    }


def history_from_json(found: Any) -> History:
    """What the browser remembers; what is not understood is left out."""
    if not isinstance(found, dict) or found.get("version") != _VERSION:
        return History()
    listed, current = found.get("conversations"), found.get("current")
    conversations = [from_json(each) for each in listed[:_MOST]] if isinstance(listed, list) else []
    return History(tuple(each for each in conversations if each), current if isinstance(current, str) else "")
