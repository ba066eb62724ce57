"""What the bot says on its own behalf."""

from __future__ import annotations

from pumice.errors import PumiceError
from pumice.serve.slack.mrkdwn import escaped

STOPPED = "stopped"
RESTARTING = "I am being restarted; ask again to hear the rest"
RESTARTED = "_I was restarted while I answered. Please ask again._"
ASK_AWAY = "What would you like to know about it?"
ASK_AWAY_MANY = "What would you like to know about them?"
FORGOTTEN = "This conversation is forgotten."
NOTHING_TO_FORGET = "There was nothing to forget."
NOT_YOURS = "Only the person who asked can stop an answer."
NOT_HERE = "I do not answer in this channel. Write to me directly, or ask whoever runs me to allow it."
SHORTENED = "This thread has grown too long for me: I kept the pictures and your last question"
LEFT_OUT = "Of the pictures in this thread I looked at the last ones only"
STATUS = "is looking at it…"

HELP = """\
*I answer questions about pictures.*
• Mention me with one or more pictures and a question, or write to me directly.
• A thread is a conversation: in it I remember pictures and questions, and need not be mentioned again.
• Share a picture first and ask later, if you like.
• *stop*, the :octagonal_sign: reaction or the Stop button ends an answer.
• *reset* in a thread makes me forget it; `/vision reset` all conversations that you started in this channel.
A model can be wrong, and text in a picture can mislead it. What I keep, and for how long, whoever runs me can tell."""


def explained(error: PumiceError) -> str:
    """An error in two lines of Slack's marks: what is wrong and what to do, with the server's number of the request."""
    lines = [f":warning: {escaped(_sentence(str(error)))}"]
    if error.hint:
        lines.append(escaped(_sentence(error.hint)))
    if error.request_id:
        lines.append(f"Request `{escaped(error.request_id).replace('`', '')}`")
    return "\n".join(lines)


def broken_off(error: PumiceError) -> str:
    """The same for the end of an answer that had begun, in one line."""
    number = f" (request {error.request_id})" if error.request_id else ""
    return f"The answer broke off: {error}{number}"


def unexpected(number: str) -> str:
    """For what is a bug of ours; ``number`` is in the log."""
    return f":warning: Something went wrong inside me. Ask again; if it stays so, tell whoever runs me: `{number}`"


def too_many(seconds: float) -> str:
    """For those who ask too often."""
    return f"That is more than I can answer at once. Please ask again in {max(1, round(seconds))} s."


def ended_early(reason: str) -> str | None:
    """A note on an answer that did not end by itself."""
    return "I stopped at the most words I may use; ask me to go on" if reason == "length" else None


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?", ")")) else ".")
