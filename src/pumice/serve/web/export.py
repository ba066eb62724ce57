"""A conversation as a file to take away: Markdown to read, JSON to work with."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

from pumice.errors import ImageError
from pumice.remote import data_uri
from pumice.serve.web.conversation import Conversation, as_json
from pumice.serve.web.safe import neutralised


def as_markdown(conversation: Conversation, read: Callable[[str], bytes]) -> str:
    """Questions, pictures (inside the file) and answers. Nothing in it loads anything when it is opened."""
    parts = [f"# {conversation.title or 'Conversation'}"]
    for each in conversation.exchanges:
        parts.append("## Question")
        parts += [_picture(name, read) for name in each.pictures]
        parts.append(neutralised(each.question))
        parts.append(f"## Answer{f' of {each.model}' if each.model else ''}")
        parts.append(neutralised(each.answer))
        if each.note:
            parts.append(f"*{neutralised(each.note)}*")
    return "\n\n".join(part for part in parts if part) + "\n"


def as_json_text(conversation: Conversation, read: Callable[[str], bytes]) -> str:
    """Everything that is known of it, with each picture's bytes in base64 under its name."""
    pictures = {}
    for name in dict.fromkeys(conversation.pictures):
        try:
            pictures[name] = base64.b64encode(read(name)).decode("ascii")
        except ImageError:
            pictures[name] = ""
    return json.dumps({**as_json(conversation), "files": pictures}, ensure_ascii=False, indent=1) + "\n"


def _picture(name: str, read: Callable[[str], bytes]) -> str:
    try:
        return f"![picture {Path(name).stem[:8]}]({data_uri(read(name))})"
    except ImageError as error:
        return f"*{error}*"
