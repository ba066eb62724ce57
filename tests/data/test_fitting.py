"""Too long conversations: whole turns go, from the end, and never a part of a picture."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from pumice.data.fitting import fit
from pumice.data.records import read_records
from pumice.errors import UsageError
from pumice.processor import Inputs
from pumice.prompts.conversation import Conversation, Image
from pumice.prompts.encode import IGNORE, IMAGE_ID
from pumice.train.rows import RecordRows

READ = tiny.processor()
SAID = ("A red cup.", "", "Two dice; they add up to seven.")


def talk(turns: list[tuple[int | None, int, int]], *, open_end: bool = False) -> Conversation:
    """Of each turn: the seed of a picture or None, how long the question is, which answer."""
    made = Conversation(system="Be brief.")
    for seed, words, said in turns:
        shown = () if seed is None else (Image(tiny.picture(seed)),)
        made = made.then_ask("Sky? " * words, shown).then_answer(SAID[said])
    return made.then_ask("And now?") if open_end else made


def supervised(inputs: Inputs) -> bool:
    return any(label != IGNORE for label in inputs.labels)


TURNS = st.lists(
    st.tuples(st.sampled_from([None, None, 1, 2]), st.integers(1, 6), st.integers(0, 2)), min_size=1, max_size=6
)


@settings(deadline=None, max_examples=60)
@given(turns=TURNS, open_end=st.booleans(), limit=st.integers(1, 150))
def test_the_longest_beginning_that_fits(turns: list[tuple[int | None, int, int]], open_end: bool, limit: int) -> None:
    whole = READ(talk(turns, open_end=open_end))
    beginnings = [READ(talk(turns[:count])) for count in range(1, len(turns) + 1)]
    fitting = [each for each in [*beginnings, whole] if len(each.ids) <= limit]
    fitted = fit(READ, talk(turns, open_end=open_end), limit)
    wanted = max(fitting, key=lambda each: len(each.ids), default=None)
    if wanted is None or (wanted.ids != whole.ids and not supervised(wanted)):
        assert fitted.inputs is None
    else:
        assert fitted.inputs is not None and fitted.inputs.ids == wanted.ids and fitted.inputs.labels == wanted.labels
        assert fitted.inputs.ids.count(IMAGE_ID) == sum(grid.tokens for grid in fitted.inputs.grids)
        assert fitted.inputs.hashes == wanted.hashes
    fits = len(whole.ids) <= limit
    assert fitted.cut == (0 if fits else 2 * (len(turns) - len(fitting)) + open_end)


def test_no_limit() -> None:
    made = talk([(1, 5, 0)] * 6)
    fitted, whole = fit(READ, made, 0), READ(made)
    assert fitted.inputs is not None and fitted.cut == 0
    assert (fitted.inputs.ids, fitted.inputs.labels, fitted.inputs.hashes) == (whole.ids, whole.labels, whole.hashes)


def test_records_that_do_not_fit(tmp_path: Path) -> None:
    """One is whole, one loses a turn, of one nothing is left; an answer that never was there stays an error."""

    def record(*answers: str) -> dict[str, object]:
        turns = [{"from": who, "value": what} for each in answers for who, what in (("human", "Sky?"), ("gpt", each))]
        return {"id": "1", "conversations": turns}

    long = "polite " * 90
    records = [record("Red."), record("Red.", long), record(long), record("", long), record("")]
    path = tmp_path / "r.json"
    path.write_text(json.dumps(records))
    rows = RecordRows(read_records(path, tmp_path), READ, 120)
    whole, cut = rows[0], rows[1]
    assert whole is not None and cut is not None
    assert (whole.cut, cut.cut) == (0, 2) and whole.ids == cut.ids
    assert rows[2] is None and rows[3] is None
    with pytest.raises(UsageError, match=r"record 5\): .*no supervised token"):
        _ = rows[4]
