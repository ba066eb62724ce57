"""What Slack says when it refuses, in the one word that it uses for it."""

from __future__ import annotations

from slack_sdk.errors import SlackClientError


def reason(error: SlackClientError) -> str:
    """Slack's own name for what is wrong, like ``missing_scope``; the kind of error where it gives none."""
    answer = getattr(error, "response", None)
    get = getattr(answer, "get", None)  # a page that is no JSON comes as a response of the HTTP library's
    found = get("error") if get is not None else None
    return str(found) if found else type(error).__name__
