"""MMBench's circular evaluation: one question, asked once for each rotation of its options; right only if always right.

Rotations of question 241 have the indices 241, 1000241, 2000241 … in the benchmark's table. The original's own runner
can also rotate by itself (``--all-rounds``); its answers then share an index and have a ``round_id``.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pumice.evaluate.scoring.letters import NONE, Options, mmbench_letter
from pumice.evaluate.statistic import Row

#: Rotation r of question q has the index r * STEP + q.
STEP = 1_000_000
# What lmms-eval draws from when nothing was recognised, and the seed it draws with.
_DRAWN, _SEED = "ABCDE", 2680


@dataclass(frozen=True)
class Rotation:
    """One way in which a question was asked, and what was answered.

    options: letter to text, as shown. original: letter as shown to letter as in the table, where they differ.
    expected: the right letter, as in the table. text: the answer; None if there is none. extracted: what a judge said
    about an answer that no rule could read. cluster: the picture; "" if it is not known. asked: the words of the
    question. category, ability: the benchmark's names for the kind of question, the finer and the coarser.
    """

    index: int
    turn: int
    options: Options
    expected: str
    text: str | None
    cluster: str
    asked: str = ""
    category: str = ""
    ability: str = ""
    original: Mapping[str, str] | None = None
    extracted: str = ""

    @property
    def group(self) -> int:
        """The question that this is a rotation of."""
        return self.index % STEP

    def letter(self, profile: str) -> str | None:
        """The option that was meant, as in the table; None if nothing was recognised, and no judge was asked."""
        found = mmbench_letter(self.text or "", self.options, profile)
        if found is None and self.extracted:
            found = mmbench_letter(self.extracted, self.options, profile) or NONE
        return found if found is None or self.original is None else self.original.get(found, found)


def circular_rows(rotations: Sequence[Rotation], profile: str) -> tuple[list[Row], int]:
    """A row for each question, and how many were left out because their first rotation is not in the table.

    Values: ``right`` (all rotations were), ``first`` (the first one was), and ``right`` again under the name of the
    ability. lmms-eval and VLMEvalKit walk over the questions' first rotations, and so never see those without one.
    """
    groups: dict[int, list[Rotation]] = {}
    for each in sorted(rotations, key=lambda each: (each.index, each.turn)):
        groups.setdefault(each.group, []).append(each)
    dice = random.Random(_SEED) if profile == "lmms-eval" else None
    rows, left_out = [], 0
    for group in sorted(groups):
        turns = groups[group]
        if profile in ("lmms-eval", "vlmevalkit") and turns[0].index >= STEP:
            left_out += 1
            continue
        rows.append(_row(turns, profile, dice))
    return rows, left_out


def _row(turns: Sequence[Rotation], profile: str, dice: random.Random | None) -> Row:
    letters = [turn.letter(profile) for turn in turns]
    read = list(letters)
    right = _all_right(turns, letters, dice)
    first = turns[0]
    values = {"right": float(right), "first": float(letters[0] == first.expected)}
    if first.ability:
        values[first.ability] = float(right)
    unread = sum(letter is None for letter in read)
    return Row(
        question_id=str(first.group),
        cluster=first.cluster or str(first.group),
        values=values,
        group=first.category,
        correct=right,
        asked=first.asked,
        answer=" | ".join(turn.text if turn.text is not None else "(none)" for turn in turns),
        expected=" | ".join(turn.expected for turn in turns),
        note=f"read as {' '.join(letter or '?' for letter in read)}" + (f"; {unread} not understood" if unread else ""),
    )


def _all_right(turns: Sequence[Rotation], letters: list[str | None], dice: random.Random | None) -> bool:
    """With ``dice``, what was not understood is drawn, in the order and as far as lmms-eval draws."""
    if any(letter is not None and letter != turn.expected for turn, letter in zip(turns, letters, strict=True)):
        return False
    for place, turn in enumerate(turns):
        if letters[place] is None:
            if dice is None:
                return False
            letters[place] = _DRAWN[dice.randint(0, len(_DRAWN) - 1)]
            if letters[place] != turn.expected:
                return False
    return True
