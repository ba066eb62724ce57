"""What a terminal may receive."""

from __future__ import annotations

import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from pumice.cli.output import TerminalFilter

SPICY = st.text(alphabet="ab[]0;m?\x1b\x07\r\b\n\t\x9b\\é", max_size=30)


@given(st.lists(SPICY, max_size=6))
def test_no_control_character_gets_through(pieces: list[str]) -> None:
    terminal = TerminalFilter()
    shown = "".join(terminal.clean(piece) for piece in pieces)
    assert not [one for one in shown if unicodedata.category(one) == "Cc" and one not in "\n\t"]


@example("0\x1b\x1b0", 3)
@given(SPICY, st.integers(0, 30))
def test_where_the_pieces_part_does_not_matter(text: str, cut: int) -> None:
    whole, parts = TerminalFilter(), TerminalFilter()
    assert parts.clean(text[:cut]) + parts.clean(text[cut:]) == whole.clean(text)


@given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs"])))
def test_plain_text_is_left_alone(text: str) -> None:
    assert TerminalFilter().clean(text + "\n\t") == text + "\n\t"


def test_colours_vanish_as_a_whole() -> None:
    terminal = TerminalFilter()
    assert terminal.clean("a\x1b[3") + terminal.clean("1mred\x1b[0m b") == "ared b"
