"""Text from a model, or from anyone, made harmless for a page that renders Markdown.

An invisible character is put where HTML, an image, a reference or a dangerous link would begin, outside of code, so
that nothing of the kind begins. The words stay readable, code can be copied as it is, and ``restored`` takes it all
back. The page's content security policy refuses the same things once more.
"""

from __future__ import annotations

import html
import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

JOINER = "\N{WORD JOINER}"

_TAG = re.compile(r"<(?=[a-z/!?])", re.IGNORECASE)
_IMAGE = re.compile(r"!(?=\[)")
_REFERENCE = re.compile(r"\](?=:)")
_LINK = re.compile(r"\](?=\((?!\s*(?:https?://|mailto:)))", re.IGNORECASE)
_CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
# Fences whose content the page would draw instead of show.
_DRAWN = re.compile(r"^(\s*(?:[>*+-]\s*)*(?:`{3,}|~{3,})\s*)(?=mermaid)", re.IGNORECASE)


def neutralised(text: str) -> str:
    """Markdown in which nothing is HTML, loads anything, or links anywhere but to http, https and mail addresses."""
    lines = text.replace(JOINER, "").split("\n")
    shown: list[str] = []
    for is_code, start, end in _regions(lines):
        if is_code:
            shown.append(_DRAWN.sub(rf"\1{JOINER}", lines[start], count=1))
            shown.extend(lines[start + 1 : end])
        else:
            shown.extend(_words("\n".join(lines[start:end])).split("\n"))
    return "\n".join(shown)


def restored(text: str) -> str:
    """What ``neutralised`` was given, if it had no word joiner of its own."""
    return text.replace(JOINER, "")


def toast(message: str, hint: str | None = None, request_id: str | None = None) -> str:
    """An error for a corner of the page, which renders HTML: the cause, what to do, and the number of the request."""
    lines = [message, hint, f"request {request_id}" if request_id else None]
    return "<br>".join(html.escape(restored(line)) for line in lines if line)


def _regions(lines: list[str]) -> list[tuple[bool, int, int]]:
    """Blocks of code and what is between them, as (is it code, first line, line after the last)."""
    found: list[tuple[bool, int, int]] = []
    done = 0
    for token in _parser().parse("\n".join(lines)):
        if token.type not in ("fence", "code_block") or token.map is None or token.map[0] < done:
            continue
        start, end = token.map
        if start > done:
            found.append((False, done, start))
        found.append((True, start, end))
        done = end
    if done < len(lines):
        found.append((False, done, len(lines)))
    return found


def _words(text: str) -> str:
    """Outside of blocks of code: what stands in backticks stays as it is."""
    pieces: list[str] = []
    done = 0
    for span in _CODE_SPAN.finditer(text):
        if "\n\n" in span.group():  # backticks of two paragraphs are no pair
            continue
        pieces += [_harmless(text[done : span.start()]), span.group()]
        done = span.end()
    return "".join([*pieces, _harmless(text[done:])])


def _harmless(text: str) -> str:
    text = _TAG.sub(f"<{JOINER}", text)
    text = _IMAGE.sub(f"!{JOINER}", text)
    text = _REFERENCE.sub(f"]{JOINER}", text)
    return _LINK.sub(f"]{JOINER}", text)


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).disable("inline")
