"""The stream of pushes is the whole text."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from pumice.prompts.detokenizer import Detokenizer
from pumice.prompts.tokenizer import Tokenizer


def stream(tokenizer: Tokenizer, ids: list[int]) -> list[str]:
    detokenizer = Detokenizer(tokenizer)
    return [*map(detokenizer.push, ids), detokenizer.flush()]


@given(text=st.text())
@example(text="naïve 🎲🎲 你好\n\n  done ")
@example(text=" leading")
def test_stream_is_whole_for_texts(tokenizer: Tokenizer, text: str) -> None:
    ids = [token.id for token in tokenizer.encode(text, starts=True)]
    pushes = stream(tokenizer, ids)
    assert "".join(pushes) == tokenizer.decode(ids)
    assert "\ufffd" not in "".join(pushes).replace("\ufffd", "", text.count("\ufffd"))


@given(ids=st.lists(st.integers(0, 425)))
def test_stream_is_whole_for_any_ids(tokenizer: Tokenizer, ids: list[int]) -> None:
    assert "".join(stream(tokenizer, ids)) == tokenizer.decode(ids)


def test_an_unfinished_character_waits(tokenizer: Tokenizer) -> None:
    tokens = tokenizer.encode("x🎲", starts=True)
    ids = [token.id for token in tokens]
    last = [token.id for token in tokens if token.end == 2]
    pushes = stream(tokenizer, ids)
    assert pushes[-2:] == ["🎲", ""]
    assert len(last) == 1 or pushes[-1 - len(last) : -2] == [""] * (len(last) - 1)
    cut = stream(tokenizer, ids[:-1])
    assert "".join(cut) == tokenizer.decode(ids[:-1])
    assert len(last) == 1 or cut[-1] == "\ufffd"


def test_only_the_first_leading_space_goes(tokenizer: Tokenizer) -> None:
    ids = [token.id for token in tokenizer.encode("the the", starts=True)]
    assert tokenizer.decode([tokenizer.eos_id, *ids, tokenizer.eos_id]) == "the the"
    assert "".join(stream(tokenizer, [tokenizer.eos_id, *ids, *ids])) == tokenizer.decode([*ids, *ids])


def test_special_tokens_are_silent(tokenizer: Tokenizer) -> None:
    assert "".join(stream(tokenizer, sorted(tokenizer.specials.values()))) == ""
