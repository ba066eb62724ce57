"""What Slack says when it refuses, in the one word that it uses for it."""

from __future__ import annotations

from slack_sdk.errors import SlackClientError


def reason(error: SlackClientError) -> str:
    """Slack's own name for what is wrong, like ``missing_scope``; the kind of error where it gives none."""
    data = getattr(getattr(error, "response", None), "data", None)  # text, where an answer was no JSON
    found = data.get("error") if isinstance(data, dict) else None
    return str(found) if found else type(error).__name__
