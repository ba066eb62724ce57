"""Pictures that a line names, and the question that is left."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.cli.mentions import find_mentions, without_mentions

POSIX = os.name != "nt"


def _found(line: str) -> list[str]:
    return [each.source for each in find_mentions(line)]


@pytest.mark.parametrize(
    ("line", "sources"),
    [
        ("what is in ./a.jpg?", ["./a.jpg"]),
        ("/home/me/a.PNG", ["/home/me/a.PNG"]),
        ("'my photo.jpg' what is it", ["my photo.jpg"]),
        ('compare "one two.png", three.webp.', ["one two.png", "three.webp"]),
        ("(see a.gif)", ["a.gif"]),
        ("https://example.org/x/cat.jpg?size=2 which animal?", ["https://example.org/x/cat.jpg?size=2"]),
        ("file:///tmp/my%20photo.jpg", ["/tmp/my photo.jpg"]),
        ("../b.tiff", ["../b.tiff"]),
        ("what is a .jpg file?", []),
        ("which of *.png are there", []),
        ("no picture here, a.jpgx and b.txt", []),
        ("don't look at ./a.jpg", ["./a.jpg"]),
        ("", []),
    ],
)
def test_what_is_found(line: str, sources: list[str]) -> None:
    assert _found(line) == sources


@pytest.mark.skipif(not POSIX, reason="a backslash is a separator on Windows")
def test_a_dropped_file_with_spaces() -> None:
    assert _found(r"/tmp/my\ photo\ \(1\).jpg what?") == ["/tmp/my photo (1).jpg"]


def test_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("USERPROFILE", "/home/me")
    assert _found("~/a.png") == [os.path.expanduser("~/a.png")]


@pytest.mark.parametrize(
    ("line", "earlier", "question"),
    [
        ("a.jpg", 0, ""),
        ("a.jpg b.png", 0, ""),
        ("a.jpg, b.png", 0, ""),
        ("a.jpg What is it?", 0, "What is it?"),
        ("What is it? a.jpg", 0, "What is it?"),
        ("what is in ./a.jpg?", 0, "what is in the picture?"),
        ("what is in ./a.jpg?", 1, "what is in picture 2?"),
        ("compare a.jpg and 'b c.jpg'", 0, "compare picture 1 and picture 2"),
        ("two  spaces", 0, "two  spaces"),
    ],
)
def test_what_is_asked(line: str, earlier: int, question: str) -> None:
    assert without_mentions(line, find_mentions(line), earlier) == question


@given(st.text(max_size=60))
def test_no_line_is_too_strange(line: str) -> None:
    mentions = find_mentions(line)
    assert [each.begin for each in mentions] == sorted(each.begin for each in mentions)
    if not mentions:
        assert without_mentions(line, mentions, 0) in (line.strip(), "")
