"""Slack's text and everybody else's: what a user typed, and how a model's Markdown is shown without doing harm.

A model repeats what it reads, and a picture may hold a text that asks for ``<!channel>``. So nothing in an answer may
mention anybody, and no address may be fetched by Slack because a model wrote it.
"""

from __future__ import annotations

import html
import re

_JOINER = "\N{WORD JOINER}"  # has no width and keeps two characters from being read as one mark
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]")  # also those that turn the writing round
_CODE = re.compile(r"(```.*?(?:```|\Z)|`[^`\n]+`)", re.DOTALL)
_FENCE_LANGUAGE = re.compile(r"\A```[\w+#.-]*\n")

_IMAGE = re.compile(r"!(\[[^\]\n]*\]\()")
_LINK = re.compile(r"\[([^\]\n]+)\]\((https?://[^\s()|<>]+)\)")
_HEADING = re.compile(r"^ {0,3}#{1,6} +(.+?)[ #]*$", re.MULTILINE)
_BULLET = re.compile(r"^( *)[*+-] +", re.MULTILINE)
_BOLD = re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1")
_ITALIC = re.compile(r"(?<![\w*])\*(?=[^\s*])([^*\n]+?)(?<=\S)\*(?![\w*])")
_STRUCK = re.compile(r"~~(?=\S)(.+?)(?<=\S)~~")
_STAR = "\x01"  # a star that is final; no control character comes this far otherwise

# What Slack would read as more than words, and everything that may still become it.
_LIVE = ("<!", "<@", "<#", "<http:", "<https:", "<mailto:", "@channel", "@here", "@everyone", "://")
_INERT = re.compile("|".join(f"{each[0]}(?={each[1:]})" for each in _LIVE))
_BEGUN = re.compile("(?:" + "|".join({each[:end] for each in _LIVE for end in range(1, len(each))}) + r")\Z")

_SLACK_LINK = re.compile(r"<(?:(https?:[^|>]*)|(?:mailto|tel):([^|>]*))(?:\|[^>]*)?>")
_SLACK_MARK = re.compile(r"<([@#!])([^|>]*)(?:\|([^>]*))?>")


def typed(text: str, bot_user: str) -> str:
    """What a user typed, from the ``text`` of an event: without calls of the bot, links and names as plain words."""
    text = text.replace(f"<@{bot_user}>", " ")
    text = _SLACK_LINK.sub(lambda found: found[1] or found[2], text)
    text = _SLACK_MARK.sub(lambda found: ("#" if found[1] == "#" else "@") + (found[3] or found[2]), text)
    return html.unescape(text).strip()


def mentions(text: str) -> set[str]:
    """The users whom the ``text`` of an event calls."""
    return set(re.findall(r"<@([A-Z0-9]+)(?:\|[^>]*)?>", text))


def escaped(text: str) -> str:
    """Words as they are: nothing in them is a mark of Slack's."""
    return html.escape(_CONTROL.sub("", text), quote=False)


def mrkdwn(markdown: str) -> str:
    """A model's Markdown in Slack's own marks, for messages that are posted with unfurling switched off."""
    pieces = _CODE.split(_CONTROL.sub("", markdown))
    return "".join(_code(piece) if index % 2 else _prose(piece) for index, piece in enumerate(pieces))


def _code(piece: str) -> str:
    return escaped(_FENCE_LANGUAGE.sub("```\n", piece))


def _prose(piece: str) -> str:
    text = _IMAGE.sub(r"\1", escaped(piece))
    text = _BULLET.sub(r"\1• ", text)
    text = _BOLD.sub(rf"{_STAR}\2{_STAR}", text)
    text = _HEADING.sub(lambda found: f"{_STAR}{found[1].replace(_STAR, '')}{_STAR}", text)
    text = _ITALIC.sub(r"_\1_", text)
    text = _STRUCK.sub(r"~\1~", text)
    return _LINK.sub(r"<\2|\1>", text).replace(_STAR, "*")


def harmless(markdown: str) -> str:
    """A model's Markdown for ``markdown_text``, which Slack reads by itself: mentions and addresses made inert."""
    return _INERT.sub(lambda found: found[0] + _JOINER, _CONTROL.sub("", markdown))


def settled(markdown: str) -> int:
    """How many characters of an answer in progress ``harmless`` will treat the same, whatever follows."""
    upto = len(markdown)
    while found := _BEGUN.search(markdown, max(0, upto - max(map(len, _LIVE))), upto):
        upto = found.start()
    return upto


def boundary(text: str, low: int, high: int) -> int:
    """Where to end a page, in (low, high]: after a paragraph, else a line, a sentence, a word, else anywhere."""
    for mark in ("\n\n", "\n", ". ", " "):
        at = text.rfind(mark, low, high - len(mark) + 1)
        if at > low:
            return at + len(mark)
    return high


def closed_page(page: str) -> str:
    """A page that was cut off, with its code block ended. Begins with ``page``, but for white space at the end."""
    if page.count("```") % 2 == 0:
        return page.rstrip()
    return page + ("```" if page.endswith("\n") else "\n```")


def reopening(page: str) -> str:
    """What the page after ``page`` starts with."""
    return "```\n" if page.count("```") % 2 else ""
