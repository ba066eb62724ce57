"""Pages: what is text stays text, nothing is loaded, and the markup is well-formed."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pumice.errors import ImageError
from pumice.page import Html, cards, details, escaped, facts, heading, page, paragraph, picture, preformatted, table

VOID = {"meta", "img", "br", "source"}
OURS = VOID | {
    *("html", "head", "title", "style", "body", "h1", "h2", "h3", "p", "pre", "div", "table", "thead", "tbody"),
    *("tr", "th", "td", "dl", "dt", "dd", "picture", "details", "summary"),
}
EVIL = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</style><b>", "&lt;", "]]>", "<!--")
TEXTS = st.text(max_size=40) | st.sampled_from(EVIL)


class Reader(HTMLParser):
    """Which elements and words there are; fails where tags do not close each other."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)


def read(markup: str) -> Reader:
    reader = Reader()
    reader.feed(markup)
    reader.close()
    assert reader.open == []
    return reader


def encoded(kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 3), "red").save(file, kind)
    return file.getvalue()


def everything(text: str) -> str:
    return page(
        text,
        [
            text,
            heading(text),
            heading(text, 3),
            paragraph(text),
            preformatted(text),
            table([text, "n"], [[text, "1"], [escaped(text), "2"]], numeric={1}),
            facts([(text, text)]),
            picture(encoded("PNG"), text, 40),
            picture(encoded("PNG"), text, dark=encoded("JPEG")),
            details(text, paragraph(text)),
            details(text, text),
            cards([[picture(encoded("JPEG"), text), text]]),
        ],
    )


@given(TEXTS)
def test_text_can_never_become_markup(text: str) -> None:
    plain, found = read(everything("text")), read(everything(text))
    elements = [(tag, sorted(attributes)) for tag, attributes in found.seen if tag != "br"]
    assert elements == [(tag, sorted(attributes)) for tag, attributes in plain.seen]
    assert {tag for tag, _ in elements} <= OURS
    assert not any(name.startswith("on") for _, attributes in found.seen for name in attributes)


@given(st.text(st.characters(codec="utf-8", exclude_categories=("C",)), min_size=1, max_size=30))
def test_text_arrives_as_it_was_written(text: str) -> None:
    assert "".join(read(preformatted(text)).words).removesuffix("\n") == text
    assert read(table(["a"], [[text]])).words[2] == text
    assert read(picture(encoded("PNG"), text)).seen[0][1]["alt"] == text


def test_joined_markup_is_text_again() -> None:
    made = heading("one")
    assert type(made) is Html
    assert escaped(made) is made
    assert escaped(f"{made}") == "&lt;h2&gt;one&lt;/h2&gt;\n"


def test_a_page_loads_nothing() -> None:
    found = read(everything("https://example.invalid/a.png"))
    sources = [
        value for _, attributes in found.seen for name in ("src", "srcset", "href") if (value := attributes.get(name))
    ]
    assert len(sources) == 4
    assert all(value.startswith("data:image/") for value in sources)
    policy = next(a["content"] for _, a in found.seen if a.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    style = everything("x").split("<style>")[1].split("</style>")[0]
    assert not re.search(r"url\(|@import", style)


def test_pictures_are_told_by_their_content() -> None:
    for data, kind in ((encoded("PNG"), "png"), (encoded("JPEG"), "jpeg"), (b"<svg xmlns='a'/>", "svg+xml")):
        assert f'src="data:image/{kind};base64,' in picture(data, "it")
    with pytest.raises(ImageError, match="PNG, JPEG and SVG"):
        picture(b"GIF89a", "it")


def test_numbers_stand_right_in_head_and_body() -> None:
    found = read(table(["name", "n"], [["a", "1"], ["b", "2"]], numeric={1}))
    classes = [(tag, attributes.get("class")) for tag, attributes in found.seen if tag in ("th", "td")]
    assert classes == [("th", None), ("th", "number"), *[("td", None), ("td", "number")] * 2]
