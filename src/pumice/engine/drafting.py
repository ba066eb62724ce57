"""Prompt lookup: guesses for the next tokens, taken from where the last few have stood before (Saxena 2023).

Answers repeat what was asked and what they have said themselves: names, numbers, whole phrases. Guesses are checked
with the next token in one step, which costs less than a step for each; a wrong one changes nothing but the time.
"""

from __future__ import annotations

from collections.abc import Sequence

CONTEXT = 3  # tokens that must agree before what followed them is guessed
MOST = 4  # guesses at a time: a step with five rows takes about twice as long as one with one
#: Below this share of right guesses a step costs more than it saves; then only every so-manyth chance is taken.
WORTH_IT = 0.3
PROBE = 8
MEMORY = 0.8  # how slowly the share of right guesses is forgotten


class Drafter:
    """Guesses for one answer. Starts hopeful and learns whether guessing pays here."""

    def __init__(self, prompt: Sequence[int]) -> None:
        self._ids: list[int] = []
        self._after: dict[tuple[int, ...], int] = {}
        self._share = 0.5
        self._passed = 0
        for token in prompt:
            self.push(token)

    def push(self, token: int) -> None:
        """One more token is certain."""
        before = tuple(self._ids[-CONTEXT:])
        if len(before) == CONTEXT and min(before) >= 0 and token >= 0:  # negative ids are pictures
            self._after[before] = len(self._ids)
        self._ids.append(token)

    def draft(self, room: int) -> list[int]:
        """Up to ``room`` guesses, none where nothing like it has been, or where guessing has not paid."""
        place = self._after.get(tuple(self._ids[-CONTEXT:]))
        if place is None or room < 1:
            return []
        if self._share < WORTH_IT:
            self._passed += 1
            if self._passed % PROBE:
                return []
        guessed = self._ids[place : place + min(MOST, room)]
        return guessed[: next((index for index, token in enumerate(guessed) if token < 0), len(guessed))]

    def learn(self, offered: int, right: int) -> None:
        """How many of the last guesses were right."""
        if offered:
            self._share = MEMORY * self._share + (1 - MEMORY) * right / offered
