"""Reports: one HTML file each that opens anywhere, offline, in light and dark, and runs no script.

    page("Evaluation", [heading("Scores"), table(["task", "score"], [["pope", "85.9"]], numeric={1})])

What is a plain ``str`` is text and gets escaped; only these functions make ``Html``. A formatted or joined ``Html`` is
a plain ``str`` again, so what somebody wrote into a data set can never become markup by accident.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from pumice.errors import ImageError

_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1d232a; --soft: #5b6672; --line: #d9dee4; --tint: #f4f6f8;
  --accent: #0b62a8 }
@media (prefers-color-scheme: dark) { :root { --paper: #15191e; --ink: #e4e8ec; --soft: #9aa5b1; --line: #333b44;
  --tint: #1d2329; --accent: #6fb7ee } }
* { box-sizing: border-box }
body { font: 15px/1.55 system-ui, sans-serif; margin: 0 auto; max-width: 78rem; padding: 2rem 1.25rem 4rem;
  background: var(--paper); color: var(--ink) }
h1 { font-size: 1.8rem; line-height: 1.2; margin: 0 0 .75rem }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line) }
h3 { font-size: 1.05rem; margin: 1.75rem 0 .5rem }
p { margin: .5rem 0; max-width: 62rem }
a { color: var(--accent) }
.scroll { overflow-x: auto; margin: .75rem 0 }
table { border-collapse: collapse }
th, td { padding: .35rem .65rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line) }
thead th { color: var(--soft); font-weight: 600; white-space: nowrap }
tbody tr:hover { background: var(--tint) }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
img { max-width: 100%; height: auto; vertical-align: top }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; font: inherit }
details { margin: .75rem 0; border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .9rem }
summary { cursor: pointer; font-weight: 600 }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); gap: 1rem }
.card { border: 1px solid var(--line); border-radius: .5rem; padding: .8rem; overflow-wrap: anywhere }
.card img { border-radius: .3rem; margin-bottom: .5rem }
dl { margin: 0 } dt { color: var(--soft); font-size: .82rem; margin-top: .35rem } dd { margin: 0 }
@media print { body { max-width: none } details { border: 0 } }
"""
_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
"""
_KINDS = ((b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpeg"), (b"<svg", "svg+xml"), (b"<?xml", "svg+xml"))


class Html(str):
    """Markup that one of this module's functions has made."""

    __slots__ = ()


def escaped(text: str) -> Html:
    """The text as text; what is ``Html`` already stays as it is."""
    return text if isinstance(text, Html) else Html(html.escape(text))


def heading(text: str, level: int = 2) -> Html:
    """A heading; the page's own title is level 1."""
    return Html(f"<h{level}>{escaped(text)}</h{level}>\n")


def paragraph(text: str) -> Html:
    """A paragraph, line breaks kept."""
    return Html(f"<p>{escaped(text).replace(chr(10), '<br>')}</p>\n")


def preformatted(text: str) -> Html:
    """Text whose spaces and lines matter: an answer, a prompt, a command."""
    return Html(f"<pre>{escaped(text)}</pre>\n")


def table(header: Sequence[str], rows: Iterable[Sequence[str]], numeric: AbstractSet[int] = frozenset()) -> Html:
    """A table; ``numeric`` are the columns of numbers, aligned to the right. It scrolls by itself where it is wide."""
    head = "".join(f"<th{_number(at, numeric)}>{escaped(cell)}</th>" for at, cell in enumerate(header))
    body = "".join(
        f"<tr>{''.join(f'<td{_number(at, numeric)}>{escaped(cell)}</td>' for at, cell in enumerate(row))}</tr>\n"
        for row in rows
    )
    return Html(f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table></div>\n')


def facts(pairs: Iterable[tuple[str, str]]) -> Html:
    """Names and what belongs to each, as a list."""
    return Html(f"<dl>{''.join(f'<dt>{escaped(name)}</dt><dd>{escaped(what)}</dd>' for name, what in pairs)}</dl>\n")


def picture(data: bytes, alt: str, width: int | None = None, *, dark: bytes | None = None) -> Html:
    """A PNG, JPEG or SVG inside the page. ``width``: CSS pixels. ``dark``: what readers of a dark page see instead.

    Raises:
        ImageError: the bytes are none of the three.
    """
    size = "" if width is None else f' width="{width}"'
    shown = f'<img src="{_uri(data)}" alt="{escaped(alt)}"{size}>'
    if dark is None:
        return Html(shown)
    return Html(f'<picture><source media="(prefers-color-scheme: dark)" srcset="{_uri(dark)}">{shown}</picture>')


def details(summary: str, body: str) -> Html:
    """Something that opens when its summary is clicked."""
    return Html(f"<details><summary>{escaped(summary)}</summary>\n{escaped(body)}</details>\n")


def cards(each: Iterable[Sequence[str]]) -> Html:
    """Boxes side by side, as many as fit; each is put together from parts."""
    boxes = "".join(f'<div class="card">{"".join(escaped(part) for part in parts)}</div>\n' for parts in each)
    return Html(f'<div class="cards">\n{boxes}</div>\n')


def page(title: str, body: Sequence[str]) -> str:
    """The whole file. Nothing in it loads anything, and its own policy forbids it to."""
    inside = "".join(escaped(part) for part in body)
    name = escaped(title)
    return (
        f"{_HEAD}<title>{name}</title>\n<style>{_STYLE}</style></head>\n<body><h1>{name}</h1>\n{inside}</body></html>\n"
    )


def _number(column: int, numeric: AbstractSet[int]) -> str:
    return ' class="number"' if column in numeric else ""


def _uri(data: bytes) -> str:
    for start, kind in _KINDS:
        if data.startswith(start):
            return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
    raise ImageError(f"a page shows PNG, JPEG and SVG, found {len(data)} bytes that begin with {data[:8]!r}")
