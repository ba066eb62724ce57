"""What must hold of circular scoring and of reading letters, whatever the answers are."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from pumice.evaluate.scoring.circular import STEP, Rotation, circular_rows
from pumice.evaluate.scoring.letters import NONE, mmbench_letter, qbench_letter, seed_letter
from pumice.evaluate.task import PROFILES

OPTIONS = {"A": "blurry", "B": "sharp", "C": "medium", "D": "dark"}
said = st.one_of(
    st.sampled_from("ABCD"), st.sampled_from(["sharp", "A.", "(C)", "no idea", "", "B or C", "The answer is D."])
)
words = st.lists(st.sampled_from([*"ABCDEZ", "a", "(B)", "B.", "sharp", "dark", "it is", "A little"])).map(" ".join)


@st.composite
def rotations(draw):
    """Questions with two to four rotations each, some of which may be missing."""
    found = []
    for question in draw(st.lists(st.integers(0, 999), min_size=1, max_size=6, unique=True)):
        count = draw(st.integers(2, 4))
        kept = draw(st.lists(st.sampled_from(range(count)), min_size=1, unique=True))
        options = dict(list(OPTIONS.items())[:count])
        for turn in kept:
            right = draw(st.sampled_from(sorted(options)))
            text = draw(st.one_of(st.just(right), said, st.none()))
            found.append(Rotation(turn * STEP + question, 0, options, right, text, f"picture {question % 3}"))
    return found


@given(rotations(), st.sampled_from(PROFILES), st.randoms(use_true_random=False))
def test_the_order_of_rows_in_a_table_means_nothing(turns, profile, order):
    shuffled = list(turns)
    order.shuffle(shuffled)
    assert circular_rows(shuffled, profile) == circular_rows(turns, profile)


@given(rotations(), st.sampled_from(["official", "llava", "vlmevalkit"]))
def test_a_question_is_right_only_if_it_is_right_in_every_rotation(turns, profile):
    rows, left_out = circular_rows(turns, profile)
    groups = {turn.group for turn in turns}
    assert len(rows) + left_out == len(groups)
    assert not left_out or profile == "vlmevalkit"
    for row in rows:
        mine = [turn for turn in turns if str(turn.group) == row.question_id]
        every = all(mmbench_letter(turn.text or "", turn.options, profile) == turn.expected for turn in mine)
        assert (row.correct, row.values["right"]) == (every, float(every))
        assert row.values["right"] <= row.values["first"]  # circular is never better than vanilla


@given(rotations())
def test_lots_are_drawn_only_for_what_no_rule_reads(turns):
    readable = [turn for turn in turns if mmbench_letter(turn.text or "", turn.options, "lmms-eval")]
    drawn, _ = circular_rows(readable, "lmms-eval")
    sure = {turn.group for turn in readable if turn.index < STEP}
    assert {row.question_id for row in drawn} == {str(group) for group in sure}
    for row in drawn:
        mine = [turn for turn in readable if str(turn.group) == row.question_id]
        assert row.correct == all(turn.letter("lmms-eval") == turn.expected for turn in mine)


@given(rotations(), st.sampled_from(PROFILES))
def test_what_a_judge_extracted_counts_only_where_rules_fail(turns, profile):
    helped = [dataclasses.replace(turn, extracted=turn.expected) for turn in turns]
    before, after = circular_rows(turns, profile)[0], circular_rows(helped, profile)[0]
    for old, new, group in zip(before, after, sorted({row.question_id for row in before}, key=int), strict=True):
        mine = [turn for turn in turns if str(turn.group) == group]
        wrong = any(turn.letter(profile) not in (None, turn.expected) for turn in mine)
        assert new.correct is not wrong
        assert new.correct or not old.correct or profile == "lmms-eval"


def test_a_judge_that_finds_no_option_makes_the_answer_wrong():
    turn = Rotation(1, 0, OPTIONS, "B", "who knows", "1", extracted="Z")
    assert turn.letter("official") == NONE
    assert not circular_rows([turn], "lmms-eval")[0][0].correct  # and no lot is drawn


@given(words, st.sampled_from(PROFILES))
def test_a_letter_that_is_read_is_one_of_the_options_or_stands_for_none(answer, profile):
    beyond = {NONE, "E"}  # MMBench's evaluator knows a fifth letter, VLMEvalKit one for "none of them"
    assert mmbench_letter(answer, OPTIONS, profile) in {None, *OPTIONS, *beyond}
    assert qbench_letter(answer, OPTIONS, profile) in {None, *OPTIONS, NONE}
    assert seed_letter(answer, OPTIONS, profile) in {None, *OPTIONS, NONE}


@given(st.text(max_size=60), st.sampled_from(PROFILES))
def test_no_text_breaks_the_readers(answer, profile):
    for read in (mmbench_letter, qbench_letter, seed_letter):
        read(answer, OPTIONS, profile)


@given(st.permutations(list(OPTIONS.values())), st.sampled_from(PROFILES))
def test_the_text_of_an_option_means_its_letter_wherever_it_stands(texts, profile):
    options = dict(zip("ABCD", texts, strict=True))
    assert options[mmbench_letter("sharp", options, profile)] == "sharp"
