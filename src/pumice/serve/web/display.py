"""Conversations as Gradio's components show them."""

from __future__ import annotations

import html
import re
from typing import Any

import gradio as gr

from pumice.serve.web.conversation import Conversation, Exchange, Vote
from pumice.serve.web.pictures import PictureStore
from pumice.serve.web.safe import neutralised

PLACEHOLDER = "Ask, and add pictures"
VOTES: dict[str | bool, Vote] = {
    True: "upvote",
    False: "downvote",
    "Like": "upvote",
    "Dislike": "downvote",
    "Flag": "flag",
}
FEEDBACK = ("Like", "Dislike", "Flag")
_FEEDBACK_OF: dict[Vote | None, str | None] = {None: None, "upvote": "Like", "downvote": "Dislike", "flag": "Flag"}
_SILENT = "The model ended without a word."
_GONE = "[picture no longer kept on the server]"


def shown(conversation: Conversation, store: PictureStore) -> list[dict[str, Any]]:
    """Two messages for each exchange; one while nothing of its answer is there yet."""
    told: list[dict[str, Any]] = []
    for each in conversation.exchanges:
        told.append({"role": "user", "content": _question(each, store)})
        if each.answer or each.ending != "waiting":
            told.append({"role": "assistant", "content": _answer(each)})
    return told


def chat_update(conversation: Conversation, store: PictureStore) -> dict[str, Any]:
    """The whole chat, votes included."""
    votes = [_FEEDBACK_OF[each.vote] for each in conversation.exchanges]
    return gr.update(value=shown(conversation, store), feedback_value=votes)


def box_update(text: str = "", files: list[str] | None = None, *, running: bool = False) -> dict[str, Any]:
    """The field to type into, with these words and files; while an answer is being written it offers to stop."""
    return gr.update(
        value={"text": text, "files": files or []}, submit_btn=not running, stop_btn="Stop" if running else False
    )


def buttons_update(running: bool) -> dict[str, Any]:
    """The field's buttons alone: what was typed meanwhile stays."""
    return gr.update(submit_btn=not running, stop_btn="Stop" if running else False)


def paths(names: tuple[str, ...], store: PictureStore) -> list[str]:
    """Where the pictures are that are still kept."""
    return [str(path) for path in map(store.path, names) if path is not None]


def exchange_at(conversation: Conversation, index: Any) -> int | None:
    """Which exchange a message of the chat belongs to, by the index in Gradio's event; None if there is none such."""
    number = index[0] if isinstance(index, list | tuple) and index else index
    if not isinstance(number, int) or not 0 <= number < 2 * len(conversation.exchanges):
        return None
    return number // 2


def _question(exchange: Exchange, store: PictureStore) -> list[Any]:
    content: list[Any] = []
    for number, name in enumerate(exchange.pictures, 1):
        path = store.path(name)
        content.append({"path": str(path), "alt_text": f"picture {number}"} if path else _GONE)
    if exchange.question or not content:
        content.append(neutralised(exchange.question))
    return content


def _answer(exchange: Exchange) -> list[str]:
    content = [neutralised(exchange.answer)] if exchange.answer else []
    if exchange.note or not content:
        kind = "trouble" if exchange.ending == "failed" else "note"
        words = html.escape(" ".join((exchange.note or _SILENT).split()))
        content.append(f'<small class="{kind}">{_unmarked(words)}</small>')
    return content


def _unmarked(words: str) -> str:
    """Words in which Markdown finds nothing."""
    return re.sub(r"[^\w\s&;#.,:-]", lambda found: f"&#{ord(found.group())};", words).replace("_", "&#95;")
