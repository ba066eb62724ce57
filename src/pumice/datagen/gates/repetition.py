"""Texts that go round in circles, as models do that have lost the thread."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[^\w\s]")
_SENTENCE = re.compile(r"(?:[^.!?。！？\n]|\.(?=\d))+")
_CHARACTERS = re.compile(r"([^\W\d]|[!?,;:'\"#@])\1{11,}")

_LONGEST_LOOP = 12  # words of a block that comes again and again
_ROUNDS = 3  # a block of several words may come twice in a row ("step by step by step"), not more often
_ROUNDS_OF_ONE = 5  # "very, very, very" is emphasis
_SAME_SENTENCES = 3
_GRAM = 5
_FEWEST_WORDS = 60
_SHARE = 0.35  # of all runs of five words that were there before; people stay far below


def repetition(text: str) -> str | None:
    """What is repeated; None if it is no more than people do."""
    run = _CHARACTERS.search(text)
    if run:
        return run[0][:20]
    words = [word.lower() for word in _WORD.findall(text)]
    loop = _loop(words)
    if loop:
        return loop
    sentences = Counter(" ".join(_WORD.findall(sentence.lower())) for sentence in _SENTENCE.findall(text))
    for sentence, times in sentences.items():
        if times >= _SAME_SENTENCES and len(sentence.split()) > 3:
            return sentence
    return _share(words)


def _loop(words: Sequence[str]) -> str | None:
    """A block of words that follows itself again and again."""
    for length in range(1, _LONGEST_LOOP + 1):
        rounds = _ROUNDS_OF_ONE if length == 1 else _ROUNDS
        same = 0  # words in a row that are the same as the one a block earlier
        for at in range(length, len(words)):
            same = same + 1 if words[at] == words[at - length] else 0
            if same >= length * (rounds - 1):
                block = words[at - length + 1 : at + 1]
                if any(word.isalnum() and not word.isdigit() for word in block):
                    return " ".join(block)
                same = 0
    return None


def _share(words: Sequence[str]) -> str | None:
    """The most frequent run of words, where runs come again more often than in prose."""
    if len(words) < _FEWEST_WORDS:
        return None
    grams = Counter(tuple(words[at : at + _GRAM]) for at in range(len(words) - _GRAM + 1))
    again = sum(times - 1 for times in grams.values())
    if again / grams.total() < _SHARE:
        return None
    return " ".join(grams.most_common(1)[0][0])
